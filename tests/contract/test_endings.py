"""What a service hangs on the end of a job commits with it, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection

from apps.core import endings, lifecycle
from apps.core.models import Job, State
from tests.api import Api
from tests.contract.books import asleep
from tests.drawing import photo_png

Told = list[tuple[Any, State, bool]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What a hook hears: (job's id, final state, whether a transaction is open)."""
    heard: Told = []
    monkeypatch.setattr(endings, "_hooks", [])
    endings.register_ending(lambda job, state: heard.append((job.id, state, connection.in_atomic_block)))
    return heard


def test_every_end_is_told_once_inside_its_transaction(api: Api, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    done = api.send(accept="application/json").json()["data"]["jobId"]
    broken = api.send(photo_png()[:200], accept="application/json").headers["X-Job-Id"]  # found out by the worker
    asleep(monkeypatch)
    waiting = Job.objects.get(id=api.send(Prefer="respond-async").json()["data"]["jobId"])
    api.delete(f"/v1/jobs/{waiting.id}")
    lifecycle.time_out(waiting)  # too late

    assert [(str(job), state, inside) for job, state, inside in told] == [
        (done, State.SUCCEEDED, True),
        (broken, State.FAILED, True),
        (str(waiting.id), State.CANCELLED, True),
    ]


def test_an_end_whose_hook_fails_has_not_happened(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(_job: Job, _state: State) -> None:
        raise DatabaseError("the hook's row is refused")

    asleep(monkeypatch)
    job = Job.objects.get(id=api.send(Prefer="respond-async").json()["data"]["jobId"])
    monkeypatch.setattr(endings, "_hooks", [fall])

    with pytest.raises(DatabaseError):
        lifecycle.time_out(job)

    job.refresh_from_db()
    assert (job.state, job.finished_at) == (State.QUEUED, None)
