"""A client that watches an event stream, one event at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any


class Watching:
    """
    The events of an answer that the test's client got, in an event loop that runs only while one is waited for.

    Use it in a `with`: its end is that of a client that goes away.
    """

    def __init__(self, response: Any) -> None:
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream"), response
        self._response = response
        self._loop = asyncio.new_event_loop()
        self._events = aiter(response.streaming_content)

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._leave())
            self._loop.close()

    def __iter__(self) -> Iterator[bytes]:
        while (event := self._loop.run_until_complete(self._next())) is not None:
            yield event

    def next(self) -> dict[str, Any]:
        """The job that the next event tells."""
        return job_in(next(iter(self)))

    async def _next(self) -> bytes | None:
        async with asyncio.timeout(30):
            return await anext(self._events, None)

    async def _leave(self) -> None:
        self._response.close()
        await self._events.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*left, return_exceptions=True)


def events_of(response: Any) -> list[bytes]:
    """All of them, until the stream ends."""
    with Watching(response) as watching:
        return list(watching)


def job_in(event: bytes) -> dict[str, Any]:
    """The job that an event tells."""
    lines = event.decode().splitlines()
    told: dict[str, Any] = json.loads(lines[2].removeprefix("data: "))
    return told


def id_of(event: bytes) -> str:
    """Of an event, as a client sends it back in Last-Event-ID."""
    return event.decode().splitlines()[0].removeprefix("id: ")
