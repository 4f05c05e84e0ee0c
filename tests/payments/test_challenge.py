"""The 402 and what comes before it, with chains that do not answer: it is written without asking anybody."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from django.test import Client

from apps.core import broker
from apps.core.models import Job
from apps.payments import schema, views
from apps.payments.facilitator import Outcome, Settlement
from apps.payments.models import Payment
from tests.api import Api
from tests.drawing import photo_png
from tests.payments.paying import settled_by
from tests.payments.wallet import PATH, challenge_of, post, unb64, x402_header


def assert_nothing_happened() -> None:
    assert not Job.objects.exists()
    assert not Payment.objects.exists()


def test_one_402_offers_both_versions_and_mpp(desk: Api) -> None:
    response = post()

    v1, v2 = response.json(), unb64(response.headers["PAYMENT-REQUIRED"])
    (old,), (new,) = v1["accepts"], v2["accepts"]
    assert (response.status_code, response.headers["Content-Type"]) == (402, "application/json")
    assert response.headers["Cache-Control"] == "no-store"
    assert (v1["x402Version"], v2["x402Version"]) == (1, 2)
    assert (old["network"], new["network"]) == ("base-sepolia", "eip155:84532")
    assert (old["maxAmountRequired"], new["amount"]) == ("50000", "50000")
    assert old["resource"] == v2["resource"]["url"] == "http://testserver/v1/remove-background"
    assert isinstance(old["description"], str)
    assert "outputSchema" not in old
    assert old["extra"] == new["extra"] == {"name": "USDC", "version": "2"}
    assert "PAYMENT-REQUIRED" in response.headers["Access-Control-Expose-Headers"]
    assert_nothing_happened()


def test_mpp_challenge_is_bound_by_its_id_to_route_and_body(desk: Api, settings: Any) -> None:
    challenge = challenge_of(post(query="?format=webp"))

    names = ("realm", "method", "intent", "request", "expires", "digest", "opaque")
    bound = "|".join(challenge[name] for name in names)
    mac = hmac.new(settings.MPP_SECRETS[0].encode(), bound.encode(), hashlib.sha256).digest()
    assert challenge["id"] == base64.urlsafe_b64encode(mac).decode().rstrip("=")
    assert challenge["digest"] == "sha-256=" + base64.b64encode(hashlib.sha256(photo_png()).digest()).decode()
    assert unb64(challenge["opaque"])["route"] == "POST /v1/remove-background?format=webp"
    assert unb64(challenge["request"])["amount"] == "50000"


def test_a_probe_without_a_body_learns_the_price(desk: Api) -> None:
    response = Client().generic("POST", PATH)

    assert response.status_code == 402
    assert response.json()["accepts"][0]["maxAmountRequired"] == "50000"


def test_price_follows_the_price_list(desk: Api) -> None:
    from apps.billing.models import Price

    Price.objects.create(operation="remove-background", credits=3)

    assert post().json()["accepts"][0]["maxAmountRequired"] == "150000"


@pytest.mark.parametrize(("body", "media", "status"), [(b"no image", "image/png", 400), (None, "image/gif", 415),
                                                       (photo_png()[:-30], "image/png", 400)])  # fmt: skip
def test_nobody_is_asked_to_pay_for_a_bad_file(desk: Api, body: bytes | None, media: str, status: int) -> None:
    response = post(body, media=media)

    assert response.status_code == status
    assert "PAYMENT-REQUIRED" not in response.headers
    assert set(response.json()) == {"error", "requestId"}
    assert_nothing_happened()


def test_unpaid_requests_are_limited_by_address_and_bad_files_count(desk: Api, settings: Any) -> None:
    settings.UNPAID_PER_MINUTE = 3
    broker.broker().delete("keyline:rate:unpaid:127.0.0.1")

    statuses = [post(b"no image").status_code, post().status_code, post().status_code, post().status_code]
    late = post(media="text/plain")

    assert statuses == [400, 402, 402, 429]
    assert (late.status_code, late.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert int(late.headers["Retry-After"]) > 0


@pytest.fixture
def two_a_minute(desk: Api, settings: Any) -> None:
    settings.UNPAID_PER_MINUTE = 2
    broker.broker().delete("keyline:rate:unpaid:127.0.0.1", "keyline:rate:refused:127.0.0.1")


def test_a_payment_gives_back_one_unpaid_request_and_its_repetitions_none(
    two_a_minute: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_by(monkeypatch, Settlement(Outcome.SETTLED, "0x" + "ee" * 32))
    header = x402_header()

    statuses = [post(**paying).status_code for paying in ({}, header, {}, header, {}, header, {})]

    assert statuses == [402, 200, 402, 200, 402, 200, 429]


def test_results_for_nothing_count_as_unpaid(two_a_minute: None, monkeypatch: pytest.MonkeyPatch) -> None:
    settled_by(monkeypatch)

    statuses = [post(photo_png(box=None), **x402_header()).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


def test_answer_stands_although_nobody_can_count_it(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(caller: str, *, limit: int) -> Any:
        raise broker.BrokerAwayError

    monkeypatch.setattr(views, "count_request", away)

    assert post(**x402_header(value="1")).status_code == 402


def test_without_a_worker_nobody_is_asked_to_pay(desk: Api) -> None:
    broker.forget("in-process")

    response = post()

    assert (response.status_code, response.json()["error"]["retryable"]) == (503, True)
    assert "PAYMENT-REQUIRED" not in response.headers


@pytest.mark.parametrize(("rails", "x402", "mpp"), [(["x402"], True, False), (["mpp"], False, True)])
def test_a_host_name_may_offer_one_rail_alone(
    desk: Api, settings: Any, rails: list[str], x402: bool, mpp: bool
) -> None:
    settings.PAYMENT_RAIL_HOSTS = {"testserver": rails}

    response = post()

    assert response.status_code == 402
    assert ("PAYMENT-REQUIRED" in response.headers, "WWW-Authenticate" in response.headers) == (x402, mpp)


def test_a_rail_of_a_host_name_alone_is_in_the_openapi_document(desk: Api, settings: Any) -> None:
    settings.PAYMENT_RAILS, settings.PAYMENT_RAIL_HOSTS = [], {"pay.example.com": ["mpp"]}

    assert [(offer["method"], offer["amount"]) for offer in schema._offers("50000")] == [("tempo", "50000")]


def test_rails_off_is_a_401(desk: Api, settings: Any) -> None:
    settings.PAYMENT_RAILS = []

    assert post().status_code == 401


def test_a_wrong_key_is_a_401_without_a_challenge(desk: Api) -> None:
    response = post(X_Api_Key="kl_live_nobody")

    assert response.status_code == 401
    assert "PAYMENT-REQUIRED" not in response.headers
    assert not response.headers["WWW-Authenticate"].startswith("Payment")


def test_a_key_and_a_payment_at_once_is_a_400(desk: Api) -> None:
    assert post(X_Api_Key=desk.key, **x402_header()).status_code == 400


def test_preflight_is_never_402_and_names_what_clients_send(desk: Api) -> None:
    response = Client().options(PATH, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})

    assert response.status_code == 204
    for name in ("X-PAYMENT", "PAYMENT-SIGNATURE", "Authorization", "Idempotency-Key", "Access-Control-Expose-Headers"):
        assert name in response.headers["Access-Control-Allow-Headers"]


def test_chain_away_is_a_503_and_the_payment_is_as_good_as_new(desk: Api) -> None:
    header = x402_header()

    responses = [post(**header), post(**header)]

    assert [response.status_code for response in responses] == [503, 503]
    assert all(response.json()["error"]["retryable"] and response.headers["Retry-After"] for response in responses)
    assert Payment.objects.get().state == "released"
    assert not Job.objects.exists()
