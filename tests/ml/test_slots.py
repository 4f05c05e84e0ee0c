"""Who runs when; no network, no time."""

from __future__ import annotations

import os
import threading

import pytest

from ml.sessions.slots import InferenceSlots


def test_slots_bound_the_runs_at_once() -> None:
    slots = InferenceSlots(2, threads_per_run=1)
    inside = threading.Semaphore(0)
    leave = threading.Event()

    def work() -> None:
        inside.release()
        leave.wait(10)

    threads = [threading.Thread(target=slots.run, args=(work,)) for _ in range(3)]
    for thread in threads:
        thread.start()

    assert inside.acquire(timeout=60)
    assert inside.acquire(timeout=60)
    assert not inside.acquire(timeout=0.05), "a third run got in"
    leave.set()
    assert inside.acquire(timeout=60)
    for thread in threads:
        thread.join()


def test_slot_is_free_again_after_an_error() -> None:
    slots = InferenceSlots(1, threads_per_run=1)

    def bad() -> None:
        raise RuntimeError("bad")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="bad"):
            slots.run(bad)


def test_network_goes_first_when_its_caller_gives_way() -> None:
    slots = InferenceSlots(2, threads_per_run=1)
    seen: list[tuple[int, int]] = []

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def caller() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        seen.append((priority(), slots.run(priority)))

    threads = [threading.Thread(target=caller) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [(10, priority())] * 3


@pytest.mark.parametrize(
    ("cores", "count", "threads"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (6, 1, 6), (8, 2, 4), (16, 4, 4)]
)
def test_slots_fit_the_machine(monkeypatch: pytest.MonkeyPatch, cores: int, count: int, threads: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    slots = InferenceSlots()

    assert (slots.count, slots.threads_per_run) == (count, threads)
    assert InferenceSlots(cores).threads_per_run == 1


def test_slots_refuse_none_at_all() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InferenceSlots(0)
