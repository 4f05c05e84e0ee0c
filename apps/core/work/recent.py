"""A small memory of what was computed lately, so that the next request on the same photo is quick."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how much memory it holds."""

    @property
    def size_bytes(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=Sized)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    value: T
    dies_at_s: float


class Recent(Generic[T]):
    """
    The values used last, bounded by count, bytes and age. Safe to use from many threads.

    What has grown too old is dropped when its time comes, not only when somebody asks: it was computed from a client's photo.
    """

    def __init__(
        self, *, max_count: int, max_bytes: int, max_age_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            max_count, max_bytes: beyond either, the one unused for longest goes; a value over `max_bytes` is never kept.
            max_age_s: seconds from `put` on, however often the value is used.
            clock: seconds that only grow.
        """
        self._max_count, self._max_bytes, self._max_age_s = max_count, max_bytes, max_age_s
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def get(self, key: Hashable) -> T | None:
        """The value, if it is still there."""
        with self._lock:
            self._drop_old()
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: Hashable, value: T) -> None:
        """Keep a value for a while."""
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = _Entry(value, self._clock() + self._max_age_s)
            while len(self._entries) > self._max_count or self._held_bytes() > self._max_bytes:
                self._entries.popitem(last=False)
            self._drop_old()

    def drop_old(self) -> None:
        """Drop what is over its age; the timer's work."""
        with self._lock:
            self._timer = None
            self._drop_old()

    def _held_bytes(self) -> int:
        return sum(entry.value.size_bytes for entry in self._entries.values())

    def _drop_old(self) -> None:
        now_s = self._clock()
        for key in [key for key, entry in self._entries.items() if entry.dies_at_s <= now_s]:
            del self._entries[key]
        if self._entries and self._timer is None:
            first_s = min(entry.dies_at_s for entry in self._entries.values())
            self._timer = threading.Timer(max(0.05, first_s - now_s), self.drop_old)
            self._timer.daemon = True
            self._timer.start()
