"""Every error of a request that pays by MPP is a problem (RFC 9457), with the other members beside it. No chain is asked."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpResponse

from tests.api import Api
from tests.payments.wallet import post


def assert_problem(response: HttpResponse, status: int, code: str) -> None:
    told = response.json()
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json"), told
    assert (told["type"], told["status"], told["title"]) == ("about:blank", status, HTTPStatus(status).phrase)
    assert told["detail"] == told["error"]["message"]
    assert (told["error"]["code"], told["requestId"]) == (code, response.headers["X-Request-Id"])


def test_every_refusal_of_a_request_with_an_mpp_credential_is_a_problem(desk: Api, settings: Any) -> None:
    assert_problem(post(Authorization="payment  e30", X_Api_Key=desk.key), 400, "VALIDATION_ERROR")
    assert_problem(post(b"GIF89a", media="image/gif", Authorization="Payment e30"), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert_problem(post(b"none", Authorization="Payment e30"), 400, "VALIDATION_ERROR")
    assert_problem(post(b"", Content_Length=str(26 * 2**20), Authorization="Payment e30"), 413, "PAYLOAD_TOO_LARGE")
    settings.UNPAID_PER_MINUTE = 1
    late = post(Authorization="Payment e30")
    assert_problem(late, 429, "RATE_LIMITED")
    assert int(late.headers["Retry-After"]) > 0


def test_no_problem_for_who_pays_otherwise(desk: Api, settings: Any) -> None:
    settings.UNPAID_PER_MINUTE = 1
    for sent in ({"X_PAYMENT": "e30="}, {"PAYMENT_SIGNATURE": "e30="}, {}):
        answers = [post(**sent) for _ in range(3)]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Content-Type"] == "application/json"
        assert set(answers[-1].json()) == {"error", "requestId"}
