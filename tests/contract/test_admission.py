"""Who is refused because too much waits: counted in seconds of work, each kind by its own pace."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from apps.core import broker, jobs, tasks
from apps.core.broker import broker as redis_client
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job, State
from apps.core.operations import operation_named
from apps.core.owner import Mode
from apps.core.work.worker import Worker
from tests.api import Api, make_api
from tests.contract.books import asleep

QUICK, SLOW = "remove-bg", "watermark-template"


@pytest.fixture(autouse=True)
def _known_paces(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds for a cut-out, a minute for a template that is learned; nobody works."""
    asleep(monkeypatch)
    for key in redis_client().keys("keyline:pace*"):
        redis_client().delete(key)
    broker.note_pace(QUICK, 2.0)
    broker.note_pace(SLOW, 60.0)


def add(api: Api, pace_name: str, count: int, *, state: State = State.QUEUED, age_s: float = 0.0) -> None:
    now = timezone.now()
    facts: dict[str, Any] = {"account": api.account, "operation": QUICK, "funding": "sandbox", "price_credits": 0}
    facts |= {"retention_s": 1, "created_at": now, "state": state, "pace_name": pace_name}
    if state == State.RUNNING:
        facts["started_at"] = now - timedelta(seconds=age_s)
    Job.objects.bulk_create(Job(**facts) for _ in range(count))


def admit(api: Api, pace_name: str = QUICK, *, deadline_s: float = 25.0) -> None:
    identity = SimpleNamespace(account_id=api.account.id, mode=Mode.LIVE)
    with jobs.admitted(SimpleNamespace(identity=identity, pace_name=pace_name, ticket=None), deadline_s=deadline_s):
        pass


def refused(api: Api, pace_name: str = QUICK) -> int:
    """Retry-After of the refusal."""
    with pytest.raises(AppError) as error:
        admit(api, pace_name)
    assert error.value.code is ErrorCode.OVERLOADED
    assert error.value.retry_after_s is not None
    return error.value.retry_after_s


def test_slow_jobs_of_another_kind_do_not_refuse_quick_ones(api: Api) -> None:
    for _ in range(5):
        broker.note_pace(SLOW, 60.0)
    add(api, QUICK, 2)
    add(make_api("learner"), SLOW, 1, state=State.RUNNING, age_s=3)

    admit(api)


def test_true_backlog_is_refused_until_it_is_worked_off(api: Api) -> None:
    add(api, QUICK, 2, state=State.RUNNING, age_s=2)
    add(api, QUICK, 20)

    assert refused(api) == round(1.2 * (20 * 2 + 2 + 4) - 25)  # on one slot, and with a fifth for safety
    Job.objects.filter(state=State.QUEUED).delete()
    admit(api)


def test_slow_jobs_that_wait_ahead_count_for_what_they_take(api: Api) -> None:
    add(api, SLOW, 1)

    assert refused(api) == round(1.2 * (60 + 4) - 25)


def test_places_that_slow_jobs_hold_are_waited_for(api: Api) -> None:
    add(make_api("learner"), SLOW, 2, state=State.RUNNING, age_s=10)

    assert refused(api) == pytest.approx(round(1.2 * (110 + 4) - 25), abs=1)


def test_others_get_ahead_as_often_as_we_wait_and_no_more(api: Api) -> None:
    add(make_api("crowd"), QUICK, 100)

    admit(api)  # one of theirs comes first
    add(api, QUICK, 20)
    assert refused(api) == round(1.2 * (20 * 2 + 21 * 2 + 4) - 25)


def test_first_of_a_slow_kind_is_taken_by_an_idle_service(api: Api) -> None:
    admit(api, SLOW)


def test_only_jobs_of_a_kind_teach_its_pace(api: Api) -> None:
    job = Job(operation="watermark-removal", pace_name=SLOW, retention_s=1)
    Worker(name="w", runners={"watermark-removal": SimpleNamespace(run=lambda work: None)}, facts={}).execute(job)

    paces = broker.paces_s([QUICK, SLOW, "clothing-segmentation"])

    assert paces[QUICK] == 2.0
    assert paces[SLOW] == pytest.approx(48.0, abs=1.0)
    assert paces["clothing-segmentation"] == broker.UNKNOWN_PACE_S


def test_removal_with_a_template_is_a_kind_of_its_own() -> None:
    operation = operation_named("watermark-removal")

    assert operation.pace_name({"template": "id"}) == SLOW
    assert operation.pace_name({}) == "watermark-removal"
    assert operation.pace_names == ("watermark-removal", SLOW)


def test_row_and_metrics_tell_the_kind(api: Api) -> None:
    api.send(Prefer="respond-async")

    assert Job.objects.get().pace_name == QUICK
    text = api.get("/metrics").content.decode()
    assert f'keyline_pace_seconds{{operation="{SLOW}"}} 60.0' in text
    assert f'keyline_pace_seconds{{operation="{QUICK}"}} 2.0' in text


def test_metrics_name_every_state_zeros_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.send(Prefer="respond-async")
    tasks.run_next()
    api.send(Prefer="respond-async")

    text = api.get("/metrics").content.decode()

    told = {state: f'keyline_jobs{{state="{state}"}} {float(state in ("queued", "succeeded"))}' for state in State}
    assert [state for state, line in told.items() if line not in text] == []
    assert "keyline_oldest_queued_seconds" in text
    Job.objects.all().delete()
    empty = api.get("/metrics").content.decode()
    assert [state for state in State if f'keyline_jobs{{state="{state}"}} 0.0' not in empty] == []
    assert "keyline_oldest_queued_seconds 0.0" in empty
