"""The embedded servers open to who holds their secrets, and to nobody else on the machine; presigned URLs go on working."""

from __future__ import annotations

import datetime
import os
import re
import socket
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.auth
import psycopg
import pytest
from botocore.config import Config

from apps.stack.local_http import LOCAL
from apps.stack.paths import VarDir
from apps.stack.plan import S3_PORT_NAMES
from tests.stack.stranger import as_nobody, that_are_read, that_open, told_by_the_stores_shell

KEY, CONTENT = "inputs/customer/photo", b"a customer's photo"


@pytest.fixture
def var() -> VarDir:
    """The folder of this session's own servers."""
    found = VarDir.from_environment()
    if not found.pid_file("s3").exists():
        pytest.skip("these servers were given from outside")
    return found


@pytest.fixture
def bucket(var: VarDir) -> Any:
    """An S3 client, and a customer's photo in the store."""
    client = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT_URL"],
        aws_access_key_id=os.environ["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    client.put_object(Bucket=os.environ["S3_BUCKET"], Key=KEY, Body=CONTENT)
    return client


def listened_on(pid: int) -> tuple[list[int], list[str]]:
    """TCP ports and paths of sockets that a process listens on, as the kernel tells."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
            inodes.add(found[1])
    tcp = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    ports = [int(words[1].rpartition(":")[2], 16) for words in tcp if words[3] == "0A" and words[9] in inodes]
    unix = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    paths = [words[7] for words in unix if words[6] in inodes and len(words) == 8 and int(words[3], 16) & 0x10000]
    return ports, paths


def test_no_door_of_the_store_opens_without_its_secrets(var: VarDir, bucket: Any) -> None:
    ports, sockets = listened_on(int(var.pid_file("s3").read_text()))
    look = partial(that_open, ports, bucket=os.environ["S3_BUCKET"], key=KEY)
    assert urlsplit(os.environ["S3_ENDPOINT_URL"]).port in ports
    assert len(ports) >= 9  # or it does not look where it should

    opened = as_nobody(lambda: look() + that_open(sockets, bucket="", key="")) if os.geteuid() == 0 else look()

    assert opened == []
    assert bucket.get_object(Bucket=os.environ["S3_BUCKET"], Key=KEY)["Body"].read() == CONTENT


def test_the_stores_own_shell_learns_nothing_without_a_certificate(var: VarDir, bucket: Any) -> None:
    ports = dict(zip(S3_PORT_NAMES, os.environ["KEYLINE_S3_PORTS"].split(","), strict=True))
    master, filer = (f"127.0.0.1:{ports[f'{part}.port']}.{ports[f'{part}.port.grpc']}" for part in ("master", "filer"))

    said = told_by_the_stores_shell(
        Path(sys.executable).parent / "weed", master=master, filer=filer, bucket=os.environ["S3_BUCKET"]
    )

    assert "inputs" not in said
    assert "volume id" not in said
    assert bucket.get_object(Bucket=os.environ["S3_BUCKET"], Key=KEY)["Body"].read() == CONTENT


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reads_no_file_of_the_servers(var: VarDir) -> None:
    files = [var.data(name) for name in ("s3", "s3.identity", "valkey", "postgres")]
    files += [var.data("s3.identity") / "key.pem", var.data("valkey") / "valkey.conf"]

    assert as_nobody(lambda: that_are_read(files)) == []


def test_sockets_of_the_store_are_their_owners_alone(var: VarDir) -> None:
    _, sockets = listened_on(int(var.pid_file("s3").read_text()))

    assert sockets
    assert [path for path in sockets if Path(path).stat().st_mode & 0o077] == []


def presigned(bucket: Any) -> str:
    asked = {"Bucket": os.environ["S3_BUCKET"], "Key": KEY}
    return str(bucket.generate_presigned_url("get_object", Params=asked, ExpiresIn=24 * 3600))


def fetched(url: str) -> tuple[int, bytes]:
    try:
        with LOCAL.open(urllib.request.Request(url), timeout=30) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sign as if it were that long ago."""

    def sign_at(ago: datetime.timedelta) -> None:
        then = datetime.datetime.now(datetime.UTC) - ago
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: then.replace(tzinfo=None))

    return sign_at


def test_presigned_url_works_for_a_day_and_only_as_it_was_signed(bucket: Any, at: Any) -> None:
    at(datetime.timedelta(hours=23, minutes=50))
    url = presigned(bucket)
    at(datetime.timedelta(hours=24, minutes=1))
    expired = presigned(bucket)

    assert fetched(url) == (200, CONTENT)
    assert fetched(url.replace("photo?", "other?"))[0] == 403
    assert fetched(url.replace("Expires=86400", "Expires=96400"))[0] == 403
    assert fetched(url[:-1] + ("0" if url[-1] != "0" else "1"))[0] == 403
    assert fetched(expired)[0] == 403


@pytest.mark.parametrize("said", ["PING", "KEYS *", "AUTH wrong", "AUTH default wrong", "EVAL 'return 1' 0"])
def test_the_broker_asks_for_its_password(var: VarDir, said: str) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(os.environ["REDIS_URL"]).port), timeout=10) as connection:
        connection.sendall(f"{said}\r\n".encode())

        assert connection.recv(200).startswith((b"-NOAUTH", b"-WRONGPASS"))


@pytest.mark.parametrize("role", ["keyline", "postgres", "embedded_postgres", "nobody"])
@pytest.mark.parametrize("password", ["", "wrong", "keyline"])
def test_the_database_asks_for_its_password(var: VarDir, role: str, password: str) -> None:
    port = urlsplit(os.environ["DATABASE_URL"]).port

    with pytest.raises(psycopg.OperationalError, match=r"password|no pg_hba\.conf entry"):
        psycopg.connect(host="127.0.0.1", port=port, user=role, password=password, dbname="keyline", connect_timeout=10)


@pytest.mark.parametrize("name", ["valkey", "postgres"])
def test_broker_and_database_listen_on_one_port_of_loopback(var: VarDir, name: str) -> None:
    ports, sockets = listened_on(int(var.pid_file(name).read_text()))

    assert (len(ports), sockets) == (1, [])
