"""`DELETE /v1/jobs/{id}` at every step of a job: what got its 204 before a success is never charged, and nothing stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.billing.funding import CreditFunding
from apps.billing.models import LedgerEntry
from apps.core import jobs, lifecycle, tasks
from apps.core.api import events
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job, State
from apps.core.operations import operation_named
from apps.core.outcome import Outcome
from apps.core.storage import ResultStore, StoreAwayError
from apps.core.sweeper import purge_expired, take_back_lapsed
from apps.core.work.execution import File, Work
from apps.stack.paths import ROOT
from tests.api import Api, upload
from tests.contract.books import asleep, books_balance, credits
from tests.contract.objects import stored_below
from tests.contract.watching import Watching, job_in
from tests.watermarks import marked_png

Step = Callable[..., Any]


@pytest.fixture
def queued(api: Api, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that no worker has heard of."""
    asleep(monkeypatch)
    return Job.objects.get(id=api.send(Prefer="respond-async").json()["data"]["jobId"])


def before(function: Step, act: Callable[[], Any]) -> Step:
    """The function, with something that happens just before its first call."""
    acts = [act]

    def call(*args: Any, **kwargs: Any) -> Any:
        if acts:
            acts.pop()()
        return function(*args, **kwargs)

    return call


def after(function: Step, act: Callable[[], Any]) -> Step:
    """The function, with something that happens just after its first call."""
    acts = [act]

    def call(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        if acts:
            acts.pop()()
        return answer

    return call


def assert_gone_unpaid(api: Api, job: Job) -> None:
    job.refresh_from_db()
    assert (job.state, job.charged_credits) == (State.CANCELLED, 0)
    assert (job.params, job.outcome, job.error) == ({}, None, None)
    assert api.get(f"/v1/jobs/{job.id}").status_code == 404
    assert credits(api) == {"balance": 1000, "held": 0}
    assert [entry.kind for entry in LedgerEntry.objects.filter(job_id=job.id).order_by("id")] == ["hold", "release"]
    assert books_balance()
    assert stored_below(job.result_prefix) == []
    assert stored_below(job.input_prefix) == []


# --- in every gap between a worker's steps ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "when"),
    [
        (lifecycle, "report", before),
        (lifecycle, "note_results_stored", before),
        (lifecycle, "note_results_stored", after),
        (ResultStore, "put", before),
        (ResultStore, "put", after),
        (lifecycle, "_move", before),
        (lifecycle, "_move", after),
        (lifecycle, "settle", before),
    ],
)
def test_job_deleted_between_two_steps_is_free_and_leaves_nothing(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., Step]
) -> None:
    statuses: list[int] = []
    step = when(getattr(owner, name), lambda: statuses.append(api.delete(f"/v1/jobs/{queued.id}").status_code))
    monkeypatch.setattr(owner, name, step)

    tasks.run_next()

    assert statuses == [204]
    assert_gone_unpaid(api, queued)


def test_job_deleted_after_its_success_stays_charged_and_leaves_nothing(api: Api, queued: Job) -> None:
    tasks.run_next()

    assert api.delete(f"/v1/jobs/{queued.id}").status_code == 204

    queued.refresh_from_db()
    assert (queued.state, queued.charged_credits, queued.outcome) == (State.EXPIRED, 1, None)
    assert stored_below(queued.result_prefix) == []
    assert books_balance()


