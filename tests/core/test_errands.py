"""The io worker's errands: rows are dealt with whoever was woken, and no errand takes another's threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import DatabaseError

from apps.core import errands
from apps.core.errands import Errand


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> dict[str, Errand]:
    registered: dict[str, Errand] = {}
    monkeypatch.setattr(errands, "_errands", registered)
    return registered


def test_one_wake_up_deals_with_every_row_that_is_due() -> None:
    rows = [1, 2, 3]
    errands.register_errand("rows", lambda: bool(rows and rows.pop()), due=len)

    errands.run_errand("rows")

    assert rows == []


def test_who_finds_no_place_makes_those_who_have_one_look_again() -> None:
    looks: list[int] = []

    def run() -> bool:
        looks.append(1)
        if len(looks) == 1:  # it found nothing, and before it is gone the next row comes with its wake-up
            errand.work()
        return False

    errand = Errand("rows", run, lambda most: 0, places=1)

    errand.work()

    assert len(looks) == 2


def test_a_slow_errand_holds_up_no_other() -> None:
    begun, may_go, rows = threading.Semaphore(0), threading.Event(), [1]

    def hang() -> bool:
        begun.release()
        may_go.wait(10)
        return False

    errands.register_errand("slow", hang, due=lambda most: 0, places=2)
    errands.register_errand("quick", lambda: bool(rows and rows.pop()), due=lambda most: 0, places=1)
    threads = [threading.Thread(target=errands.run_errand, args=["slow"]) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=10)
    assert begun.acquire(timeout=10)

    errands.run_errand("slow")  # finds no place, and does not wait for one
    errands.run_errand("quick")

    assert rows == []
    may_go.set()
    for thread in threads:
        thread.join(10)


def test_an_errand_survives_a_database_that_is_away_and_keeps_its_place() -> None:
    answers: list[Any] = [DatabaseError(), True, False]

    def run() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    errands.register_errand("rows", run, due=lambda most: 0, places=1)

    errands.run_errand("rows")
    errands.run_errand("rows")

    assert answers == []


def test_an_errand_of_another_release_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    errands.run_errand("unknown")

    assert caplog.messages == ["no errand has this name"]


def test_sweeper_wakes_as_many_as_are_due_and_have_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr(errands, "wake", woken.append)
    monkeypatch.setattr(errands, "broker", type("Broker", (), {"llen": lambda self, name: 0}))
    errands.register_errand("few", lambda: False, due=lambda most: min(most, 2), places=4)
    errands.register_errand("many", lambda: False, due=lambda most: min(most, 900), places=4)

    assert errands.wake_due() == 6
    assert woken == ["few"] * 2 + ["many"] * 4
