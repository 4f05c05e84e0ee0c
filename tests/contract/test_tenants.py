"""What belongs to one account is not there for any other: its jobs, however one asks, and its keys' first answers."""

from __future__ import annotations

import contextlib
import json

import pytest
from django.conf import settings

from apps.core import jobs
from apps.core.intake import outbound
from apps.core.models import Job, State
from apps.core.places import Places
from tests.api import Api, make_api
from tests.contract.books import asleep
from tests.drawing import photo_png

JSON = "application/json"
BG = "/v1/remove-bg/universal"


@pytest.fixture
def stranger(api: Api) -> Api:
    return make_api("stranger")


def test_foreign_job_cannot_be_deleted(api: Api, stranger: Api) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]

    response = stranger.delete(f"/v1/jobs/{job_id}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "NOT_FOUND"
    assert api.get(f"/v1/jobs/{job_id}").json()["data"]["status"] == "succeeded"


def test_foreign_job_that_waits_cannot_be_cancelled(api: Api, stranger: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]

    assert stranger.delete(f"/v1/jobs/{job_id}").status_code == 404

    assert Job.objects.get().state == State.QUEUED


def test_foreign_job_tells_no_events(api: Api, stranger: Api) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]

    response = stranger.get(f"/v1/jobs/{job_id}/events")

    assert (response.status_code, response.headers["Content-Type"]) == (404, JSON)
    assert not response.streaming


def test_foreign_task_tells_no_result(api: Api, stranger: Api) -> None:
    import base64

    photo = base64.b64encode(photo_png()).decode()
    submitted = api.post("/api/ext/v1/submit_watermark_removal", {"image_base64": photo}, as_json=True).json()
    asked = {"task_id": submitted["data"]["task_id"]}

    mine = api.post("/api/ext/v1/get_task_result", asked, as_json=True)
    foreign = stranger.post("/api/ext/v1/get_task_result", asked, as_json=True)

    assert mine.json()["code"] == 0
    assert (foreign.status_code, foreign.json()["code"], foreign.json()["data"]) == (400, 1000, None)


def test_deleted_job_is_gone_for_its_owner_too(api: Api) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]
    api.delete(f"/v1/jobs/{job_id}")

    assert api.get(f"/v1/jobs/{job_id}/events").status_code == 404
    assert json.loads(api.get(f"/v1/jobs/{job_id}").content)["error"]["code"] == "NOT_FOUND"


def test_account_whose_requests_wait_in_all_places_leaves_some_for_others(api: Api, stranger: Api) -> None:
    with contextlib.ExitStack() as waiting:
        for _ in range(settings.WEB_THREADS):
            waiting.enter_context(jobs.waiting_room(api.account.id))

        assert api.remove().status_code == 503
        assert stranger.remove().status_code == 200


def test_account_whose_fetches_are_slow_is_told_to_wait_and_others_are_not(
    api: Api, stranger: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(outbound, "_places", Places(99, of_one=1))
    outbound._places.take(api.account.id)
    nobody = {"image_url": "http://127.0.0.1:9/a.png"}

    mine, compatible = api.post(BG, nobody), api.post("/v1.0/removebg", nobody)

    assert (mine.status_code, mine.json()["error"]["code"], mine.headers["Retry-After"]) == (429, "RATE_LIMITED", "5")
    assert mine.json()["error"]["retryable"] is True
    assert compatible.json()["errors"][0]["code"] == "rate_limit_exceeded"
    assert stranger.post(BG, nobody).status_code == 400