def test_deletion_that_comes_while_the_charge_is_made_waits_for_it(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []
    deleting = threading.Thread(target=lambda: statuses.append(api.delete(f"/v1/jobs/{queued.id}").status_code))

    def begin() -> None:
        deleting.start()
        wait_for_a_lock_of(deleting)

    monkeypatch.setattr(CreditFunding, "capture", before(CreditFunding.capture, begin))

    tasks.run_next()
    deleting.join()

    queued.refresh_from_db()
    assert statuses == [204]
    assert (queued.state, queued.charged_credits, queued.outcome) == (State.EXPIRED, 1, None)
    assert stored_below(queued.result_prefix) == []
    assert books_balance()


def wait_for_a_lock_of(other: threading.Thread) -> None:
    """Until its connection waits for a row that ours has locked."""
    with connection.cursor() as cursor:
        waiting = 0
        while not waiting:
            assert other.is_alive(), "it did not wait"
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            waiting = cursor.fetchone()[0]


def test_job_that_settles_and_is_deleted_at_the_same_moment_is_charged_or_not_but_never_both(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep(monkeypatch)
    for _ in range(8):
        job = Job.objects.get(id=api.send(Prefer="respond-async").json()["data"]["jobId"])
        claimed = lifecycle.claim("w")
        assert claimed is not None
        kept = Outcome(artifacts={}, facts={}, model="m", device="cpu").to_json()
        lifecycle._move(claimed, State.RUNNING, State.SETTLING, outcome=kept)
        start = threading.Barrier(3)
        acts = (partial(lifecycle.settle, job), partial(lifecycle.delete, job), purge_expired)

        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(meet, start, each) for each in acts]:
                done.result()

        job.refresh_from_db()
        assert (job.state, job.charged_credits) in {(State.CANCELLED, 0), (State.EXPIRED, 1)}
        assert job.deleted_at is not None
        assert books_balance()


def meet(start: threading.Barrier, act: Callable[[], Any]) -> None:
    try:
        start.wait()
        act()
    finally:
        connection.close()


# --- what is stored too late --------------------------------------------------------------------------------

_KILLED_AFTER_ITS_PUT = """
import os, sys
import django
django.setup()
from apps.core import lifecycle
from apps.core.work.execution import File, Work
from apps.core.operations import operation_named
from apps.core.storage import ResultStore

put = ResultStore.put

def slow_put(store, key, body, **facts):
    print("about to store", flush=True)
    sys.stdin.readline()
    put(store, key, body, **facts)
    os.kill(os.getpid(), 9)

ResultStore.put = slow_put
job = lifecycle.claim("doomed")
lifecycle.run(job, lambda job: Work(job, operation_named(job.operation)).store(
    "image", File(b"pixels", "png", (1, 1))))
"""


def test_object_of_a_worker_that_is_killed_after_the_deletion_goes_with_the_second_purge(api: Api, queued: Job) -> None:
    facts = connection.settings_dict
    database = f"postgresql://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"
    environment = os.environ | {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
    }
    command = [sys.executable, "-c", _KILLED_AFTER_ITS_PUT]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        assert worker.stdout.readline() == "about to store\n"
        assert api.delete(f"/v1/jobs/{queued.id}").status_code == 204
        worker.stdin.write("go on\n")
        worker.stdin.flush()
        assert worker.wait() == -9

    assert len(stored_below(queued.result_prefix)) == 1
    queued.refresh_from_db()
    assert queued.purge_again_at > timezone.now()
    Job.objects.update(purge_again_at=timezone.now())
    assert purge_expired() == 1

    assert_gone_unpaid(api, queued)
    assert not Job.objects.get().results_stored
    assert purge_expired() == 0


def test_worker_that_had_lost_its_job_takes_its_late_object_away(api: Api, queued: Job) -> None:
    stalled = lifecycle.claim("stalled")
    assert stalled is not None
    lifecycle.note_results_stored(stalled)
    stalled.results_stored = True
    Job.objects.update(lease_until=timezone.now())
    take_back_lapsed()
    tasks.run_next()
    kept = stored_below(queued.result_prefix)

    lifecycle.run(stalled, one_object)

    assert stored_below(queued.result_prefix) == kept
    assert len(kept) == 1
    assert api.get(f"/v1/jobs/{queued.id}").json()["data"]["status"] == "succeeded"


def one_object(job: Job) -> Outcome:
    work = Work(job, operation_named(job.operation))
    work.store("image", File(b"pixels", "png", (1, 1)))
    return work.outcome()


def test_results_of_an_unkept_job_that_two_workers_had_are_purged_twice(api: Api, queued: Job) -> None:
    Job.objects.update(attempt=1, retention_s=0)
    tasks.run_next()
    Job.objects.update(expires_at=timezone.now())

    assert purge_expired() == 1
    one_object(Job.objects.get())  # the first worker's, late
    Job.objects.update(purge_again_at=timezone.now())
    assert purge_expired() == 1

    assert stored_below(queued.result_prefix) == []
    assert purge_expired() == 0


def test_row_loses_its_content_with_the_deletion_even_if_the_web_process_dies_in_it(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "purge_if_reachable", lambda job: None)
    tasks.run_next()

    api.delete(f"/v1/jobs/{queued.id}")

    queued.refresh_from_db()
    assert (queued.params, queued.outcome) == ({}, None)
    purge_expired()
    assert stored_below(queued.result_prefix) == []


def test_refused_request_leaves_none_of_its_files(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    put, keys = ResultStore.put, []

    def put_one(store: ResultStore, key: str, *args: Any, **facts: Any) -> None:
        keys.append(key)
        if len(keys) > 1:
            raise StoreAwayError
        put(store, key, *args, **facts)

    monkeypatch.setattr(ResultStore, "put", put_one)

    answer = api.post("/v1/watermark-removal", {"image": upload(marked_png()), "smear": upload(marked_png())})

    assert (answer.status_code, len(keys)) == (503, 2)
    assert stored_below(keys[0]) == []


# --- those who wait for it ----------------------------------------------------------------------------------


def test_client_that_waits_for_a_deleted_job_is_told_that_it_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)

    def delete_it(job: Job, *, timeout_s: float) -> Job:
        lifecycle.delete(job)
        return job

    monkeypatch.setattr(jobs, "wait", delete_it)

    answer = api.remove()

    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "GONE")
    assert credits(api) == {"balance": 1000, "held": 0}


