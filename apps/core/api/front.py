"""
The RSGI layer between granian and Django: requests come in whole, then they get a thread.

Threads are few, and clients may be slow, silent or hostile: a thread that reads from a socket can be kept waiting for as
long as the client likes. So the event loop receives every body, in memory while it is small and in a temporary file beyond
that, with an end to every wait. Whose body it is gets asked first, by the headers alone (`apps/core/api/door.py`): nothing is
kept of what the application will refuse unread (no right credential, over its route's cap, no such route). That is read and
thrown away beside the answer, within bounds: a server that answers and hangs up breaks the pipe of a client that is still
sending, and the client never sees why.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, Protocol

from apps.core.api.pouring import pour
from apps.core.api.terms import CROWDED, SHORT, Pace, Share, Terms

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
TermsOf = Callable[[Environ], Awaitable[Terms | None]]

IN_MEMORY_BYTES = 64 * 1024  # a thousand idle uploads are 64 MB
MOST_DRAINED_BYTES = 40 * 1_048_576
LARGE_BYTES = 1_048_576  # of an answer that is streamed: beyond that it goes out no faster than its client reads
_CHARSET = re.compile(r""";\s*charset\*?\s*=\s*("[^"]*"|[^;]*)""", re.IGNORECASE)
CROWD_PATIENCE_S = 2.0  # for a place: who sends many quick ones at once has them in less
_LOOK_AGAIN_S = 0.05


class BodyError(OSError):
    """The body did not arrive whole; the sentence is for the client."""


class UnreadError(BodyError):
    """The body was not taken, and yet somebody asks for it: the credential has become right a moment too late."""

    def __init__(self) -> None:
        super().__init__("The body was not read. Send the request again.")


class Transport(Protocol):
    """granian's side of a streamed answer."""

    def send_bytes(self, data: bytes) -> Awaitable[None]: ...


