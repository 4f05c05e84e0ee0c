"""Clients that don't give up, and the ways to hurt a stack: for tests that look whether anything is lost or charged twice."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.drawing import photo_png
from tests.stack.service import PATIENCE_S

OPEN = ("queued", "running", "settling")
_NO_ANSWER = 0


@dataclass(frozen=True)
class Reply:
    """What a client got; status 0 where the connection broke."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The envelope's error code; None where all is well."""
        return None if self.status < 400 else self.json["error"]["code"]

    @property
    def retry_after_s(self) -> float | None:
        value = self.headers.get("retry-after")
        return None if value is None else float(value)


@dataclass
class Caller:
    """One API key, used from any number of threads; a connection for each request, because servers die here."""

    url: str
    api_key: str
    account: str = ""
    seen: list[Reply] = field(default_factory=list)

    def remove(
        self, photo: bytes, *, key: str = "", prefer: str = "", accept: str = "", timeout_s: float = 150
    ) -> Reply:
        """POST one photo to be cut out."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="photo.png"\r\n\r\n'
        body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Prefer": prefer} if prefer else {}
        headers |= {"Accept": accept} if accept else {}
        return self.ask("POST", "/v1/remove-bg/universal", body, headers, timeout_s=timeout_s)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        timeout_s: float = 150,
    ) -> Reply:
        """One request; a broken connection is a Reply with status 0."""
        began = time.monotonic()
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, {"X-Api-Key": self.api_key, **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
            named = {name.lower(): value for name, value in answer.getheaders()}
            reply = Reply(answer.status, content, named, time.monotonic() - began)
        except (OSError, http.client.HTTPException):
            reply = Reply(_NO_ANSWER, took_s=time.monotonic() - began)
        finally:
            connection.close()
        self.seen.append(reply)
        return reply

    def insist(self, photo: bytes, *, key: str, prefer: str = "", patience_s: float = PATIENCE_S) -> str:
        """
        Repeat one request with its key, as a good client does, until the cut-out is there.

        Returns:
            The job's id.

        Raises:
            AssertionError: an answer that no client should see, or no success in `patience_s`.
        """
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            reply = self.remove(photo, key=key, prefer=prefer)
            if reply.status == 200:
                return reply.headers["x-job-id"]
            if reply.status == 202:
                job = self.follow(reply.json["data"]["jobId"], deadline=deadline)
                if job["status"] == "succeeded":
                    return str(job["jobId"])
                assert job["status"] in {"failed", "cancelled"}, job
            else:
                assert reply.status in {_NO_ANSWER, 409, 429, 502, 503}, (reply.status, reply.body)
                if reply.status in {409, 429, 503}:
                    assert reply.retry_after_s is not None, (reply.status, reply.headers)
            time.sleep(min(reply.retry_after_s or 0.3, 2.0))
        raise AssertionError(f"no answer for {key} in {patience_s} s")

    def follow(self, job_id: str, *, deadline: float) -> Any:
        """Poll a job until it has ended."""
        while time.monotonic() < deadline:
            reply = self.ask("GET", f"/v1/jobs/{job_id}")
            if reply.status == 200 and reply.json["data"]["status"] not in OPEN:
                return reply.json["data"]
            assert reply.status in {_NO_ANSWER, 200, 429, 503}, (reply.status, reply.body)
            time.sleep(0.4)
        raise AssertionError(f"job {job_id} has not ended")

    def credits(self) -> dict[str, int]:
        return dict(self.ask("GET", "/v1/account").json["data"]["credits"])


@lru_cache(maxsize=4)
def _plain_photo() -> bytes:
    return photo_png(240, 180)


def photo(number: int) -> bytes:
    """A small photo with a subject; each number is another file."""
    return _plain_photo() + b"%d" % number  # decoders stop at the end of the picture


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call `work(0)` to `work(count - 1)` from that many threads that start together."""
    gate = threading.Barrier(count)

    def run(number: int) -> Any:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


class Books:
    """The rows of a stack, read beside the service."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The result of a statement; waits for a database that is just starting."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
                    cursor = connection.execute(query, values)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def one(self, query: str, *values: Any) -> Any:
        return self.rows(query, *values)[0][0]


# --- rough hands --------------------------------------------------------------------------------------------


def family_of(pid: int) -> list[int]:
    """A process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    family = [pid]
    for member in family:
        family += parents.get(member, [])
    return family


def kill(pid: int) -> None:
    """SIGKILL; a process that is gone already is fine."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and all its children inside the `with`: it keeps its sockets and answers nothing."""
    family = family_of(pid)
    _signal(family, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(family, signal.SIGCONT)


def _signal(pids: Sequence[int], sig: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
