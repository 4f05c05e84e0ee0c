"""`retention`: how long a result is kept, and 0, which keeps nothing."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image

from apps.core import jobs, lifecycle
from apps.core.models import Job, State
from apps.core.storage import StoreAwayError
from apps.core.sweeper import purge_expired
from tests.api import Api
from tests.contract.objects import stored_below

JSON = "application/json"


def test_with_0_the_bytes_are_gone_once_the_answer_is_sent(api: Api) -> None:
    response = api.remove(retention="0")

    assert response.status_code == 200, response.content
    assert Image.open(io.BytesIO(response.content)).mode == "RGBA"
    job = Job.objects.get()
    assert job.state == State.EXPIRED
    assert job.charged_credits == 1
    assert job.outcome is None
    assert stored_below(job.result_prefix) == []
    assert stored_below(job.input_prefix) == []
    assert api.get(f"/v1/jobs/{job.id}").json()["data"]["status"] == "expired"


def test_result_of_0_counts_as_deleted_before_the_answer_has_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "purge_if_reachable", lambda job: None)  # the server dies while it sends

    job_id = api.remove(retention="0").headers["X-Job-Id"]

    job = Job.objects.get()
    assert api.get(f"/v1/jobs/{job_id}").json()["data"]["status"] == "expired"
    assert stored_below(job.result_prefix)
    purge_expired()
    assert stored_below(job.result_prefix) == []


def test_result_of_0_that_nobody_fetched_dies_within_a_minute(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def never_answers(*_: Any, **__: Any) -> None:
        raise StoreAwayError

    monkeypatch.setattr("apps.core.dialects.envelope.outcome_of", never_answers)

    assert api.remove(retention="0").status_code == 503

    job = Job.objects.get()
    assert job.state == State.SUCCEEDED
    assert job.expires_at - timezone.now() < timedelta(seconds=50)


def test_replay_of_0_is_a_410_without_a_charge(api: Api) -> None:
    key = {"Idempotency_Key": "k"}
    assert api.send(fields={"retention": "0"}, **key).status_code == 200

    again = api.send(fields={"retention": "0"}, **key)

    assert again.status_code == 410
    assert again.json()["error"]["code"] == "GONE"
    assert Job.objects.count() == 1
    assert api.get("/v1/account").json()["data"]["credits"] == {"balance": 999, "held": 0}


@pytest.mark.parametrize("headers", [{"Accept": JSON}, {"Prefer": "respond-async"}, {"Prefer": "wait=5"}])
def test_0_needs_an_answer_that_carries_the_bytes(api: Api, headers: dict[str, str]) -> None:
    response = api.send(fields={"retention": "0"}, **headers)

    assert response.status_code == 400
    assert [detail["field"] for detail in response.json()["error"]["details"]] == ["retention"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("value", ["25h", "0h", "1", "30m", "-1h", "1.5h", "forever", "01h"])
def test_other_times_are_a_400_on_retention(api: Api, value: str) -> None:
    response = api.remove(retention=value)

    assert response.status_code == 400
    assert [detail["field"] for detail in response.json()["error"]["details"]] == ["retention"]


@pytest.mark.parametrize(("value", "hours"), [("1h", 1), ("2H", 2), ("24h", 24), ("", 24)])
def test_links_and_objects_live_as_long_as_asked(api: Api, value: str, hours: int) -> None:
    response = api.remove(accept=JSON, retention=value)

    image = response.json()["data"]["image"]
    job = Job.objects.get()
    assert abs((job.expires_at - job.finished_at).total_seconds() - hours * 3600) < 5
    assert f"X-Amz-Expires={hours * 3600}&" in image["url"]
    Job.objects.update(expires_at=timezone.now())
    purge_expired()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(image["url"])


def test_late_job_of_0_is_not_paid(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.tasks, "wake_worker", lambda: None)
    monkeypatch.setattr(jobs, "wait", lambda job, timeout_s: job)

    response = api.remove(retention="0")

    assert response.status_code == 502
    assert Job.objects.get().charged_credits == 0
