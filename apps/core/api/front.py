"""
The RSGI layer between granian and Django: requests come in whole, then they get a thread.

Threads are few, and clients may be slow, silent or hostile: a thread that reads from a socket can be kept waiting for as
long as the client likes. So the event loop receives every body, in memory while it is small and in a temporary file beyond
that, with an end to every wait. A body that the application will refuse unread (over its route's cap, or no such route) is
read and thrown away beside the answer, within bounds: a server that answers and hangs up breaks the pipe of a client that is
still sending, and the client never sees why.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, Protocol

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

LONGEST_PAUSE_S = 10.0
LEAST_BYTES_A_S = 16 * 1024  # a phone with one bar; less is no upload
PATIENCE_S = 30.0  # beside the time that the slowest rate takes
IN_MEMORY_BYTES = 64 * 1024  # a thousand idle uploads are 64 MB
MOST_DRAINED_BYTES = 40 * 1_048_576
DRAIN_LIMIT_S = 120.0
DRAIN_PAUSE_S = 5.0  # whoever sends nothing for so long waits for the answer


class BodyError(OSError):
    """The body did not arrive whole; the sentence is for the client."""


class Transport(Protocol):
    """granian's side of a streamed answer."""

    def send_bytes(self, data: bytes) -> Awaitable[None]: ...


class RsgiProtocol(Protocol):
    """granian's side of a request."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None: ...
    def response_stream(self, status: int, headers: Headers) -> Transport: ...


@dataclass(frozen=True)
class Answer:
    """What the application said; `body` is None where its parts have been sent already."""

    status: int
    headers: Headers
    body: bytes | None


class Front:
    """
    Serves a WSGI application.

    Args:
        app: called in one of `threads` threads, with a body that can be read without waiting.
        cap_of: largest body, in bytes, that a path takes; None where there is no such path.
    """

    def __init__(self, app: WsgiApp, *, cap_of: Callable[[str], int | None], threads: int) -> None:
        self._app = app
        self._cap_of = cap_of
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __rsgi__(self, scope: Any, protocol: RsgiProtocol) -> None:
        environ = environ_of(scope)
        body = IncomingBody(protocol)
        left = 0
        with contextlib.ExitStack() as files:
            if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
                left = await self._receive(environ, body, files)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self._ask, environ, protocol, loop)
        if left and environ.get("HTTP_EXPECT", "").lower() != "100-continue":  # who asks first has sent nothing yet
            await body.drain(left)
        if answer.body is not None:
            protocol.response_bytes(answer.status, answer.headers, answer.body)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _receive(self, environ: Environ, body: IncomingBody, files: contextlib.ExitStack) -> int:
        """Put the whole body into `wsgi.input`, or what there is to say about it. Returns the bytes to be drained."""
        declared = _length(environ.get("CONTENT_LENGTH"))
        cap = self._cap_of(environ["PATH_INFO"])
        if cap is None or (declared or 0) > cap:
            return min(declared or MOST_DRAINED_BYTES, MOST_DRAINED_BYTES)
        spool = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the request
        files.callback(spool.close)
        try:
            length = await body.save(spool, most=cap, declared=declared)
        except BodyError as error:
            environ["wsgi.input"] = BrokenInput(error)
            environ.setdefault("CONTENT_LENGTH", "1")  # else nobody would read it, and miss the fields instead
            return 0
        spool.seek(0)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = spool, str(length)
        return 0 if length <= cap else MOST_DRAINED_BYTES

    def _ask(self, environ: Environ, protocol: RsgiProtocol, loop: asyncio.AbstractEventLoop) -> Answer:
        """Call the application; in a thread of ours."""
        told: list[Any] = []
        parts = self._app(environ, lambda status, headers, exc_info=None: told.extend((status, headers)))  # noqa: ARG005
        status, headers = int(told[0][:3]), told[1]
        try:
            if not getattr(parts, "streaming", False):
                return Answer(status, headers, b"".join(parts))
            transport = protocol.response_stream(status, headers)
            for part in parts:
                asyncio.run_coroutine_threadsafe(_send(transport, part), loop).result()
        except ConnectionError:
            log.debug("the client of a stream went away")
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return Answer(status, headers, None)


class IncomingBody:
    """A request's body on its way in."""

    def __init__(self, protocol: RsgiProtocol) -> None:
        self._protocol = protocol
        self._chunks: AsyncIterator[bytes] | None = None

    async def save(self, file: IO[bytes], *, most: int, declared: int | None) -> int:
        """
        Write the body to `file`, and the first chunk over `most` bytes at most.

        Raises:
            BodyError: it stopped, crept or ended early.
        """
        length = 0
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S + (most if declared is None else declared) / LEAST_BYTES_A_S
        try:
            async with asyncio.timeout(None) as limit:
                while length <= most:
                    limit.reschedule(min(loop.time() + LONGEST_PAUSE_S, end))
                    chunk = await self._next()
                    if chunk is None:
                        break
                    length += len(chunk)
                    file.write(chunk)
        except TimeoutError:
            raise BodyError("The body did not arrive in time. Send it without long pauses.") from None
        if declared is not None and length < declared:
            raise BodyError("The connection ended before the whole body had arrived.")
        return length

    async def drain(self, most: int) -> None:
        """Read up to `most` bytes and throw them away."""
        with contextlib.suppress(TimeoutError):
            loop = asyncio.get_running_loop()
            end = loop.time() + DRAIN_LIMIT_S
            async with asyncio.timeout(None) as limit:
                while most > 0:
                    limit.reschedule(min(loop.time() + DRAIN_PAUSE_S, end))
                    chunk = await self._next()
                    if chunk is None:
                        return
                    most -= len(chunk)

    async def _next(self) -> bytes | None:
        """The next chunk, None at the end. Not by anext(..., None): with granian's futures that crashes Python 3.11."""
        self._chunks = self._chunks or aiter(self._protocol)
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            return None


class BrokenInput(io.RawIOBase):
    """A body that says what is wrong with it to whoever reads it."""

    def __init__(self, error: BodyError) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        raise self._error

    def readline(self, size: int | None = -1) -> bytes:  # noqa: ARG002
        raise self._error


def environ_of(scope: Any) -> Environ:
    """
    WSGI's view of granian's scope.

    Header names with underscores are left out: they would pass for the ones with hyphens. A value that is not ASCII, which
    granian hands on as none, becomes a character that no check lets pass: a client's Idempotency-Key must not vanish.
    """
    host, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    readable = scope.headers.items()
    unreadable = set(scope.headers.keys()).difference(name for name, _ in readable)
    for name, value in [*readable, *((name, "\ufffd") for name in unreadable)]:
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]}{';' if name == 'cookie' else ','}{value}" if key in environ else value
    if "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority or ""
    return environ


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


async def _send(transport: Transport, part: bytes) -> None:
    try:
        await transport.send_bytes(part)
    except RuntimeError as error:  # granian's own are RuntimeErrors
        raise ConnectionError from error
