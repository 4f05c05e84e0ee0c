"""Servers that go away at the worst moment, in one process; tests/stack/test_fire.py kills real ones."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, DataError, OperationalError, connection, connections
from django.utils import timezone

from apps.core import idempotency, jobs, lifecycle, sweeper, tasks
from apps.core.api.exceptions import as_app_error
from apps.core.broker import broker
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job, State
from apps.core.outcome import Outcome
from apps.core.owner import Mode
from apps.core.storage import result_store
from apps.core.work.worker import Worker
from config.postgres import BoundedConnection
from tests.api import Api
from tests.contract.books import asleep, books_balance, credits
from tests.drawing import photo_png

NOTHING_DONE = Outcome(artifacts={}, facts={}, model="m", device="cpu", chargeable=True)


def send(api: Api, **headers: str) -> Any:
    return api.post("/v1/remove-bg/universal", {"image": io.BytesIO(photo_png())}, **headers)


@pytest.fixture
def queued(api: Api, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that no worker has heard of."""
    asleep(monkeypatch)
    return Job.objects.get(id=send(api, Prefer="respond-async").json()["data"]["jobId"])


def failing_once(function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """Raise at the first call; what the caller does then is the point."""
    errors = [error]

    def call(*args: Any, **kwargs: Any) -> Any:
        if errors:
            raise errors.pop()
        return function(*args, **kwargs)

    return call


# --- the database -----------------------------------------------------------------------------------------


def test_job_whose_commit_was_not_confirmed_keeps_its_input(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    database, take, is_submit = type(connections[DEFAULT_DB_ALIAS]), idempotency.take, []
    commit = database._commit

    def take_and_remember(*arguments: Any) -> None:
        take(*arguments)
        is_submit.append(True)

    def commit_and_break(self: Any) -> None:
        commit(self)
        if is_submit:
            raise OperationalError("the connection broke before the answer came")

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "take", take_and_remember)
        patch.setattr(database, "_commit", commit_and_break)
        first = send(api, **key)
    tasks.run_next()
    again = send(api, **key)

    assert (first.status_code, first.headers["Retry-After"]) == (503, "5")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert credits(api) == {"balance": 999, "held": 0}


def test_worker_repeats_its_last_writes_when_the_database_was_away(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_RETRY_EVERY_S", 0)
    for write in ("_move", "settle"):
        monkeypatch.setattr(lifecycle, write, failing_once(getattr(lifecycle, write), OperationalError()))

    tasks.run_next()

    queued.refresh_from_db()
    assert (queued.state, queued.attempt, queued.charged_credits) == (State.SUCCEEDED, 1, 1)
    assert books_balance()


def test_waiting_client_outlasts_a_short_absence_of_the_database(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_POLL_S", 0)
    tasks.run_next()
    monkeypatch.setattr(Job, "refresh_from_db", failing_once(Job.refresh_from_db, OperationalError()))

    assert jobs.wait(queued, timeout_s=5).state == State.SUCCEEDED


def test_waiting_client_is_told_when_the_database_stays_away(queued: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Job) -> None:
        raise OperationalError

    monkeypatch.setattr(Job, "refresh_from_db", away)

    with pytest.raises(OperationalError):
        jobs.wait(queued, timeout_s=0.1)


def test_statement_without_an_answer_ends(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "patience_s", 0.1)
    facts = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME")}
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}

    with BoundedConnection.connect(**{names[name]: value for name, value in facts.items()}) as bounded:
        with pytest.raises(psycopg.OperationalError, match="has not answered"):
            bounded.execute("SELECT pg_sleep(5)")

        assert bounded.closed


def test_only_a_database_that_is_away_is_a_503() -> None:
    assert as_app_error(OperationalError()).code is ErrorCode.OVERLOADED
    assert as_app_error(DataError()).code is ErrorCode.INTERNAL_ERROR


# --- the store --------------------------------------------------------------------------------------------


def test_job_whose_input_got_lost_fails_at_once_and_frees_its_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"Idempotency-Key": "k"}
    with monkeypatch.context() as patch:
        asleep(patch)
        job = Job.objects.get(id=send(api, Prefer="respond-async", **key).json()["data"]["jobId"])
    result_store().delete_prefix(job.input_prefix)

    tasks.run_next()

    job.refresh_from_db()
    assert (job.state, job.error["code"], job.error["retryable"]) == (State.FAILED, "PROCESSING_FAILED", True)
    assert credits(api) == {"balance": 1000, "held": 0}
    assert send(api, **key).status_code == 200


def test_replay_of_a_result_that_got_lost_is_a_410(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    job = Job.objects.get(id=send(api, **key).headers["X-Job-Id"])
    result_store().delete_prefix(job.result_prefix)

    assert send(api, **key).status_code == 410
    assert credits(api)["balance"] == 999


# --- workers ----------------------------------------------------------------------------------------------


def test_restarted_worker_gives_back_what_it_held(queued: Job) -> None:
    lifecycle.claim("gone")

    assert lifecycle.take_back_from("somebody else") == 0
    assert lifecycle.take_back_from("gone") == 1

    queued.refresh_from_db()
    assert (queued.state, queued.crashes) == (State.QUEUED, 1)


def test_restarted_worker_ends_the_settlement_that_it_had_begun(api: Api, queued: Job) -> None:
    job = lifecycle.claim("gone")
    lifecycle._move(job, State.RUNNING, State.SETTLING, outcome=NOTHING_DONE.to_json())

    lifecycle.take_back_from("gone")

    queued.refresh_from_db()
    assert (queued.state, queued.charged_credits) == (State.SUCCEEDED, 1)
    assert books_balance()


def test_worker_holds_two_jobs_a_slot_and_remembers_who_found_no_place() -> None:
    worker = Worker(name="w", runners={}, facts={"slots": 1})

    with worker.place() as first, worker.place() as second:
        turned_away_before = worker.has_turned_away()
        with worker.place() as third:
            pass

    assert (first, second, third) == (True, True, False)
    assert (turned_away_before, worker.has_turned_away(), worker.has_turned_away()) == (False, True, False)


def test_one_job_that_cannot_be_moved_does_not_hold_up_the_others(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(api, Prefer="respond-async")
    stuck, other = lifecycle.claim("w"), lifecycle.claim("w")
    Job.objects.update(lease_until=timezone.now())
    take_back = lifecycle.take_back

    def refuse_one(job: Job) -> None:
        if job.id == stuck.id:
            raise AppError(ErrorCode.INSUFFICIENT_CREDITS)
        take_back(job)

    monkeypatch.setattr(lifecycle, "take_back", refuse_one)

    sweeper.take_back_lapsed()

    assert dict(Job.objects.values_list("id", "state")) == {stuck.id: State.RUNNING, other.id: State.QUEUED}


# --- the broker -------------------------------------------------------------------------------------------


def test_broker_that_hangs_is_listened_to_once(queued: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    listened: list[int] = []

    def hang(*_: Any, **__: Any) -> None:
        import redis

        listened.append(1)
        raise redis.TimeoutError

    monkeypatch.setattr(jobs, "_POLL_S", 0.01)
    monkeypatch.setattr(broker(), "blpop", hang)

    jobs.wait(queued, timeout_s=0.1)

    assert listened == [1]


# --- many at once -----------------------------------------------------------------------------------------


def test_request_whose_row_is_not_there_yet_is_counted(api: Api, settings: Any) -> None:
    settings.MAX_QUEUED_JOBS = 1
    first, second = (jobs.admitted(order_of(api), deadline_s=None) for _ in range(2))
    with first, pytest.raises(AppError) as refused, second:
        pass

    assert refused.value.code is ErrorCode.OVERLOADED
    with jobs.admitted(order_of(api), deadline_s=None):  # both have gone
        pass


def test_second_request_with_a_key_on_its_way_is_a_409(api: Api) -> None:
    with jobs.admitted(order_of(api, key="k"), deadline_s=None):
        with jobs.admitted(order_of(api, key="other"), deadline_s=None), jobs.admitted(order_of(api), deadline_s=None):
            pass
        with pytest.raises(AppError) as refused, jobs.admitted(order_of(api, key="k"), deadline_s=None):
            pass

    assert (refused.value.code, refused.value.retry_after_s) == (ErrorCode.CONFLICT, 1)


def test_client_that_takes_a_202_is_not_refused_for_being_late(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.broker, "paces_s", lambda names: dict.fromkeys(names, 1000.0))
    asleep(monkeypatch)
    send(api, Prefer="respond-async")

    assert send(api, Prefer="wait=0").status_code == 202
    assert send(api).status_code == 503


def order_of(api: Api, *, key: str | None = None) -> Any:
    """As much of an Order as admission looks at."""
    ticket = None if key is None else SimpleNamespace(key=key)
    return SimpleNamespace(
        identity=SimpleNamespace(account_id=api.account.id, mode=Mode.LIVE), pace_name="remove-bg", ticket=ticket
    )
