"""
What is told of rows while they change, to many streams of one process: one connection to Redis and one query every few seconds,
however many watch.

Everything here happens in the event loop of the front, but for looks at the database, which take turns in two threads. A message
on the channel is `KIND:ID` and perhaps a text; without one it says that the row is worth a look.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis.asyncio
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.core.broker import STEPS_CHANNEL

_LOOK_EVERY_S = 2.0
_LOOK_WHEN_DEAF_S = 0.5
_HEAR_AGAIN_S = 1.0
_LONGEST_SILENCE_S = 10.0
_threads = ThreadPoolExecutor(2, thread_name_prefix="watching")
_looks: dict[str, Callable[[Iterable[str]], Mapping[str, str]]] = {}
_Result = TypeVar("_Result")


def register_look(kind: str, look: Callable[[Iterable[str]], Mapping[str, str]]) -> None:
    """
    Say how rows of a kind are looked at while no message tells of them.

    Args:
        look: ids -> what would be told of each now, with one query for all. What was told before may be told again.
    """
    _looks[kind] = look


async def in_thread(call: Callable[..., _Result], *arguments: object) -> _Result:
    """Call what asks the database; its connection goes back to the pool at once."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _with_connection, call, arguments)


async def insist(call: Callable[[], _Result]) -> _Result:
    """The same, again and again while the database is away."""
    while True:
        try:
            return await in_thread(call)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(_LOOK_WHEN_DEAF_S)


def _with_connection(call: Callable[..., _Result], arguments: tuple[object, ...]) -> _Result:
    try:
        return call(*arguments)
    finally:
        connection.close()


class Inbox(asyncio.Queue[str]):
    """What comes for one stream: texts, "" for a look at the row."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic


class Hub:
    """
    Hands what is heard to the streams of one event loop; hears and looks only while there are some.

    Attributes:
        is_hearing: whether Redis answers.
    """

    def __init__(self) -> None:
        self._inboxes: defaultdict[str, set[Inbox]] = defaultdict(set)
        self._tasks: list[asyncio.Task[None]] = []
        self.is_hearing = False
        self._has_tried = asyncio.Event()

    async def watch(self, topic: str) -> Inbox:
        """An inbox for what is told of `topic` from now on; it is to be given to `leave`."""
        inbox = Inbox(topic)
        self._inboxes[topic].add(inbox)
        if not self._tasks:
            self._has_tried.clear()
            self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._look())]
        try:
            await self._has_tried.wait()
        except asyncio.CancelledError:  # the client has gone: nobody would give it back
            self.leave(inbox)
            raise
        return inbox

    def leave(self, inbox: Inbox) -> None:
        """The end of what `watch` began; a second time is none."""
        self._inboxes[inbox.topic].discard(inbox)
        if not self._inboxes[inbox.topic]:
            del self._inboxes[inbox.topic]
        if not self._inboxes:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def _hand_out(self, topic: str, text: str) -> None:
        for inbox in self._inboxes.get(topic, ()):
            inbox.put_nowait(text)

    async def _hear(self) -> None:
        """Hand out what comes on the channel; a broker that is away is tried again and again."""
        while True:
            try:
                await self._hear_one_connection()
            except (redis.RedisError, OSError):
                self.is_hearing = False
                self._has_tried.set()
                await asyncio.sleep(_HEAR_AGAIN_S)

    async def _hear_one_connection(self) -> None:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=_LONGEST_SILENCE_S
        )
        async with client, client.pubsub() as channel:
            await channel.subscribe(STEPS_CHANNEL)
            while True:
                message = await channel.get_message(timeout=_LONGEST_SILENCE_S)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self.is_hearing = True
                    self._has_tried.set()
                    for topic in list(self._inboxes):  # something may have been told before
                        self._hand_out(topic, "")
                elif message["type"] == "message":
                    topic, _, text = message["data"].decode().partition(" ")
                    self._hand_out(topic, text)

    async def _look(self) -> None:
        """Hand out what the rows say every few seconds: a message may have got lost."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S if self.is_hearing else _LOOK_WHEN_DEAF_S)
            ids: defaultdict[str, list[str]] = defaultdict(list)
            for topic in self._inboxes:
                kind, _, id = topic.partition(":")
                ids[kind].append(id)
            for kind, watched in ids.items():
                try:
                    seen = await in_thread(_looks[kind], watched)
                except (OperationalError, InterfaceError):  # away for a moment: then there is nothing new
                    continue
                for id, text in seen.items():
                    self._hand_out(f"{kind}:{id}", text)


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The running event loop's."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
