"""The front reads bodies: patient with slow clients, not with silent ones, and no thread waits for either."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest

from apps.core.api import front
from apps.core.api.front import Front
from apps.core.api.terms import BRISK, CROWDED, PATIENT, SHORT, Share, Terms
from tests.core.rsgi import Client, Scope, counted_spools

CAP = 1000
QUICK = dataclasses.replace(PATIENT, longest_pause_s=0.05, drain_pause_s=0.05)
KNOWN = Terms(QUICK)


class Headers(dict[str, str]):
    """granian's: what is not ASCII has a name and no item."""

    def items(self) -> Any:
        return [(name, value) for name, value in super().items() if value.isascii()]


class Stream:
    """What Django hands back for a StreamingHttpResponse."""

    streaming = True

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterable[bytes]:
        return iter([b"one ", b"two"])

    def close(self) -> None:
        self.closed = True


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Says what it could read."""
    try:
        read = environ["wsgi.input"].read()
    except OSError as error:
        read = str(error).encode()
    start_response("200 OK", [])
    return [environ.get("CONTENT_LENGTH", "-").encode(), b" ", read]


def front_for(app: Any, terms: Terms | None = KNOWN) -> Front:
    async def terms_of(environ: dict[str, Any]) -> Terms | None:
        return terms

    return Front(app, cap_of=lambda path: CAP if path == "/known" else None, terms_of=terms_of, threads=9)


def serve(client: Client, scope: Scope, app: Any = echo, path: str = "/known", terms: Terms | None = KNOWN) -> Client:
    scope.path = path
    asyncio.run(asyncio.wait_for(front_for(app, terms).__rsgi__(scope, client), timeout=60))
    return client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "SHORT", dataclasses.replace(SHORT, drain_pause_s=0.05))
    monkeypatch.setattr(front, "CROWD_PATIENCE_S", 0.0)


def test_body_is_whole_when_the_application_reads_it() -> None:
    assert serve(Client(b"ab", b"", b"cd"), Scope(content_length="4")).body == b"4 abcd"


def test_chunked_body_gets_a_declared_length() -> None:
    assert serve(Client(b"ab", b"cd"), Scope(transfer_encoding="chunked")).body == b"4 abcd"


def test_silent_client_gets_an_answer_and_no_thread_meanwhile() -> None:
    assert serve(Client(b"ab", None), Scope(content_length="4")).body == (
        b"4 The body did not arrive in time. Send it without long pauses."
    )


def test_creeping_client_is_ended_although_it_never_pauses_long() -> None:
    creeping = Terms(dataclasses.replace(QUICK, patience_s=-1, longest_pause_s=9))

    client = serve(Client(b"a", b"b", None), Scope(content_length="900"), terms=creeping)

    assert b"did not arrive in time" in client.body


def test_early_end_is_told() -> None:
    assert b"ended before the whole body" in serve(Client(b"ab"), Scope(content_length="4")).body


@pytest.mark.parametrize(("length", "path"), [("1001", "/known"), ("4", "/unknown")])
def test_what_is_refused_unread_is_drained_so_that_the_answer_arrives(length: str, path: str) -> None:
    client = serve(Client(b"ab", b"cd"), Scope(content_length=length), path=path)

    assert client.body == f"{length} ".encode()
    assert client.taken == 4


def test_drain_has_an_end_in_bytes_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MOST_DRAINED_BYTES", 3)

    assert serve(Client(b"ab", b"cd", b"ef"), Scope(content_length="2000")).taken == 4
    assert serve(Client(b"ab", None), Scope(content_length="2000")).status == 200
    hurried = Terms(dataclasses.replace(QUICK, drain_limit_s=0, drain_pause_s=9))
    assert serve(Client(b"a", None), Scope(content_length="2000"), terms=hurried).status == 200


def test_client_that_asks_before_it_sends_is_not_invited_to_a_refused_body() -> None:
    assert serve(Client(b"ab"), Scope(content_length="2000", expect="100-continue")).taken == 0
    assert serve(Client(b"ab"), Scope(content_length="900", expect="100-continue"), terms=None).taken == 0
    assert serve(Client(b"ab"), Scope(content_length="2", expect="100-continue")).taken == 2


def test_chunked_body_over_the_cap_is_not_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = counted_spools(monkeypatch)

    client = serve(Client(*[b"x" * 400] * 5), Scope(transfer_encoding="chunked"))

    assert client.body.startswith(b"1200 ")  # over the cap, so the application refuses it by its length
    assert sum(kept) <= CAP
    assert client.taken == 2000


@pytest.mark.parametrize("chunked", [False, True])
def test_nothing_is_kept_of_a_body_that_nobody_will_read(chunked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = counted_spools(monkeypatch)
    scope = Scope(transfer_encoding="chunked") if chunked else Scope(content_length="900")

    client = serve(Client(*[b"x" * 300] * 3), scope, terms=None)

    assert b"The body was not read" in client.body
    assert client.taken == 900  # thrown away, so that the answer arrives
    assert sum(kept) == 0


def test_stranger_has_his_answer_within_five_seconds() -> None:
    for pace, most_bytes in ((SHORT, front.IN_MEMORY_BYTES), (BRISK, 0)):
        assert pace.drain_limit_s < 5
        assert pace.drain_pause_s < 5
        assert most_bytes / pace.least_bytes_a_s + (pace.patience_s if most_bytes else 0) < 5


def test_bodies_of_one_caller_find_so_many_places_and_no_more() -> None:
    terms = Terms(QUICK, (Share("caller", 2),))
    server = front_for(tell_crowd, terms)
    clients = [Client(b"ab", None) for _ in range(3)]

    async def all_at_once() -> None:
        await asyncio.gather(*(server.__rsgi__(Scope(content_length="4"), client) for client in clients))
        await server.__rsgi__(Scope(content_length="2"), late)

    late = Client(b"ab")
    asyncio.run(all_at_once())

    assert sorted(client.body for client in clients) == [b"", b"", b"caller"]
    assert late.body == b""  # the places are free again


def test_place_that_becomes_free_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "CROWD_PATIENCE_S", 5.0)
    server = front_for(tell_crowd, Terms(QUICK, (Share("caller", 1),)))
    clients = [Client(b"ab", None), Client(b"abcd"), Client(b"abcd")]

    async def all_at_once() -> None:
        await asyncio.gather(*(server.__rsgi__(Scope(content_length="4"), client) for client in clients))

    asyncio.run(all_at_once())

    assert [client.body for client in clients] == [b"", b"", b""]


@pytest.mark.parametrize(("until_answered", "told"), [(True, b"caller"), (False, b"")])
def test_place_ends_with_the_answer_or_with_the_body(until_answered: bool, told: bytes) -> None:
    """Two of one caller, with one place: the second comes while the first is at work."""
    terms = Terms(QUICK, (Share("caller", 1),), until_answered=until_answered)
    is_at_work, is_done = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/known" and not is_at_work.is_set():
            is_at_work.set()
            is_done.wait(5)
        return tell_crowd(environ, start_response)

    server, first, second = front_for(slow, terms), Client(b"ab"), Client(b"ab")

    async def one_after_the_other() -> None:
        under_way = asyncio.create_task(server.__rsgi__(Scope(content_length="2"), first))
        await asyncio.to_thread(is_at_work.wait, 5)
        await server.__rsgi__(Scope(content_length="2"), second)
        is_done.set()
        await under_way

    asyncio.run(one_after_the_other())

    assert (first.body, second.body) == (b"", told)


def tell_crowd(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Says which share was full."""
    start_response("200 OK", [])
    full = environ.get(CROWDED)
    return [full.name.encode() if full else b""]


