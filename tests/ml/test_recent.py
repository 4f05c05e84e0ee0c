"""What is kept of the last photos: bounded three ways, and gone in time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from apps.core.work.recent import Recent


@dataclass(frozen=True)
class Thing:
    name: str
    size_bytes: int = 10


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def recent(clock: Clock | None = None, *, max_count: int = 3, max_bytes: int = 1000) -> Recent[Thing]:
    return Recent(max_count=max_count, max_bytes=max_bytes, max_age_s=60, clock=clock or Clock())


def test_one_unused_for_longest_goes_first() -> None:
    memory = recent()
    for name in "abc":
        memory.put(name, Thing(name))
    memory.get("a")

    memory.put("d", Thing("d"))

    assert [memory.get(name) for name in "abcd"] == [Thing("a"), None, Thing("c"), Thing("d")]


def test_bytes_are_bounded_too() -> None:
    memory = recent(max_bytes=25)
    for name in "abc":
        memory.put(name, Thing(name))
    memory.put("huge", Thing("huge", 26))

    assert [memory.get(name) for name in ("a", "b", "c", "huge")] == [None, None, None, None]
    memory.put("b", Thing("b", 25))
    assert memory.get("b") == Thing("b", 25)


def test_age_counts_from_the_start_however_often_it_is_used() -> None:
    clock = Clock()
    memory = recent(clock)
    memory.put("a", Thing("a"))
    clock.now_s = 59
    assert memory.get("a") == Thing("a")

    clock.now_s = 60

    assert memory.get("a") is None


def test_what_is_too_old_goes_although_nobody_asks() -> None:
    clock = Clock()
    memory = recent(clock)
    memory.put("a", Thing("a"))
    clock.now_s = 61

    memory.drop_old()

    clock.now_s = 0
    assert memory.get("a") is None


def test_timer_is_set_for_the_first_that_dies_and_stops_with_the_last() -> None:
    clock = Clock()
    memory = recent(clock)
    assert memory._timer is None
    memory.put("a", Thing("a"))
    assert memory._timer is not None
    assert memory._timer.daemon
    assert memory._timer.interval == 60
    memory._timer.cancel()
    clock.now_s = 61

    memory.drop_old()

    assert memory._timer is None


def test_many_threads_share_it() -> None:
    memory = recent(max_count=5)
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(200):
            name = f"{number}-{turn % 7}"
            memory.put(name, Thing(name))
            found = memory.get(name)
            wrong.extend([name] if found is not None and found.name != name else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
