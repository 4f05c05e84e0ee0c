"""HEAD answers wherever GET does, without the body; OPTIONS tells nothing."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from apps.core.api import event_stream
from apps.core.api.middleware import RequestContextMiddleware
from tests.api import Api

JSON = "application/json"
OPEN = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/llms.txt", "/.well-known/x402", "/v1/version", "/nothing",
        "/v1/nothing", "/v1.0/nothing", "/api/ext/v1/nothing"]  # fmt: skip
WITH_A_KEY = ["/v1/account", "/v1.0/account", "/v1/usage", "/v1/usage?format=csv", "/v1/usage?from=x", "/v1/watermark-templates",
              "/v1/batches", "/v1/batches/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11",
              "/v1/jobs", "/v1/jobs?limit=x", "/v1/jobs/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11"]  # fmt: skip
POST_ALONE = ["/v1/remove-bg/universal", "/v1.0/removebg", "/v1/remove-background", "/v1/clothing-segmentation",
              "/v1/watermark-removal", "/api/cutout/general/apparel-background-removal",
              "/api/ext/v1/submit_watermark_removal", "/api/ext/v1/get_task_result"]  # fmt: skip
_CHANGING = {
    "X-Request-Id",
    "Content-Length",
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
}


def both(api: Api | None, path: str) -> tuple[HttpResponse, HttpResponse]:
    client = Client(raise_request_exception=False, headers={"X-Api-Key": api.key} if api else {})
    return client.get(path), client.head(path)


def assert_alike(get: HttpResponse, head: HttpResponse) -> None:
    assert head.status_code == get.status_code
    assert set(head.headers) == set(get.headers)
    assert {name: head.headers[name] for name in set(get.headers) - _CHANGING} == {
        name: get.headers[name] for name in set(get.headers) - _CHANGING
    }
    assert b"".join(head) == b""
    if not get.streaming:  # metrics and processingMs grow by some digits
        assert abs(int(head.headers["Content-Length"]) - len(get.content)) <= max(8, len(get.content) // 5)
        assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", OPEN)
def test_head_of_what_is_open_to_all(api: Api, path: str) -> None:
    assert_alike(*both(None, path))


@pytest.mark.parametrize("path", WITH_A_KEY)
def test_head_with_a_key_and_without(api: Api, path: str) -> None:
    assert_alike(*both(api, path))
    assert_alike(*both(None, path))
    assert both(None, path)[1].status_code in {401, 403}


def test_head_of_a_job_and_of_its_events_waits_for_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]
    assert_alike(*both(api, f"/v1/jobs/{job_id}"))
    monkeypatch.setattr(event_stream, "_places", None)  # whoever asks for a place fails

    events = Client(headers={"X-Api-Key": api.key}).head(f"/v1/jobs/{job_id}/events")
    unknown = Client(headers={"X-Api-Key": api.key}).head(f"/v1/jobs/{job_id[:-4]}0000/events")

    assert (events.status_code, events.headers["Content-Type"]) == (200, "text/event-stream")
    assert b"".join(events) == b""
    assert unknown.status_code == 404


@pytest.mark.parametrize("path", POST_ALONE)
def test_head_of_what_is_posted_alone_is_a_405_that_says_so(api: Api, path: str) -> None:
    response = both(api, path)[1]

    assert (response.status_code, response.headers["Allow"]) == (400 if path == "/v1.0/removebg" else 405, "POST")
    assert response.content == b""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/account", "GET, HEAD"),
        ("/v1.0/account", "GET, HEAD"),
        ("/v1/usage", "GET, HEAD"),
        ("/v1/version", "GET, HEAD"),
        ("/v1/watermark-templates", "GET, HEAD, POST"),
        ("/v1/batches", "GET, HEAD, POST"),
        ("/v1/batches/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11", "GET, HEAD, DELETE"),
        ("/v1/batches/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11/archive", "GET, HEAD"),
        ("/v1/jobs", "GET, HEAD"),
        ("/v1/batches/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11/events", "GET, HEAD"),
        ("/v1/jobs/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11", "GET, HEAD, DELETE"),
        ("/v1/jobs/0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11/events", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/llms.txt", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs/redoc.js", "GET, HEAD"),
        ("/.well-known/x402", "GET, HEAD"),
    ],
)
def test_405_lists_head_where_there_is_get(api: Api, path: str, allowed: str) -> None:
    response = Client(headers={"X-Api-Key": api.key}).put(path, b"", content_type=JSON)

    assert (response.status_code, response.headers["Allow"]) == (400 if path == "/v1.0/account" else 405, allowed)
    assert response.headers["Content-Type"] == JSON
    if not path.startswith("/v1.0/"):
        assert response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("path", [*OPEN, *WITH_A_KEY, *POST_ALONE])
def test_options_tells_nothing_and_opens_nothing_to_other_sites(api: Api, path: str) -> None:
    headers = {"X-Api-Key": api.key, "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    response = Client(raise_request_exception=False, headers=headers).options(path)

    if path == "/v1/remove-background":  # the one address that browsers' wallets call
        assert (response.status_code, response.content) == (204, b"")
        return
    assert response.status_code in {200, 400, 404, 405}
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.status_code != 200 or response.content == b""


def test_answer_to_head_has_its_length_and_no_body() -> None:
    answer = RequestContextMiddleware(lambda _: HttpResponse(b"four"))

    told = answer(RequestFactory().head("/healthz"))

    assert (told.content, told.headers["Content-Length"]) == (b"", "4")
