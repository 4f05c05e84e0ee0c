"""The store when it starts again: on its files of before, and quietly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from apps.stack.paths import VarDir
from apps.stack.plan import plan
from apps.stack.servers import embedded_servers

MOST_WAKE_UPS_A_S = 700
"""It had 1,400 where it took up its master's log, and has 150. A busy machine makes it fewer, never more."""


@contextmanager
def started(var: VarDir, env: dict[str, str]) -> Iterator[Any]:
    """The store alone. Gives a client."""
    with embedded_servers(env, var):
        yield boto3.client(
            "s3",
            endpoint_url=env["S3_ENDPOINT_URL"],
            aws_access_key_id=env["S3_ACCESS_KEY_ID"],
            aws_secret_access_key=env["S3_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


def wake_ups(pid: int) -> int:
    """How often its threads have gone to sleep so far."""
    lines = [line for status in Path(f"/proc/{pid}/task").glob("*/status") for line in status.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def test_store_that_starts_again_has_its_objects_and_sleeps(tmp_path: Path) -> None:
    var, env = VarDir(tmp_path), {**plan({}, {}).env, "KEYLINE_EMBEDDED": "s3"}
    bucket = env["S3_BUCKET"]  # which the store makes itself
    with started(var, env) as client:
        client.put_object(Bucket=bucket, Key="first", Body=b"1" * 300_000)

    with started(var, env) as client:
        client.put_object(Bucket=bucket, Key="second", Body=b"2" * 300_000)
        found = [client.get_object(Bucket=bucket, Key=key)["Body"].read()[:1] for key in ("first", "second")]
        pid = int(var.pid_file("s3").read_text())
        rates = []
        for _ in range(5):
            before, began = wake_ups(pid), time.monotonic()
            time.sleep(1)  # a rate needs a while; starting needs a few
            rates.append((wake_ups(pid) - before) / (time.monotonic() - began))

    assert found == [b"1", b"2"]
    assert min(rates) < MOST_WAKE_UPS_A_S
