"""
Work of the `io` worker: what waits for other machines and needs no pixels, such as deliveries and fetching.

A message is only a wake-up: the rows say what is due, each errand claims them (`FOR UPDATE SKIP LOCKED`, a lease), and the
sweeper wakes again what was forgotten. Every errand has places of its own, so that slow ones never hold up another.

A service registers its errand when it starts, and wakes it whenever it commits a row that is due:

    errands.register_errand("deliveries", run=deliver_next, due=count_due, places=32)
    transaction.on_commit(partial(errands.wake, "deliveries"), robust=True)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from celery import shared_task
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from apps.core.broker import broker

log = logging.getLogger(__name__)
QUEUE = "io"
_MOST_MESSAGES = 512
"""In the queue: more would tell nothing new, and with no `io` worker they would grow for ever."""


@dataclass(frozen=True)
class Errand:
    """
    A kind of work for the `io` worker.

    Args:
        name: as its messages call it.
        run: claims one due row and deals with it, whatever comes; returns False where none was due. What it waits for
            others it does without a database connection (`connection.close()` gives it back to the pool).
        due: how many rows are due and in nobody's hands, counted up to its argument.
        places: threads that a process may have at it at once.
    """

    name: str
    run: Callable[[], bool]
    due: Callable[[int], int]
    places: int
    _turned_away: threading.Event = field(default_factory=threading.Event)
    _free: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_free", threading.Semaphore(self.places))

    def work(self) -> None:
        """Deal with row after row until none is due; nothing where every place is taken: those who have them look again."""
        while self._free.acquire(blocking=False):
            self._turned_away.clear()
            try:
                while self.run():
                    pass
            finally:
                self._free.release()
            if not self._turned_away.is_set():
                return
        self._turned_away.set()


_errands: dict[str, Errand] = {}


def register_errand(name: str, run: Callable[[], bool], *, due: Callable[[int], int], places: int = 8) -> None:
    """Called once by the service whose work it is, when it starts; `Errand` says what the arguments are."""
    _errands[name] = Errand(name, run, due, places)


def all_errands() -> list[Errand]:
    return list(_errands.values())


@shared_task(ignore_result=True)
def run_errand(name: str) -> None:
    """One wake-up of an errand; one that this release does not know is none of ours."""
    errand = _errands.get(name)
    if errand is None:
        log.warning("no errand has this name", extra={"facts": {"errand": name}})
        return
    try:
        errand.work()
    except DatabaseError:
        log.exception("the database does not answer; the sweeper will wake us again", extra={"facts": {"errand": name}})


def wake(name: str) -> None:
    """Send one wake-up; if the broker is away the sweeper sends another within seconds."""
    try:
        run_errand.apply_async(args=(name,), queue=QUEUE, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will wake the io worker")


def wake_due() -> int:
    """The sweeper's round: wake-ups for what has become due or was forgotten. Returns how many."""
    try:
        room = _MOST_MESSAGES - broker().llen(QUEUE)
    except redis.RedisError:
        return 0
    woken = 0
    for errand in _errands.values():
        for _ in range(min(errand.due(errand.places), max(0, room - woken))):
            wake(errand.name)
            woken += 1
    return woken
