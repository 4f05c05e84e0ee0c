"""
The WSGI layer around Django that looks after request bodies.

A server that answers before it has read the body breaks the pipe of a client that is still sending, and the client never
sees the answer. So what the application left unread is read and thrown away, within bounds, before the answer goes out.
A chunked body, whose length nobody declared, is spooled first, so that the rest of the service sees a declared length.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from typing import IO, Any

_CHUNK = 256 * 1024
_MOST_DRAINED = 40 * 1_048_576
_DRAIN_LIMIT_S = 20.0
_MOST_CHUNKED = 70 * 1_048_576
_IN_MEMORY = 512 * 1024

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class CountedInput:
    """`wsgi.input` that knows how much was read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        return self._count(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._count(self._stream.readline(size))

    def _count(self, data: bytes) -> bytes:
        self.bytes_read += len(data)
        return data


class DrainRest:
    """Wraps the application; see the module's text."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("CONTENT_LENGTH") and "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            _declare_length(environ)
        counted = CountedInput(environ["wsgi.input"])
        environ["wsgi.input"] = counted
        answer = self._app(environ, start_response)
        _drain(counted, declared=int(environ.get("CONTENT_LENGTH") or 0))
        return answer


def _declare_length(environ: Environ) -> None:
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - it lives as long as the request
    length = 0
    while length <= _MOST_CHUNKED and (chunk := environ["wsgi.input"].read(_CHUNK)):
        length += len(chunk)
        spool.write(chunk)
    spool.seek(0)
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = spool, str(length)


def _drain(counted: CountedInput, *, declared: int) -> None:
    left = min(declared - counted.bytes_read, _MOST_DRAINED)
    deadline = time.monotonic() + _DRAIN_LIMIT_S
    try:
        while left > 0 and time.monotonic() < deadline and (chunk := counted.read(min(left, _CHUNK))):
            left -= len(chunk)
    except OSError:  # the client went away; there is nobody left to answer
        return
