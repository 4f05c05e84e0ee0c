"""Who gets a whole slot and who a part of one; no network, no time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from ml.sessions.slots import InferenceSlots


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> InferenceSlots:
    """The one slot of a machine of two cores."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    return InferenceSlots(share=True)


class Runs:
    """Runs that stay until they are told to end; `begun` lists what has begun, in order."""

    def __init__(self, slots: InferenceSlots) -> None:
        self._slots = slots
        self._begun_one = threading.Condition()
        self.begun: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def want(self, name: str, *, whole: bool = False) -> None:
        """Ask for a run in a thread of its own, and wait until it stands in the line or runs."""
        before = self._in_line()
        self._ends[name] = threading.Event()

        def run(width: str) -> Callable[[], None]:
            return lambda: self._stay(name, width)

        ask = (
            (lambda: self._slots.run(run("wide")))
            if whole
            else lambda: self._slots.run_either(run("wide"), run("narrow"))
        )
        self._threads.append(threading.Thread(target=ask))
        self._threads[-1].start()
        while self._in_line() == before and not any(entry.startswith(f"{name} ") for entry in self.begun):
            threading.Event().wait(0.001)

    def want_all(self, names: str) -> None:
        """One after the other, each of one letter."""
        for name in names:
            self.want(name)

    def end(self, name: str) -> None:
        self._ends[name].set()

    def wait_for(self, count: int) -> list[str]:
        with self._begun_one:
            assert self._begun_one.wait_for(lambda: len(self.begun) >= count, timeout=60), self.begun
        return self.begun

    def finish(self) -> None:
        for end in self._ends.values():
            end.set()
        for thread in self._threads:
            thread.join(5)

    def _in_line(self) -> int:
        return len(self._slots._turns)

    def _stay(self, name: str, width: str) -> None:
        with self._begun_one:
            self.begun.append(f"{name} {width}")
            self._begun_one.notify_all()
        self._ends[name].wait(5)


def test_lone_run_gets_every_core(slots: InferenceSlots) -> None:
    runs = Runs(slots)

    runs.want("a")

    assert runs.wait_for(1) == ["a wide"]
    runs.finish()


def test_runs_that_wait_for_each_other_share_the_slot(slots: InferenceSlots) -> None:
    runs = Runs(slots)
    runs.want_all("abcd")

    runs.end("a")

    assert runs.wait_for(3) == ["a wide", "b narrow", "c narrow"]
    runs.end("b")
    assert runs.wait_for(4)[3] == "d narrow"
    runs.finish()


def test_wide_only_run_is_not_overtaken(slots: InferenceSlots) -> None:
    runs = Runs(slots)
    runs.want_all("abc")
    runs.want("whole", whole=True)
    runs.want("d")
    runs.end("a")
    runs.wait_for(3)

    runs.end("b")
    runs.end("c")

    assert runs.wait_for(4)[3] == "whole wide"
    runs.end("whole")
    assert runs.wait_for(5)[4] == "d wide"
    runs.finish()


def test_parts_are_free_again_after_an_error(slots: InferenceSlots) -> None:
    def bad() -> None:
        raise RuntimeError("bad")

    for _ in range(3):
        with pytest.raises(RuntimeError, match="bad"):
            slots.run_either(bad, bad)

    assert slots.run(lambda: "free") == "free"


@pytest.mark.parametrize(("cores", "jobs"), [(1, 1), (2, 2), (4, 2), (8, 2), (16, 4)])
def test_only_the_one_slot_of_a_small_machine_is_shared(monkeypatch: pytest.MonkeyPatch, cores: int, jobs: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    assert InferenceSlots(share=True).jobs == jobs
    assert InferenceSlots().jobs == InferenceSlots().count


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
