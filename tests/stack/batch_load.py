"""Clients of `/v1/batches` that talk to a real stack."""

from __future__ import annotations

import hashlib
import io
import json
import time
import uuid
import zipfile
from collections.abc import Sequence
from typing import Any

from tests.stack.load import Caller, Reply
from tests.stack.service import PATIENCE_S

PATH = "/v1/batches"
_NO_ANSWER = 0


def form(fields: dict[str, str], files: Sequence[tuple[str, str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A multipart body of texts and (field, filename, bytes), and its header."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for field, filename, data in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def send(caller: Caller, images: Sequence[bytes], *, key: str = "", timeout_s: float = 150, **fields: str) -> Reply:
    """POST these files as one batch."""
    files = [("images", f"photo-{number:03}.png", data) for number, data in enumerate(images)]
    body, headers = form({"operation": "remove-bg", **fields}, files)
    return caller.ask("POST", PATH, body, headers | ({"Idempotency-Key": key} if key else {}), timeout_s=timeout_s)


def insist(caller: Caller, images: Sequence[bytes], *, key: str, patience_s: float = PATIENCE_S) -> str:
    """Repeat one batch with its key, as a good client does, until it is accepted. Returns its id."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        reply = send(caller, images, key=key)
        if reply.status == 202:
            return str(reply.json["data"]["batchId"])
        assert reply.status in {_NO_ANSWER, 409, 429, 503}, (reply.status, reply.body)
        time.sleep(min(reply.retry_after_s or 0.3, 2.0))
    raise AssertionError(f"no batch for {key} in {patience_s} s")


def follow(caller: Caller, batch_id: str, *, patience_s: float = PATIENCE_S) -> Any:
    """Poll a batch until nothing of it is open."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        reply = caller.ask("GET", f"{PATH}/{batch_id}")
        if reply.status == 200 and reply.json["data"]["status"] not in {"queued", "running"}:
            return reply.json["data"]
        assert reply.status in {_NO_ANSWER, 200, 429, 503}, (reply.status, reply.body)
        time.sleep(0.5)
    raise AssertionError(f"batch {batch_id} has not ended")


def fetch_archive(caller: Caller, batch_id: str, *, patience_s: float = PATIENCE_S) -> bytes:
    """The whole archive; a download that breaks is begun again."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        reply = caller.ask("GET", f"{PATH}/{batch_id}/archive")
        if reply.status == 200:
            return reply.body
        assert reply.status in {_NO_ANSWER, 409, 429, 503}, (reply.status, reply.body)
        time.sleep(min(reply.retry_after_s or 0.3, 2.0))
    raise AssertionError(f"no archive of {batch_id} in {patience_s} s")


def assert_archive_is_its_manifest(data: bytes) -> dict[str, Any]:
    """Every file that the manifest names is there, with its hash and its length, and nothing else is. Returns the manifest."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
        files = {item["file"]: item for item in manifest["items"] if item["file"]}
        assert set(archive.namelist()) == {"manifest.json", *files}
        for path, item in files.items():
            result = archive.read(path)
            assert (hashlib.sha256(result).hexdigest(), len(result)) == (item["sha256"], item["bytes"])
    return manifest