class RsgiProtocol(Protocol):
    """granian's side of a request."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None: ...
    def response_stream(self, status: int, headers: Headers) -> Transport: ...
    def response_file(self, status: int, headers: Headers, file: str) -> None: ...
    def client_disconnect(self) -> Awaitable[None]: ...


@dataclass(frozen=True)
class Answer:
    """What the application said; `body` is None where its parts have been sent already, or are still to come."""

    status: int
    headers: Headers
    body: bytes | None
    coming: Any = None


@dataclass(frozen=True)
class Rest:
    """What is to be read and thrown away."""

    most_bytes: int
    pace: Pace


class Front:
    """
    Serves a WSGI application.

    Args:
        app: called in one of `threads` threads, with a body that can be read without waiting.
        cap_of: largest body, in bytes, that a path takes; None where there is no such path.
        terms_of: the terms on which a body is taken; None for one that the application will refuse unread.
    """

    def __init__(self, app: WsgiApp, *, cap_of: Callable[[str], int | None], terms_of: TermsOf, threads: int) -> None:
        self._app = app
        self._cap_of = cap_of
        self._terms_of = terms_of
        self._taken: Counter[str] = Counter()  # places of each share; the event loop alone touches it
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __rsgi__(self, scope: Any, protocol: RsgiProtocol) -> None:
        environ = environ_of(scope)
        body = IncomingBody(protocol)
        rest = None
        with contextlib.ExitStack() as held:
            if _has_body(environ):
                rest = await self._receive(environ, body, held)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self._ask, environ, protocol, loop)
        if rest and environ.get("HTTP_EXPECT", "").lower() != "100-continue":  # who asks first has sent nothing yet
            await body.drain(rest)
        if answer.coming is not None:
            await _send_coming(protocol, answer)
        elif answer.body is not None:
            protocol.response_bytes(answer.status, answer.headers, answer.body)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _receive(self, environ: Environ, body: IncomingBody, held: contextlib.ExitStack) -> Rest | None:
        """Put the whole body into `wsgi.input`, or what there is to say about it. Returns what is to be drained."""
        declared = _length(environ.get("CONTENT_LENGTH"))
        cap = self._cap_of(environ["PATH_INFO"])
        terms = None if cap is None else await self._terms_of(environ)
        rest = Rest(min(declared or MOST_DRAINED_BYTES, MOST_DRAINED_BYTES), terms.pace if terms else SHORT)
        if cap is None or (declared or 0) > cap:
            return rest
        full = await self._full_for_long(terms.shares) if terms else None
        if terms is None or full:
            environ |= {"wsgi.input": BrokenInput(UnreadError()), CROWDED: full}
            environ.setdefault("CONTENT_LENGTH", "1")  # a body in chunks is one, too
            return rest
        places = held.enter_context(contextlib.ExitStack())
        places.enter_context(self._places(terms.shares))
        spool = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the request
        held.callback(spool.close)
        try:
            length = await body.save(spool, most=cap, declared=declared, pace=terms.pace)
        except BodyError as error:
            environ["wsgi.input"] = BrokenInput(error)
            environ.setdefault("CONTENT_LENGTH", "1")  # else nobody would read it, and miss the fields instead
            return None
        if not terms.until_answered:
            places.close()
        spool.seek(0)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = spool, str(length)
        return None if length <= cap else Rest(MOST_DRAINED_BYTES, terms.pace)

    async def _full_for_long(self, shares: Iterable[Share]) -> Share | None:
        """Which share has no place, although it was waited for; meanwhile the body stays where it is."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CROWD_PATIENCE_S
        while full := next((share for share in shares if self._taken[share.name] >= share.places), None):
            if loop.time() >= end:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
        return full

    @contextlib.contextmanager
    def _places(self, shares: Iterable[Share]) -> Iterator[None]:
        names = [share.name for share in shares]
        self._taken.update(names)
        try:
            yield
        finally:
            self._taken.subtract(names)
            self._taken = +self._taken  # without the names that nobody has a place by

    def _ask(self, environ: Environ, protocol: RsgiProtocol, loop: asyncio.AbstractEventLoop) -> Answer:
        """Call the application; in a thread of ours."""
        told: list[Any] = []
        parts = self._app(environ, lambda status, headers, exc_info=None: told.extend((status, headers)))  # noqa: ARG005
        status, headers = int(told[0][:3]), told[1]
        if getattr(parts, "is_async", False):
            return Answer(status, headers, None, coming=parts)
        try:
            if not getattr(parts, "streaming", False):
                return Answer(status, headers, b"".join(parts))
            if _told_length(headers) > LARGE_BYTES:
                pour(protocol, status, headers, parts)
                return Answer(status, headers, None)
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

    async def save(self, file: IO[bytes], *, most: int, declared: int | None, pace: Pace) -> int:
        """
        Write the body to `file`, or what of it comes before the chunk that goes over `most` bytes. Returns its length so far.

        Raises:
            BodyError: it stopped, crept or ended early.
        """
        length = 0
        loop = asyncio.get_running_loop()
        end = loop.time() + pace.patience_s + (most if declared is None else declared) / pace.least_bytes_a_s
        try:
            async with asyncio.timeout(None) as limit:
                while length <= most:
                    limit.reschedule(min(loop.time() + pace.longest_pause_s, end))
                    chunk = await self._next()
                    if chunk is None:
                        break
                    length += len(chunk)
                    if length <= most:
                        file.write(chunk)
        except TimeoutError:
            raise BodyError("The body did not arrive in time. Send it without long pauses.") from None
        if declared is not None and length < declared:
            raise BodyError("The connection ended before the whole body had arrived.")
        return length

    async def drain(self, rest: Rest) -> None:
        """Read the rest and throw it away."""
        most, pace = rest.most_bytes, rest.pace
        with contextlib.suppress(TimeoutError):
            loop = asyncio.get_running_loop()
            end = loop.time() + pace.drain_limit_s
            async with asyncio.timeout(None) as limit:
                while most > 0:
                    limit.reschedule(min(loop.time() + pace.drain_pause_s, end))
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
    A body's charset is left out as well: Django reads the address by it too, so that one of two bytes a character hid
    `dry_run=true`, and one that is no text at all ended in a 500. Addresses, forms and JSON are UTF-8.
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
    if "CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
    if "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority or ""
    return environ


def _has_body(environ: Environ) -> bool:
    return "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0"


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _told_length(headers: Headers) -> int:
    """Bytes of a streamed answer, where its headers say so; else 0."""
    return next((int(value) for name, value in headers if name.lower() == "content-length"), 0)


async def _send_coming(protocol: RsgiProtocol, answer: Answer) -> None:
    """Send parts as they come, in the event loop alone, until they end or the client has gone."""
    transport = protocol.response_stream(answer.status, answer.headers)
    ends = [asyncio.create_task(each) for each in (_send_all(transport, answer.coming), _departure(protocol))]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        sent, _ = await asyncio.gather(*ends, return_exceptions=True)
        answer.coming.close()
    if isinstance(sent, ConnectionError):
        log.debug("the client of a stream went away")
    elif isinstance(sent, Exception):
        log.error("a stream broke off", exc_info=sent)


async def _send_all(transport: Transport, parts: AsyncIterable[bytes]) -> None:
    async for part in parts:
        await _send(transport, part)


async def _departure(protocol: RsgiProtocol) -> None:
    await protocol.client_disconnect()


async def _send(transport: Transport, part: bytes) -> None:
    try:
        await transport.send_bytes(part)
    except RuntimeError as error:  # granian's own are RuntimeErrors
        raise ConnectionError from error
