"""The end of a batch: its archive, its expiry, its deletion, and what a crash left of them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.batches import ending
from apps.batches.models import Batch
from apps.core import happenings, lifecycle, tasks
from apps.core.answers import as_json
from apps.core.happenings import Happening
from apps.core.models import Job, State
from apps.core.sweeper import purge_expired
from tests.api import Api, error_of
from tests.contract.batch_calls import PATH, made, photos, send, shown, work
from tests.contract.books import asleep, books_balance, credits
from tests.contract.objects import is_gone, stored_below


def test_archive_waits_for_the_end_and_goes_with_the_results(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    batch = made(send(api, photos(1)))
    path = f"{PATH}/{batch['batchId']}/archive"

    early = api.get(path)
    work()
    ready = api.get(path)
    Batch.objects.update(expires_at=timezone.now())

    assert (error_of(early)[:2], early.headers["Retry-After"]) == ((409, "CONFLICT"), "5")
    assert (ready.status_code, ready.headers["Content-Type"]) == (200, "application/zip")
    ready.close()
    assert error_of(api.get(path))[:2] == (410, "GONE")
    assert shown(api, batch)["status"] == "expired"


def test_head_of_an_archive_tells_its_length(api: Api) -> None:
    batch = made(send(api, photos(1)))
    client = Client(headers={"X-Api-Key": api.key})

    head = client.head(f"{PATH}/{batch['batchId']}/archive")

    got = client.get(f"{PATH}/{batch['batchId']}/archive")
    assert (head.status_code, b"".join(head)) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(b"".join(got)))


def test_deleted_batch_is_cancelled_what_was_charged_stays_and_the_results_go(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep(monkeypatch)
    batch = made(send(api, photos(4), **{"Idempotency-Key": "k"}))
    tasks.run_next()
    running = lifecycle.claim("w")
    assert running is not None
    url = shown(api, batch)["items"][0]["image"]["url"]

    assert api.delete(f"{PATH}/{batch['batchId']}").status_code == 204

    done = shown(api, batch)
    assert (done["status"], done["creditsHeld"], done["creditsCharged"]) == ("cancelled", 0, 1)
    assert done["counts"] == {"total": 4, "queued": 0, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 3}
    assert [item["status"] for item in done["items"]] == ["expired", "cancelled", "cancelled", "cancelled"]
    assert all(item["image"] is None for item in done["items"])
    assert [item["name"] for item in done["items"]] == ["image-1", "image-2", "image-3", "image-4"]
    assert is_gone(url)
    assert error_of(api.get(f"{PATH}/{batch['batchId']}/archive"))[0] == 410
    assert error_of(send(api, photos(4), **{"Idempotency-Key": "k"}))[0] == 410
    assert api.delete(f"{PATH}/{batch['batchId']}").status_code == 204
    assert [
        key for job in Job.objects.all() for key in stored_below(job.input_prefix) + stored_below(job.result_prefix)
    ] == []
    assert credits(api) == {"balance": 999, "held": 0}
    assert books_balance()


def test_deletion_that_died_midway_is_brought_to_its_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    batch = made(send(api, photos(3)))
    with monkeypatch.context() as patch:
        patch.setattr(ending, "delete_items", lambda batch: None)
        api.delete(f"{PATH}/{batch['batchId']}")

    ending.finish_forgotten()

    assert shown(api, batch)["counts"]["cancelled"] == 3
    assert credits(api) == {"balance": 1000, "held": 0}


def test_end_that_nobody_looked_at_is_found_by_the_sweeper(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "finish_batch_of", lambda job_id: None)
    batch = made(send(api, photos(2)))
    assert shown(api, batch)["status"] == "running"

    assert ending.finish_forgotten() == 1

    assert (shown(api, batch)["status"], ending.finish_forgotten()) == ("finished", 0)


def test_results_of_all_items_live_as_long_as_the_batch(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    batch = made(send(api, photos(2), params='{"retention": "2h"}'))
    tasks.run_next()
    Job.objects.filter(state=State.SUCCEEDED).update(expires_at=timezone.now() + timedelta(minutes=1))

    work()

    done = shown(api, batch)
    assert {item["image"]["expiresAt"] for item in done["items"]} == {done["expiresAt"]}
    Job.objects.update(expires_at=timezone.now())
    Batch.objects.update(expires_at=timezone.now())
    purge_expired()
    assert shown(api, batch)["counts"]["succeeded"] == 2
    assert [item["status"] for item in shown(api, batch)["items"]] == ["expired"] * 2


def test_item_of_a_batch_may_wait_longer_than_an_hour(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    made(send(api, photos(1)))
    job = lifecycle.claim("w")
    assert job is not None
    Job.objects.update(
        created_at=timezone.now() - timedelta(hours=2), lease_until=timezone.now() - timedelta(seconds=1)
    )

    lifecycle.take_back(Job.objects.get(id=job.id))

    assert Job.objects.get(id=job.id).state == State.QUEUED


def test_finished_batch_is_told_to_webhooks_once_without_its_items(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Happening] = []
    monkeypatch.setattr(happenings, "_listeners", [told.append])

    batch = made(send(api, [*photos(2), b"no image"]))

    about = [(each.subject_id, each.operation) for each in told if each.type == "batch.finished"]
    assert about == [(batch["batchId"], "remove-bg")]
    assert Counter(each.type for each in told) == {"job.succeeded": 2, "job.failed": 1, "batch.finished": 1}
    data = happenings.told_of("batch.finished", batch["batchId"])
    assert data is not None
    listed = api.get(PATH).json()["data"]["batches"][0]
    assert as_json(data) == listed
    api.delete(f"{PATH}/{batch['batchId']}")
    assert happenings.told_of("batch.finished", batch["batchId"]) is None
