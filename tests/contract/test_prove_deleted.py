"""`manage.py prove_deleted` looks for what is left of a job, and says since when it is gone."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.batches.models import Batch, Item
from apps.core import lifecycle
from apps.core.models import Job, State
from apps.core.storage import ResultStore, StoreAwayError, result_store
from apps.core.sweeper import purge_expired
from apps.webhooks.models import Event
from tests.api import Api
from tests.contract.books import asleep
from tests.contract.objects import stored_below


def proof(job: Job) -> tuple[int, str]:
    """The exit status, and what it printed."""
    out = io.StringIO()
    try:
        call_command("prove_deleted", job=job.id, stdout=out)
    except SystemExit as error:
        return int(error.code or 0), out.getvalue()
    return 0, out.getvalue()


def line(text: str, name: str) -> str:
    return next(each.strip() for each in text.splitlines() if each.strip().startswith(f"{name}:"))


@pytest.fixture
def done(api: Api) -> Job:
    """A job that has its result; its worker has deleted the input."""
    job = Job.objects.get(id=api.send().headers["X-Job-Id"])
    purge_expired()
    job.refresh_from_db()
    return job


def test_kept_result_is_told_with_its_end_and_proves_nothing(done: Job) -> None:
    status, text = proof(done)

    assert status == 1
    assert "there, kept until" in line(text, "results")
    assert line(text, "inputs").startswith("inputs: none, gone since")
    assert stored_below(done.result_prefix)


def test_deleted_job_is_gone_with_its_times(api: Api, done: Job) -> None:
    assert api.delete(f"/v1/jobs/{done.id}").status_code == 204
    first = Job.objects.get()

    status, text = proof(done)

    assert (status, "All of it is gone." in text) == (0, True)
    for name in ("inputs", "results", "content of the row"):
        assert "none, gone since 20" in line(text, name)
    assert "deleted once more at" in line(text, "results")
    Job.objects.update(purge_again_at=timezone.now())
    purge_expired()
    last = Job.objects.get()
    assert (last.results_gone_at, last.inputs_gone_at) == (first.results_gone_at, first.inputs_gone_at)
    assert not last.results_stored
    assert "once more" not in proof(done)[1]


def test_expired_job_is_gone_with_its_times(done: Job) -> None:
    Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert proof(done)[0] == 1  # overdue, until the sweeper has come

    purge_expired()
    status, text = proof(done)

    assert (status, "expired" in text) == (0, True)
    assert "gone since" in line(text, "results")


@pytest.mark.parametrize("prefix", ["input_prefix", "result_prefix"])
def test_object_that_is_there_all_the_same_is_found(api: Api, done: Job, prefix: str) -> None:
    api.delete(f"/v1/jobs/{done.id}")
    result_store().put(f"{getattr(done, prefix)}9/forgotten", b"x", content_type="image/png")

    status, text = proof(done)

    assert status == 1
    assert "1 LEFT, and overdue" in text


@pytest.mark.parametrize("field", ["params", "outcome", "error"])
def test_content_that_the_row_has_all_the_same_is_found(api: Api, done: Job, field: str) -> None:
    api.delete(f"/v1/jobs/{done.id}")
    Job.objects.update(**{field: {"bg_color": "#fff"}})

    assert proof(done)[0] == 1


def test_open_job_is_not_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    api.send(Prefer="respond-async")

    status, text = proof(Job.objects.get())

    assert status == 1
    assert line(text, "inputs") == "inputs: 1 there, still needed"


def test_job_that_failed_has_nothing_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    api.send(Prefer="respond-async")
    lifecycle.cancel(Job.objects.get())
    assert proof(Job.objects.get())[0] == 1  # its input is, until the sweeper has come

    purge_expired()

    assert proof(Job.objects.get())[0] == 0
    assert Job.objects.get().state == State.CANCELLED


def test_what_services_keep_is_looked_for_too(done: Job, api: Api) -> None:
    api.delete(f"/v1/jobs/{done.id}")
    batch = Batch.objects.create(
        account=api.account, operation="remove-bg", retention_s=60, total=1, created_at=timezone.now()
    )
    Job.objects.update(in_batch=True)
    item = Item.objects.create(job=done, batch=batch, index=0, name="a.png", source_url="https://shop.example/1.jpg")
    event = Event.objects.create(
        account=api.account, type="job.succeeded", subject_id=str(done.id), data={"a": 1}, created_at=timezone.now()
    )

    both = proof(done)
    item.source_url, event.data = "", None
    item.save()
    event.save()

    assert both[0] == 1
    assert "1 LEFT, and overdue" in line(both[1], "address in its batch")
    assert "1 LEFT, and overdue" in line(both[1], "bodies of its deliveries")
    assert proof(done)[0] == 0


def test_nothing_is_proven_without_the_store_or_a_row(done: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreAwayError

    with pytest.raises(CommandError, match="no row"):
        call_command("prove_deleted", job=uuid.uuid4())
    monkeypatch.setattr(ResultStore, "keys_below", away)
    with pytest.raises(CommandError, match="nothing is proven"):
        proof(done)
