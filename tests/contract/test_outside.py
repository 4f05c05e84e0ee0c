"""What the world is told of the inside, and what a browser may do with our pages."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from typing import Any

import pytest
from django.test import Client

from apps.core.api import security
from tests.api import Api

TOKEN = "metrics-token-0123456789"


def get(path: str, token: str | None = None, **extra: Any) -> Any:
    headers = {} if token is None else {"Authorization": token}
    return Client(raise_request_exception=False).get(path, headers=headers, **extra)


@pytest.mark.parametrize(
    "sent", [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_strangers_learn_yes_or_no_and_no_figures(api: Api, settings: Any, sent: str | None) -> None:
    settings.METRICS_TOKEN = TOKEN

    ready, metrics = get("/readyz", sent), get("/metrics", sent)

    assert ready.status_code in {200, 503}
    assert ready.json() == {"ready": ready.status_code == 200}
    assert metrics.status_code == 401
    assert metrics.json()["error"]["code"] == "UNAUTHENTICATED"
    assert metrics.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("token", "sent"), [(TOKEN, f"Bearer {TOKEN}"), (TOKEN, f"bearer  {TOKEN} "), ("", None)])
def test_who_may_look_is_told_all(api: Api, settings: Any, token: str, sent: str | None) -> None:
    settings.METRICS_TOKEN = token

    assert set(get("/readyz", sent).json()) == {"ready", "checks", "workers"}
    assert b"keyline_workers" in get("/metrics", sent).content


def test_reference_loads_everything_from_here(api: Api) -> None:
    page = get("/docs")
    loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.content.decode())
    script = get("/docs/redoc.js")

    assert {"/docs/redoc.js", "/openapi.json"} <= set(loaded)
    assert all(address.startswith(("/", "data:")) and not address.startswith("//") for address in loaded)
    assert b"cdn.redoc.ly" not in script.content  # the one picture that its makers' script would fetch
    assert len(script.content) > 500_000


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/docs", security.DOCS),
        ("/admin/login/", security.ADMIN),
        ("/healthz", security.DATA_ONLY),
        ("/v1/nothing", security.DATA_ONLY),
    ],
)
def test_every_answer_says_what_may_run_in_it(api: Api, path: str, policy: str) -> None:
    answer = get(path)

    told = answer.headers["Content-Security-Policy"]
    assert told == policy
    assert "default-src 'none'" in told
    assert "frame-ancestors 'none'" in told
    assert "http" not in told  # no other host
    assert "'unsafe-inline'" not in re.findall(r"script-src[^;]*", told + "; script-src 'self'")[0]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(("peer", "is_believed"), [("10.1.2.3", True), ("203.0.113.9", False)])
def test_who_came_encrypted_is_told_by_our_proxies_alone(api: Api, settings: Any, peer: str, is_believed: bool) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    client = Client(headers={"X-Forwarded-Proto": "https"}, REMOTE_ADDR=peer)

    answer = client.get("/v1/account")

    assert answer.status_code == (401 if is_believed else 301)
    assert ("Strict-Transport-Security" in answer.headers) == is_believed


def told_addresses(host: str) -> list[str]:
    """What an answer says of the service's own address: /llms.txt, and the 402 in both versions of x402."""
    client = Client(raise_request_exception=False, headers={"Host": host})
    challenge = client.post("/v1/remove-background", b"", content_type="image/png")
    if challenge.status_code != 402:
        return [challenge.content.decode()]
    v2 = json.loads(base64.b64decode(challenge.headers["PAYMENT-REQUIRED"]))
    return [client.get("/llms.txt").content.decode(), challenge.json()["accepts"][0]["resource"], v2["resource"]["url"]]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:81", "api.example.com:81"])
def test_host_of_a_stranger_is_not_told_as_ours(api: Api, settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS, settings.PUBLIC_URL, settings.PAYMENT_RAILS = ["*"], "https://api.example.com/", ["x402"]

    told = told_addresses(host)

    assert len(told) == 3
    assert all("https://api.example.com/v1/remove-background" in each and host not in each for each in told)


def test_without_an_address_of_ours_the_manual_has_none(api: Api, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.PUBLIC_URL = ["*"], ""

    told = Client(headers={"Host": "evil.example"}).get("/llms.txt").content.decode()

    assert ("evil.example" in told, "`POST /v1/remove-background`" in told) == (False, True)


def test_named_hosts_are_told_as_they_are_asked_for(api: Api, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.PUBLIC_URL, settings.PAYMENT_RAILS = (
        [".example.com"],
        "https://api.example.com",
        ["x402"],
    )

    assert all("http://pay.example.com/v1/remove-background" in each for each in told_addresses("pay.example.com"))
    assert all("https://api.example.com/v1/remove-background" in each for each in told_addresses("api.example.com:81"))
    refused = told_addresses("evil.example")
    assert len(refused) == 1
    assert "does not answer for that host" in refused[0]
    assert "body" not in refused[0]


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/docs", "/.well-known/x402", "/v1/nothing", "/healthz", "/admin/", "/v1/version"]
)
def test_nothing_else_repeats_the_host(api: Api, path: str) -> None:
    answer = Client(raise_request_exception=False, headers={"Host": "evil.example"}).get(path)

    assert b"evil.example" not in answer.content
    assert "evil.example" not in str(answer.headers)
