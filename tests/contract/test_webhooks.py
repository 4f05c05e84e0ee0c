"""Webhooks: registered, signed, delivered; what their owner sees, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import Api
from tests.receivers import Receiver, receiving

EVENTS = ["job.succeeded", "job.failed"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


def register(api: Api, url: str, events: list[str] | None = None, **headers: str) -> dict[str, Any]:
    made = api.post("/v1/webhooks", {"url": url, "events": events or EVENTS}, as_json=True, **headers)
    assert made.status_code == 201, made.content
    return made.json()["data"]


def deliveries(api: Api, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    return api.get(f"/v1/webhooks/{webhook['webhookId']}/deliveries").json()["data"]["deliveries"]


def test_a_job_that_ended_is_told_signed_as_the_reference_library_verifies(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")

    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]

    (sent,) = receiver.sent
    told = sent.verified(webhook["secret"])
    assert (sent.method, sent.path, sent.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert told["type"] == "job.succeeded"
    shown = api.get(f"/v1/jobs/{job_id}").json()["data"]
    for each in (shown, told["data"]):
        each["result"]["image"].pop("url")  # signed anew each time
    assert told["data"] == shown
    (delivery,) = deliveries(api, webhook)
    assert (delivery["status"], delivery["eventId"], delivery["type"]) == (
        "delivered",
        sent.headers["webhook-id"],
        "job.succeeded",
    )
    assert [(each["httpStatus"], each["error"]) for each in delivery["attempts"]] == [(204, None)]
    assert delivery["nextAttemptAt"] is None
