"""A job in hand stays in hand while its worker lives, comes back when it does not, and ends the process when it hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from apps.core import lifecycle, sweeper, tasks
from apps.core.broker import broker
from apps.core.models import Job, State
from apps.core.work import worker as worker_module
from apps.core.work.worker import Worker
from tests.api import Api
from tests.contract.books import asleep, books_balance, credits

SOON = timedelta(seconds=1)


class EndedError(BaseException):
    """In place of the process's end, or of the next round of an endless loop."""


@pytest.fixture
def queued(api: Api, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that no worker has heard of."""
    asleep(monkeypatch)
    return Job.objects.get(id=api.send(Prefer="respond-async").json()["data"]["jobId"])


@pytest.fixture
def worker() -> Worker:
    return Worker(name="w", runners={}, facts={})


def one_round(monkeypatch: pytest.MonkeyPatch, loop: Callable[[], None], *, pauses_first: bool, **clock: Any) -> None:
    """Run an endless loop of the worker once: its second pause ends it, or its first where it begins with work."""
    pauses = [None] if pauses_first else []

    def pause(_: float) -> None:
        if not pauses:
            raise EndedError
        pauses.pop()

    monkeypatch.setattr(worker_module, "time", SimpleNamespace(sleep=pause, **({"monotonic": time.monotonic} | clock)))
    monkeypatch.setattr(worker_module, "close_old_connections", lambda: None)  # the test's own is among them
    with pytest.raises(EndedError):
        loop()


def lease_of(job: Job) -> Any:
    return Job.objects.values_list("lease_until", flat=True).get(id=job.id)


# --- renewed ------------------------------------------------------------------------------------------------


def test_leases_of_jobs_in_hand_are_renewed_and_the_heart_beats(
    queued: Job, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lifecycle.claim("w")
    Job.objects.update(lease_until=timezone.now() + SOON)
    broker().hdel("keyline:workers", "w")

    with worker.holding(job):
        one_round(monkeypatch, worker._keep_alive, pauses_first=False)
    renewed = lease_of(job)
    one_round(monkeypatch, worker._keep_alive, pauses_first=False)

    assert renewed > timezone.now() + timedelta(seconds=10)
    assert lease_of(job) == renewed
    assert broker().hdel("keyline:workers", "w") == 1


def test_lease_that_went_to_another_worker_is_not_renewed_by_the_first(queued: Job) -> None:
    first = lifecycle.claim("w")
    Job.objects.update(lease_until=timezone.now() + SOON, attempt=first.attempt + 1)
    before = lease_of(first)

    lifecycle.renew_leases([(first.id, first.attempt)])

    assert lease_of(first) == before


def test_job_is_in_hand_while_it_runs_and_not_after(queued: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[dict[Any, Any]] = []
    worker = worker_module.this_worker()
    monkeypatch.setattr(lifecycle, "run", lambda job, execute: held.append(dict(worker._in_hand)))

    tasks.run_next()

    assert [list(each) for each in held] == [[queued.id]]
    assert worker._in_hand == {}


def test_worker_that_starts_keeps_leases_and_watches(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    thread = lambda target, **_: SimpleNamespace(start=lambda: started.append(target))  # noqa: E731
    monkeypatch.setattr(worker_module, "threading", SimpleNamespace(**vars(threading) | {"Thread": thread}))

    worker.start()

    assert started == [worker._keep_alive, worker._watch]


# --- lapsed -------------------------------------------------------------------------------------------------


def test_only_a_lapsed_job_is_taken_back(queued: Job) -> None:
    lifecycle.claim("w")

    assert sweeper.take_back_lapsed() == 0
    Job.objects.update(lease_until=timezone.now() - SOON)
    assert sweeper.take_back_lapsed() == 1

    queued.refresh_from_db()
    assert (queued.state, queued.crashes, queued.lease_until) == (State.QUEUED, 1, None)


def test_job_whose_lease_was_renewed_a_moment_ago_is_left_alone(queued: Job) -> None:
    lifecycle.claim("w")
    Job.objects.update(lease_until=timezone.now() - SOON)
    (lapsed,) = lifecycle.lapsed()
    lifecycle.renew_leases([(lapsed.id, lapsed.attempt)])

    lifecycle.take_back(lapsed)

    queued.refresh_from_db()
    assert queued.state == State.RUNNING


def test_worker_that_lost_its_job_writes_nothing_over_its_successor(queued: Job) -> None:
    first = lifecycle.claim("w")
    Job.objects.update(lease_until=timezone.now() - SOON)
    sweeper.take_back_lapsed()
    second = lifecycle.claim("v")

    assert not lifecycle.fail(first, lifecycle.AppError(lifecycle.ErrorCode.PROCESSING_FAILED))
    with pytest.raises(lifecycle.LeaseLostError):
        lifecycle.report(first, stage="infer", progress=0.5)

    queued.refresh_from_db()
    assert (queued.state, queued.attempt, second.attempt) == (State.RUNNING, 2, 2)


def test_third_worker_that_dies_with_a_job_is_the_last(api: Api, queued: Job) -> None:
    for _ in range(3):
        lifecycle.claim("w")
        Job.objects.update(lease_until=timezone.now() - SOON)
        sweeper.take_back_lapsed()

    queued.refresh_from_db()
    assert (queued.state, queued.error["code"]) == (State.FAILED, "PROCESSING_FAILED")
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_job_that_was_given_back_is_no_crash(queued: Job) -> None:
    for _ in range(3):
        lifecycle.give_back(lifecycle.claim("w"))
        Job.objects.update(lease_until=timezone.now() - SOON)
        sweeper.take_back_lapsed()

    queued.refresh_from_db()
    assert (queued.state, queued.crashes) == (State.QUEUED, 0)


# --- hung ---------------------------------------------------------------------------------------------------


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The codes with which the process would have ended."""
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise EndedError

    monkeypatch.setattr(worker_module.os, "_exit", end)
    monkeypatch.setattr(worker_module.logging, "shutdown", lambda: None)
    return codes


@pytest.mark.parametrize(("age_s", "ends"), [(119, []), (121, [70])])
def test_job_over_its_limit_ends_the_process(
    age_s: int, ends: list[int], queued: Job, worker: Worker, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lifecycle.claim("w")

    with worker.holding(job):
        later = time.monotonic() + age_s
        one_round(monkeypatch, worker._watch, pauses_first=True, monotonic=lambda: later)

    assert exits == ends


@pytest.mark.parametrize(("crashes", "state"), [(1, State.RUNNING), (2, State.FAILED)])
def test_job_that_hung_in_every_worker_fails_with_the_last_of_them(
    crashes: int, state: State, queued: Job, worker: Worker, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lifecycle.claim("w")
    Job.objects.update(crashes=crashes)

    with worker.holding(job):
        later = time.monotonic() + 121
        one_round(monkeypatch, worker._watch, pauses_first=True, monotonic=lambda: later)

    queued.refresh_from_db()
    assert (queued.state, exits) == (state, [70])