def events_with(api: Api, job: Job, act: Callable[[], Any]) -> list[dict[str, Any]]:
    """The job's events, where something happens between the first and the second."""
    with Watching(api.get(f"/v1/jobs/{job.id}/events")) as watching:
        first = watching.next()
        act()
        return [first, *map(job_in, watching)]


def test_stream_of_a_job_that_is_deleted_ends_with_a_final_event(api: Api, queued: Job) -> None:
    told = events_with(api, queued, lambda: api.delete(f"/v1/jobs/{queued.id}"))

    assert [each["status"] for each in told] == ["queued", "cancelled"]
    assert (told[-1]["jobId"], told[-1]["result"], told[-1]["creditsCharged"]) == (str(queued.id), None, 0)


@pytest.mark.parametrize("is_good", [True, False])
def test_stream_of_a_job_that_ends_and_is_deleted_at_once_does_so_too(api: Api, queued: Job, is_good: bool) -> None:
    def end_and_delete() -> None:
        if is_good:
            tasks.run_next()
        else:
            lifecycle.fail(queued, AppError(ErrorCode.PROCESSING_FAILED))
        api.delete(f"/v1/jobs/{queued.id}")

    told = events_with(api, queued, end_and_delete)[-1]

    assert (told["status"], told["creditsCharged"]) == (("expired", 1) if is_good else ("failed", 0))
    assert told["result"] is None
    assert (told["error"] is None) == is_good


def test_stream_outlives_a_database_that_is_away_for_a_moment(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([OperationalError("away"), InterfaceError("away")])
    look = events._look_at

    def away_twice(job_id: Any) -> Any:
        if error := next(looks, None):
            raise error
        return look(job_id)

    def work() -> None:
        tasks.run_next()
        monkeypatch.setattr(events, "_look_at", away_twice)

    told = events_with(api, queued, work)

    assert (told[0]["status"], told[-1]["status"]) == ("queued", "succeeded")
    assert next(looks, None) is None


def test_client_that_was_told_that_nothing_is_charged_is_right_however_long_the_job_settles(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_SETTLING_GRACE_S", 0.0)
    claimed = lifecycle.claim("slow")
    assert claimed is not None
    lifecycle._move(claimed, State.RUNNING, State.SETTLING, outcome=Outcome(artifacts={}, model="m").to_json())

    ended = jobs.give_up(queued)
    lifecycle.settle(claimed)

    assert ended.state == State.CANCELLED
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()