def test_stream_is_sent_part_by_part_and_closed() -> None:
    stream = Stream()

    client = serve(Client(), Scope(), app=_answering(stream))

    assert client.body == b"one two"
    assert stream.closed


def test_stream_ends_when_its_client_goes_away() -> None:
    stream, client = Stream(), Client()
    client.is_gone = True

    serve(client, Scope(), app=_answering(stream))

    assert stream.closed


class Feed:
    """What Django hands back for a StreamingHttpResponse whose parts are still to come."""

    is_async = True

    def __init__(self, *parts: bytes, then: asyncio.Event | None = None) -> None:
        self._parts, self._then = parts, then
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        if self._then:
            await self._then.wait()

    def close(self) -> None:
        self.closed = True


def test_parts_that_are_still_to_come_are_sent_and_the_answer_closed() -> None:
    feed = Feed(b"one ", b"two")

    client = serve(Client(), Scope(), app=_answering(feed))

    assert client.body == b"one two"
    assert feed.closed


def test_streams_that_wait_hold_no_thread() -> None:
    async def many() -> None:
        waiting = asyncio.Event()
        feeds = [Feed(b"one", then=waiting) for _ in range(20)]
        clients = [Client() for _ in feeds]
        answers = iter(feeds)

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            return _answering(next(answers))(environ, start_response)

        server = front_for(app)  # of nine threads
        streams = [asyncio.create_task(server.__rsgi__(Scope(), client)) for client in clients]
        while not all(client.body for client in clients):
            await asyncio.sleep(0)
        assert not any(feed.closed for feed in feeds)
        waiting.set()
        await asyncio.gather(*streams)
        assert all(feed.closed for feed in feeds)

    asyncio.run(asyncio.wait_for(many(), timeout=60))


