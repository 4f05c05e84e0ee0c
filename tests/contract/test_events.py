"""The events of a job: every step once and in order, whatever gets lost, and however often the client comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.http import HttpResponse

from apps.core import broker, lifecycle, steps, tasks
from apps.core.api import event_stream, watching
from apps.core.models import Job, State
from apps.core.places import Places
from tests.api import Api, error_of, make_api
from tests.contract.books import asleep
from tests.contract.watching import Watching, events_of, id_of, job_in

STAGES = [
    ("running", "decode", 0.0),
    ("running", "infer", 0.2),
    ("running", "encode", 0.8),
    ("running", "settle", 0.95),
    ("succeeded", "succeeded", 1.0),
]


@pytest.fixture
def queued(api: Api, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that waits."""
    with monkeypatch.context() as patch:
        asleep(patch)
        job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]
    return Job.objects.get(id=job_id)


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_places", Places(1024, spare=256))


def watch(api: Api, job: Job, last: str = "") -> HttpResponse:
    return api.get(f"/v1/jobs/{job.id}/events", **({"Last_Event_ID": last} if last else {}))


def told(events: list[bytes]) -> list[tuple[str, str, float]]:
    return [(job["status"], job["stage"], job["progress"]) for job in map(job_in, events)]


def test_every_step_is_told_once_and_in_order(api: Api, queued: Job) -> None:
    with Watching(watch(api, queued)) as events:
        first = next(iter(events))
        tasks.run_next()
        seen = [first, *events]

    assert told(seen) == [("queued", "queued", 0.0), *STAGES]
    assert job_in(seen[-1]) | {"result": None} == api.get(f"/v1/jobs/{queued.id}").json()["data"] | {"result": None}
    assert job_in(seen[-1])["result"]["image"]["url"].startswith("http")
    assert len({id_of(event) for event in seen}) == len(seen)


@pytest.mark.parametrize("number", range(6))
def test_client_that_comes_back_gets_what_it_has_not_seen(api: Api, queued: Job, number: int) -> None:
    with Watching(watch(api, queued)) as events:
        first = next(iter(events))
        tasks.run_next()
        seen = [first, *events]

    again = watch(api, queued, last=id_of(seen[number]))

    if number == 5:  # else a browser would come back for ever
        assert (again.status_code, again.content) == (204, b"")
    else:
        assert told(events_of(again)) == told(seen[number + 1 :])


def test_client_that_comes_back_while_the_job_runs_goes_on_where_it_was(api: Api, queued: Job) -> None:
    job = lifecycle.claim("w")
    assert job is not None
    with Watching(watch(api, queued)) as events:
        first = next(iter(events))
    lifecycle.report(job, stage="infer", progress=0.2)
    lifecycle.report(job, stage="encode", progress=0.8)

    with Watching(watch(api, queued, last=id_of(first))) as events:
        again = [next(iter(events)), next(iter(events))]
        lifecycle.cancel(job)
        again += events

    assert [stage for _, stage, _ in told([first, *again])] == ["decode", "infer", "encode", "cancelled"]


@pytest.mark.parametrize("last", ["nonsense", "1-0", "99999999999999999999-0-0", "\x00"])
def test_what_is_no_id_of_ours_is_as_good_as_none(api: Api, queued: Job, last: str) -> None:
    tasks.run_next()

    assert told(events_of(watch(api, queued, last=last))) == [STAGES[-1]]


def test_lost_messages_are_made_up_for_by_the_row(api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "tell", lambda *_, **__: None)
    monkeypatch.setattr(broker, "ring_bell", lambda *_, **__: None)
    monkeypatch.setattr(watching, "_LOOK_EVERY_S", 0.05)

    with Watching(watch(api, queued)) as events:
        first = next(iter(events))
        job = lifecycle.claim("w")
        assert job is not None
        second = next(iter(events))
        lifecycle.cancel(job)
        seen = [first, second, *events]

    assert [status for status, _, _ in told(seen)] == ["queued", "running", "cancelled"]


def test_without_redis_the_rows_are_enough(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(watching, "_LOOK_WHEN_DEAF_S", 0.05)
    answer = watch(api, queued)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    with Watching(answer) as events:
        first = next(iter(events))
        tasks.run_next()
        seen = [first, *events]

    assert (told(seen)[0][0], told(seen)[-1]) == ("queued", STAGES[-1])


def test_steps_of_an_attempt_that_was_taken_back_are_followed_by_the_next_ones(api: Api, queued: Job) -> None:
    with Watching(watch(api, queued)) as events:
        seen = [next(iter(events))]
        job = lifecycle.claim("dead")
        assert job is not None
        seen.append(next(iter(events)))
        Job.objects.filter(id=job.id).update(lease_until=job.created_at)
        lifecycle.take_back(job)
        tasks.run_next()
        seen += events

    assert [status for status, _, _ in told(seen)][:2] == ["queued", "running"]
    assert told(seen)[-5:] == STAGES
    assert job_in(seen[-1])["status"] == "succeeded"


def test_stream_of_a_job_that_nothing_happens_to_lives_and_then_ends(
    api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STREAM_LIMIT_S", 1.0)
    monkeypatch.setattr(event_stream, "_SIGN_OF_LIFE_S", 0.05)

    events = events_of(watch(api, queued))  # ends

    assert b": waiting\n\n" in events
    assert told([event for event in events if event != b": waiting\n\n"]) == [("queued", "queued", 0.0)]


# --- shares -----------------------------------------------------------------------------------------------


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as streams:
        yield streams


def test_account_has_as_many_streams_as_jobs_at_once_and_sixteen_more(api: Api, queued: Job, opened: ExitStack) -> None:
    api.account.plan = "FREE"
    api.account.save()
    streams = [opened.enter_context(Watching(watch(api, queued))) for _ in range(20)]

    refused = watch(api, queued)
    other = make_api("other")
    done = other.send().headers["X-Job-Id"]
    foreign = other.get(f"/v1/jobs/{done}/events")
    streams[0].__exit__()
    again = watch(api, queued)

    assert error_of(refused)[:2] == (429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "5"
    assert foreign.status_code == again.status_code == 200


def test_full_process_says_that_it_is_full(api: Api, queued: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_places", Places(0))

    assert error_of(watch(api, queued))[:2] == (503, "OVERLOADED")


def test_open_streams_are_counted(api: Api, queued: Job) -> None:
    before = event_stream.OPEN_STREAMS._value.get()

    with Watching(watch(api, queued)) as events:
        next(iter(events))
        during = event_stream.OPEN_STREAMS._value.get()

    assert (during, event_stream.OPEN_STREAMS._value.get()) == (before + 1, before)


def test_finished_job_gives_its_place_back_at_once(api: Api, queued: Job) -> None:
    tasks.run_next()
    assert Job.objects.get().state == State.SUCCEEDED

    events_of(watch(api, queued))

    assert event_stream._places.taken_by(api.account.id) == 0
