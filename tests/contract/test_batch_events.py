"""The events of a batch: its counts at every change, until it ends, and none twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.core import broker, lifecycle, tasks
from apps.core.api import event_stream, watching
from apps.core.models import Job, State
from apps.core.places import Places
from tests.api import Api, error_of, make_api
from tests.contract.batch_calls import PATH, made, photos, send, work
from tests.contract.books import asleep
from tests.contract.watching import Watching, events_of, id_of, job_in


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_places", Places(1024, spare=256))


@pytest.fixture
def waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A batch of three whose jobs no worker has heard of."""
    asleep(monkeypatch)
    return made(send(api, [*photos(2), b"no image"]))


def watch(api: Api, batch: dict[str, Any], last: str = "") -> HttpResponse:
    return api.get(f"{PATH}/{batch['batchId']}/events", **({"Last_Event_ID": last} if last else {}))


def counted(batch: dict[str, Any]) -> tuple[str, int, int, int]:
    counts = batch["counts"]
    return batch["status"], counts["queued"], counts["succeeded"], counts["failed"]


def test_every_end_of_an_item_is_told_until_the_batch_has_ended(api: Api, waiting: dict[str, Any]) -> None:
    with Watching(watch(api, waiting)) as events:
        seen = [next(iter(events))]
        tasks.run_next()
        seen.append(next(iter(events)))
        tasks.run_next()
        seen += events

    told = [job_in(event) for event in seen]
    assert [counted(batch) for batch in (told[0], told[1], told[-1])] == [
        ("queued", 2, 0, 1),
        ("running", 1, 1, 1),
        ("finished", 0, 2, 1),
    ]
    assert len({id_of(event) for event in seen}) == len(seen)
    listed = api.get(PATH).json()["data"]["batches"][0]
    assert told[-1] == listed
    assert "items" not in told[-1]


def test_client_that_comes_back_hears_what_has_changed_alone(api: Api, waiting: dict[str, Any]) -> None:
    with Watching(watch(api, waiting)) as events:
        first = next(iter(events))
    work()

    last = events_of(watch(api, waiting, last=id_of(first)))
    again = watch(api, waiting, last=id_of(last[-1]))

    assert [counted(job_in(event)) for event in last] == [("finished", 0, 2, 1)]
    assert (again.status_code, again.content) == (204, b"")


def test_what_has_not_changed_is_not_told_again(
    api: Api, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(event_stream, "STREAM_LIMIT_S", 1.0)

    assert len(events_of(watch(api, waiting))) == 1


def test_lost_messages_are_made_up_for_by_the_rows(
    api: Api, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "tell_change", lambda _: None)
    monkeypatch.setattr(watching, "_LOOK_EVERY_S", 0.05)

    with Watching(watch(api, waiting)) as events:
        seen = [next(iter(events))]
        lifecycle.claim("w")
        seen.append(next(iter(events)))

    assert [job_in(event)["counts"]["running"] for event in seen] == [0, 1]


def test_deleted_batch_ends_its_stream(api: Api, waiting: dict[str, Any]) -> None:
    with Watching(watch(api, waiting)) as events:
        next(iter(events))
        assert api.delete(f"{PATH}/{waiting['batchId']}").status_code == 204
        last = list(events)[-1]

    assert job_in(last)["status"] == "cancelled"
    assert not Job.objects.filter(state=State.QUEUED).exists()


def test_foreign_or_unknown_batch_tells_nothing(api: Api, waiting: dict[str, Any]) -> None:
    others = [
        make_api("stranger"),
        make_api("tester", credits=0, sandbox=True),
        make_api("tester", scopes=["clothing-segmentation"]),
    ]

    assert [error_of(watch(other, waiting))[:2] for other in others] == [(404, "NOT_FOUND")] * 3
    assert error_of(api.get(f"{PATH}/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11/events"))[:2] == (404, "NOT_FOUND")


def test_streams_of_batches_and_jobs_share_the_accounts_places(
    api: Api, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_places", Places(0))

    assert error_of(watch(api, waiting))[:2] == (503, "OVERLOADED")


def test_head_waits_for_nothing(api: Api, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_places", None)

    head = Client(headers={"X-Api-Key": api.key}).head(f"{PATH}/{waiting['batchId']}/events")

    assert (head.status_code, head.headers["Content-Type"]) == (200, "text/event-stream")
    assert b"".join(head) == b""
