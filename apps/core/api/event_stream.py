"""Server-sent events: what their streams share, whatever they tell of."""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from django.http import StreamingHttpResponse
from prometheus_client import Gauge

from apps.core.answers import Part, as_json
from apps.core.api.watching import Inbox, hub
from apps.core.errors import AppError, ErrorCode
from apps.core.identity import Identity
from apps.core.places import Places

STREAM_LIMIT_S = 60.0
_SIGN_OF_LIFE_S = 15.0
_MORE_STREAMS = 16  # beyond an account's jobs at once
_MOST_STREAMS = 1024
_places = Places(_MOST_STREAMS, spare=_MOST_STREAMS // 4)
OPEN_STREAMS = Gauge("keyline_event_streams", "Streams of server-sent events that are open")


def place_for(identity: Identity) -> Callable[[], None]:
    """
    A place for one more stream of the account, in this process; what it returns gives the place back.

    Raises:
        AppError: RATE_LIMITED where the account has its share, OVERLOADED where all accounts together have all.
    """
    share = identity.limits.jobs_at_once + _MORE_STREAMS
    if not _places.take(identity.account_id, of_one=share):
        if _places.taken_by(identity.account_id) >= share:
            issue = f"At most {share} event streams at once; open this one when another has ended."
            raise AppError(ErrorCode.RATE_LIMITED, issue, retry_after_s=5)
        raise AppError(ErrorCode.OVERLOADED, "Too many event streams are open; try again shortly.", retry_after_s=5)
    OPEN_STREAMS.inc()

    def give_back() -> None:
        _places.give_back(identity.account_id)
        OPEN_STREAMS.dec()

    return give_back


class EventStream(ABC):
    """
    The events about one row, until nothing more can come or STREAM_LIMIT_S have passed.

    An asynchronous iterable for one reader in the front's event loop; `close`, which Django calls however the answer ends,
    gives back its place.
    """

    def __init__(self, topic: str, place: Callable[[], None]) -> None:
        self._topic = topic
        self._held = contextlib.ExitStack()
        self._held.callback(place)
        self._coming: asyncio.Task[bytes | None] | None = None

    @abstractmethod
    def events(self, inbox: Inbox) -> AsyncIterator[bytes]:
        """The events as they are sent; `inbox` has what is heard of the row from now on."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + STREAM_LIMIT_S
        inbox = await hub().watch(self._topic)
        self._held.callback(hub().leave, inbox)
        events = self.events(inbox)
        while (left := end - loop.time()) > 0:
            self._coming = self._coming or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait([self._coming], timeout=min(left, _SIGN_OF_LIFE_S))
            if not done:
                if loop.time() < end:
                    yield b": waiting\n\n"  # keeps proxies from hanging up
                continue
            event, self._coming = self._coming.result(), None
            if event is None:
                return
            yield event

    def close(self) -> None:
        if self._coming:
            self._coming.cancel()
        self._held.close()


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    return await anext(events, None)


def state_event(event_id: str, data: Part) -> bytes:
    """What is so now, as an event."""
    return f"id: {event_id}\nevent: state\ndata: {json.dumps(as_json(data))}\n\n".encode()


def event_response(events: EventStream | Iterable[bytes]) -> StreamingHttpResponse:
    """The answer that carries them."""
    told: Any = events
    response = StreamingHttpResponse(told, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response
