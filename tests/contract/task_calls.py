"""The two calls of watermark tasks."""

from __future__ import annotations

import base64
import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.api import Api
from tests.watermarks import marked_png

SUBMIT = "/api/ext/v1/submit_watermark_removal"


RESULT = "/api/ext/v1/get_task_result"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def post(api: Api, path: str, body: Any, **headers: str) -> HttpResponse:
    """JSON with a Bearer token, as their documentation shows it; a body that is bytes goes as it is."""
    content = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"Authorization": f"Bearer {api.key}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    client = Client(raise_request_exception=False)
    return client.post(path, content, content_type="application/json", headers=headers)


def submit(api: Api, image: bytes | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"image_base64": b64(marked_png() if image is None else image), **fields}
    return post(api, SUBMIT, body, **(headers or {}))


def task_of(response: HttpResponse) -> str:
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["code"], body["message"], list(body["data"])) == (0, "success", ["task_id"])
    return body["data"]["task_id"]


def result(api: Api, task_id: str) -> dict[str, Any]:
    response = post(api, RESULT, {"task_id": task_id})
    body = response.json()
    assert (response.status_code, body["code"], body["message"]) == (200, 0, "success")
    assert list(body["data"]) == ["status", "images", "err_msg"]
    return body["data"]
