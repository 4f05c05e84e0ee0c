"""A customer's webhooks, registered and looked at."""

from __future__ import annotations

from typing import Any

from tests.api import Api

EVENTS = ["job.succeeded", "job.failed"]


def register(api: Api, url: str, events: list[str] | None = None, **headers: str) -> dict[str, Any]:
    made = api.post("/v1/webhooks", {"url": url, "events": events or EVENTS}, as_json=True, **headers)
    assert made.status_code == 201, made.content
    return made.json()["data"]


def deliveries(api: Api, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    return api.get(f"/v1/webhooks/{webhook['webhookId']}/deliveries").json()["data"]["deliveries"]
