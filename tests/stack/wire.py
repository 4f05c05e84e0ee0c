"""HTTP by hand, for requests that no client library would send."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

BOUNDARY = b"XX"
MULTIPART = ("Content-Type", "multipart/form-data; boundary=XX")
Pairs = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Heard:
    """What came back; status 0 where the server hung up, -1 where it said nothing in time."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    took_s: float = 0.0
    sent_bytes: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[str]:
        """The fields that the error names."""
        return [detail["field"] for detail in self.json["error"]["details"]]


@dataclass(frozen=True)
class Wire:
    """A client of one address."""

    url: str
    api_key: str

    def request(
        self,
        method: str = "POST",
        path: str | bytes = "/v1/remove-bg/universal?dry_run=true",
        headers: Pairs = (),
        body: bytes = b"",
        *,
        with_key: bool = True,
    ) -> bytes:
        """The bytes of a request; Content-Length is right unless `headers` say otherwise."""
        headers = list(headers)
        told = {name.lower() for name, _ in headers}
        key = [("X-Api-Key", self.api_key)] if with_key else []
        length = (
            [("Content-Length", str(len(body)))] if body and not told & {"content-length", "transfer-encoding"} else []
        )
        lines = [f"{name}: ".encode() + _raw(value) for name, value in [("Host", "h"), *key, *headers, *length]]
        return b"\r\n".join([method.encode() + b" " + _raw(path) + b" HTTP/1.1", *lines, b"", body])

    def send(
        self, *parts: bytes | Iterator[bytes], timeout_s: float = 150, pause_s: float = 0, then_hang_up: bool = False
    ) -> Heard:
        """Send while listening, as curl does, and hear one answer."""
        began = time.monotonic()
        sent = [0]
        with self.connected(timeout_s=timeout_s) as sock:

            def talk() -> None:
                try:
                    for part in parts:
                        for piece in [part] if isinstance(part, bytes) else part:
                            sock.sendall(piece)
                            sent[0] += len(piece)
                            time.sleep(pause_s)
                    if then_hang_up:
                        sock.shutdown(socket.SHUT_WR)
                except OSError:
                    return  # the server has heard enough; what it says is what counts

            talker = threading.Thread(target=talk, daemon=True)
            talker.start()
            try:
                status, headers, body = _hear(sock)
            except TimeoutError:
                status, headers, body = -1, {}, b""
            except OSError:
                status, headers, body = 0, {}, b""
        talker.join(5)
        return Heard(status, headers, body, time.monotonic() - began, sent[0])

    def post(self, *parts: bytes, headers: Pairs = (), path: str | bytes | None = None) -> Heard:
        """A multipart form of these parts (see `part`)."""
        more = {} if path is None else {"path": path}
        return self.send(self.request(headers=[MULTIPART, *headers], body=form(*parts), **more))

    def post_json(self, body: bytes, headers: Pairs = ()) -> Heard:
        return self.send(self.request(headers=[("Content-Type", "application/json"), *headers], body=body))

    def connected(self, *, timeout_s: float = 150) -> socket.socket:
        """A connection on which nothing has been said."""
        address = urlsplit(self.url)
        return socket.create_connection((address.hostname, address.port), timeout=timeout_s)


def part(name: str | bytes, value: bytes, *, filename: bytes | None = None) -> bytes:
    """One part of a form."""
    file = b"" if filename is None else b'; filename="' + filename + b'"'
    return b'Content-Disposition: form-data; name="' + _raw(name) + b'"' + file + b"\r\n\r\n" + value


def image(data: bytes) -> bytes:
    """The part that carries the image."""
    return part("image", data, filename=b"photo.png")


def form(*parts: bytes, end: bytes = b"--XX--\r\n") -> bytes:
    return b"".join(b"--XX\r\n" + each + b"\r\n" for each in parts) + end


def chunked(body: bytes, *, chunk_bytes: int = 65_536) -> Iterator[bytes]:
    """The body in the chunked coding."""
    for start in range(0, len(body), chunk_bytes):
        piece = body[start : start + chunk_bytes]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def pieces(body: bytes, *, bytes_each: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(body), bytes_each):
        yield body[start : start + bytes_each]


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _hear(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    with sock.makefile("rb") as answer:
        status = 100
        while status == 100:
            first = answer.readline()
            if not first:
                return 0, {}, b""
            status = int(first.split()[1])
            headers = {}
            while line := answer.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        return status, headers, answer.read(length)
