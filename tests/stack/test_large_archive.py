"""An archive of large results is streamed: the web process stays small, and the first byte is there at once."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.stack.batch_load import PATH
from tests.stack.load import Books, family_of
from tests.stack.service import Stack

pytestmark = pytest.mark.stack

RESULTS = int(os.environ.get("ARCHIVE_RESULTS", "30"))  # a hundred in the long run
RESULT_BYTES = 12 * 1_048_576
MOST_GROWTH = 30 * 1_048_576
_PIECE = 1_048_576


def rss_of(pid: int) -> int:
    """Bytes in memory of a process and its children."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family_of(pid))
    return pages * os.sysconf("SC_PAGE_SIZE")


def finished_batch(stack: Stack, books: Books) -> tuple[str, str]:
    """The rows of a batch whose results are all one large object, and that object's SHA-256."""
    data, token, batch = os.urandom(RESULT_BYTES), uuid.uuid4().hex, str(uuid.uuid4())
    sha256 = hashlib.sha256(data).hexdigest()
    store = boto3.client(
        "s3",
        endpoint_url=stack.env["S3_ENDPOINT_URL"],
        aws_access_key_id=stack.env["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.env["S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    key = f"results/{token}/1/image.png"
    store.put_object(Bucket=stack.env["S3_BUCKET"], Key=key, Body=data)
    image = {
        "key": key,
        "content_type": "image/png",
        "width": 4000,
        "height": 3000,
        "bytes": len(data),
        "sha256": sha256,
    }
    outcome = {"artifacts": {"image": image}, "facts": {}, "warnings": [], "timings_ms": [], "model": "m@1"}
    account = "(SELECT account_id FROM accounts_apikey WHERE prefix = %s)"
    prefix = stack.api_key[:12]
    books.rows(
        "INSERT INTO batches_batch (id, account_id, mode, operation, params, retention_s, total, succeeded, failed, cancelled, "
        f"charged_credits, created_at, finished_at, expires_at) VALUES (%s, {account}, 'live', 'remove-bg', '{{}}', 86400, "
        "%s, %s, 0, 0, 0, now(), now(), now() + interval '1 day')",
        batch, prefix, RESULTS, RESULTS,
    )  # fmt: skip
    for index in range(RESULTS):
        job = str(uuid.uuid4())
        books.rows(
            "INSERT INTO core_job (id, account_id, operation, params, request_id, funding, price_credits, charged_credits, "
            "billed_early, state, stage, progress, attempt, crashes, worker, object_token, inputs_stored, results_stored, "
            "retention_s, created_at, started_at, finished_at, expires_at, outcome, in_batch) VALUES "
            f"(%s, {account}, 'remove-bg', '{{}}', 'large', 'sandbox', 0, 0, false, 'succeeded', 's', 1, 1, 0, 'w', %s, false, "
            "true, 86400, now(), now(), now(), now() + interval '1 day', %s, true)",
            job, prefix, token, json.dumps(outcome),
        )  # fmt: skip
        books.rows(
            "INSERT INTO batches_item (job_id, batch_id, index, name, source_url) VALUES (%s, %s, %s, %s, '')",
            job, batch, index, f"{index}.jpg",
        )  # fmt: skip
    return batch, sha256


def test_archive_of_a_hundred_large_results_needs_no_memory(stack: Stack, tmp_path: Path) -> None:
    batch, sha256 = finished_batch(stack, Books(stack.env["DATABASE_URL"]))
    before, most, path = rss_of(stack.pid("web")), 0, tmp_path / "archive.zip"
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)

    began = time.monotonic()
    connection.request("GET", f"{PATH}/{batch}/archive", headers={"X-Api-Key": stack.api_key})
    answer = connection.getresponse()
    with path.open("wb") as file:
        file.write(answer.read(1))
        first_s = time.monotonic() - began
        while piece := answer.read(_PIECE):
            file.write(piece)
            most = max(most, rss_of(stack.pid("web")))
    took_s = time.monotonic() - began
    connection.close()

    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(path.stat().st_size)
    print(
        f"\n{path.stat().st_size / 1e6:.0f} MB in {took_s:.1f} s, first byte after {first_s * 1000:.0f} ms, "
        f"web {before / 1e6:.0f} MB before, {most / 1e6:.0f} MB at most"
    )
    with zipfile.ZipFile(path) as archive:
        manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
        assert len(manifest["items"]) == RESULTS
        with archive.open(manifest["items"][-1]["file"]) as last:
            assert hashlib.file_digest(last, "sha256").hexdigest() == sha256
    assert most - before < MOST_GROWTH
    assert first_s < 1