@pytest.mark.parametrize("by_sending", [True, False])
def test_stream_that_waits_ends_when_its_client_goes_away(by_sending: bool) -> None:
    async def leave() -> Feed:
        feed, client = Feed(b"one", then=asyncio.Event()), Client()
        client.is_gone = by_sending
        stream = asyncio.create_task(front_for(_answering(feed)).__rsgi__(Scope(), client))
        while not by_sending and not client.body:
            await asyncio.sleep(0)
        client.departed.set()
        await stream
        return feed

    assert asyncio.run(asyncio.wait_for(leave(), timeout=60)).closed


def test_stream_that_breaks_is_closed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Feed):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError("a bug")

    feed = Broken()

    client = serve(Client(), Scope(), app=_answering(feed))

    assert (client.body, feed.closed) == (b"one", True)
    assert "a stream broke off" in caplog.text


def test_header_with_underscores_cannot_pass_for_another() -> None:
    scope = Scope()
    scope.headers = {"x_api_key": "forged", "x-api-key": "mine", "cookie": "a=1"}

    environ = front.environ_of(scope)

    assert environ["HTTP_X_API_KEY"] == "mine"
    assert environ["REMOTE_ADDR"] == "::1"


def test_header_that_granian_cannot_read_does_not_vanish() -> None:
    scope = Scope()
    scope.headers = Headers({"idempotency-key": "schl\xfcssel", "accept": "image/*"})

    environ = front.environ_of(scope)

    assert environ["HTTP_IDEMPOTENCY_KEY"] == "\ufffd"  # no check lets it pass
    assert environ["HTTP_ACCEPT"] == "image/*"


@pytest.mark.parametrize("charset", ["utf-16", "cp037", '"hex"', "rot13", "idna", "latin-1; CHARSET = hex"])
@pytest.mark.parametrize("kind", ["application/json", 'multipart/form-data; boundary="a b"'])
def test_no_charset_of_a_body_hides_the_parameters_of_the_address(kind: str, charset: str) -> None:
    scope = Scope(content_type=f"{kind}; charset={charset}")
    scope.query_string = "dry_run=true"

    request = WSGIRequest(front.environ_of(scope))

    assert request.GET.dict() == {"dry_run": "true"}
    assert request.META["CONTENT_TYPE"] == kind


def test_path_and_query_are_bytes_in_disguise_as_wsgi_has_them() -> None:
    scope = Scope()
    scope.path, scope.query_string = "/é", "q=é"

    environ = front.environ_of(scope)

    assert environ["PATH_INFO"].encode("latin-1").decode() == "/é"
    assert environ["QUERY_STRING"].encode("latin-1").decode() == "q=é"


def test_chunked_body_that_stops_is_told_so() -> None:
    assert b"did not arrive in time" in serve(Client(b"ab", None), Scope(transfer_encoding="chunked")).body


def _answering(stream: Any) -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return stream

    return app
