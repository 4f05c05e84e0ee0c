"""Whose body it is gets asked before it is received: of a stranger's nothing is kept, and his answer comes soon."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application

from apps.accounts.models import ApiKey
from apps.core import broker
from apps.core.api import front, terms
from apps.core.api.door import Door
from apps.core.api.front import Front
from apps.core.api.middleware import cap_of
from apps.core.models import Job
from tests.api import Api, make_api
from tests.core.rsgi import Client, Scope, counted_spools
from tests.drawing import photo_png
from tests.stack.wire import form, image

MB = 1_048_576
PHOTO = photo_png(200, 200, noise=True)
BODY = form(image(PHOTO))
FORM = "multipart/form-data; boundary=XX"
BG, RAW, COSTUME, TASK, REMOVEBG = (
    "/v1/remove-bg/universal", "/v1/remove-background", "/api/cutout/general/apparel-background-removal",
    "/api/ext/v1/submit_watermark_removal", "/v1.0/removebg",
)  # fmt: skip


class Server:
    """The front before Django, as granian has it."""

    def __init__(self) -> None:
        self._front = Front(get_wsgi_application(), cap_of=cap_of, terms_of=Door(), threads=4)

    def send(self, path: str, *chunks: bytes | None, method: str = "POST", **headers: str) -> Client:
        return self.send_all([(path, method, headers, chunks)])[0]

    def send_all(self, requests: list[tuple[str, str, dict[str, str], tuple[bytes | None, ...]]]) -> list[Client]:
        clients = []

        async def all_at_once() -> None:
            under_way = []
            for path, method, headers, chunks in requests:
                length = str(sum(len(chunk or b"") for chunk in chunks))
                scope = Scope(**{"host": "testserver", "content_type": FORM, "content_length": length, **headers})
                scope.path, _, scope.query_string = path.partition("?")
                scope.method = method
                clients.append(Client(*chunks))
                under_way.append(self._front.__rsgi__(scope, clients[-1]))
            await asyncio.wait_for(asyncio.gather(*under_way), timeout=30)

        asyncio.run(all_at_once())
        return clients


@pytest.fixture
def server(api: Api, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(front, "CROWD_PATIENCE_S", 0.0)
    return Server()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what was written of bodies."""
    return counted_spools(monkeypatch)


@pytest.fixture
def paid(settings: Any) -> None:
    settings.PAYMENT_RAILS = ["x402", "mpp"]
    broker.broker().flushdb()
    cache.clear()


@pytest.mark.parametrize(
    ("path", "status"),
    [(BG, 401), (COSTUME, 401), (TASK, 401), (REMOVEBG, 403), (RAW, 401), ("/v1/watermark-templates", 401)],
)
@pytest.mark.parametrize("headers", [{}, {"x_api_key": "kl_live_wrong"}, {"x_rapidapi_proxy_secret": "w"}])
def test_nothing_is_kept_without_a_right_credential(
    server: Server, kept: list[int], path: str, status: int, headers: dict[str, str]
) -> None:
    client = server.send(path, *[b"x" * 65_536] * 16, **headers)

    assert client.status == status
    assert json.loads(client.body)
    assert client.taken == MB  # thrown away: the answer has reached a client that was still sending
    assert sum(kept) == 0


@pytest.mark.parametrize(
    ("spoil", "status"), [("revoked", 401), ("scope", 403), ("method", 405), ("path", 404), ("two keys", 400)]
)
def test_nothing_is_kept_of_what_the_headers_refuse(server: Server, kept: list[int], spoil: str, status: int) -> None:
    scopes = ["clothing-segmentation"] if spoil == "scope" else []
    key = make_api("other", scopes=scopes).key
    path = "/v1/nothing" if spoil == "path" else BG
    more = {"authorization": "Bearer another"} if spoil == "two keys" else {}
    if spoil == "revoked":
        ApiKey.objects.get(account__name="other").revoke()

    method = "PUT" if spoil == "method" else "POST"
    client = server.send(path, b"x" * MB, method=method, x_api_key=key, **more)

    assert client.status == status
    assert sum(kept) == 0


def test_right_key_and_right_gateway_are_served(server: Server, api: Api, settings: Any) -> None:
    settings.RAPIDAPI_SECRETS = ["gateway-secret-0123"]
    gateway = {"x_rapidapi_proxy_secret": "gateway-secret-0123", "x_rapidapi_user": "jane"}

    assert server.send(BG, BODY, x_api_key=api.key).status == 200
    assert server.send(BG, BODY, **gateway).status == 200
    assert server.send(RAW, PHOTO, content_type="image/png", authorization=f"Bearer {api.key}").status == 200


def test_key_that_becomes_right_a_moment_too_late_is_asked_to_send_again(
    server: Server, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(environ: dict[str, Any]) -> None:
        return None

    monkeypatch.setattr(server._front, "_terms_of", nobody)
    client = server.send(BG, BODY, x_api_key=api.key)

    error = json.loads(client.body)["error"]
    assert (client.status, error["code"], error["retryable"]) == (503, "OVERLOADED", True)
    assert not Job.objects.exists()


def test_stranger_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """He declares much and sends nothing: the answer is there all the same."""
    client = server.send(BG, b"x", None, content_length=str(9 * MB))

    assert client.status == 401


def test_account_has_so_many_bodies_on_their_way(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.api.views._MORE_BODIES", 0)
    mine, other = make_api("free", plan="FREE"), make_api("other", plan="FREE")
    quick = terms.Pace(**{**vars(terms.PATIENT), "longest_pause_s": 1.0})
    monkeypatch.setattr("apps.core.api.views.PATIENT", quick)
    stuck = (BG, "POST", {"x_api_key": mine.key, "content_length": "9999"}, (b"x", None))
    good = (BG + "?dry_run=true", "POST", {"x_api_key": other.key}, (BODY,))

    *mine_all, others = server.send_all([*[stuck] * 5, good])

    statuses = sorted(client.status for client in mine_all)
    assert statuses == [400, 400, 400, 400, 429]
    assert others.status == 200
    assert any(b"bodies at once" in client.body for client in mine_all)


# --- the paid address: anybody may send a photo ---------------------------------------------------------------


@pytest.mark.usefixtures("paid")
def test_unpaid_photo_is_read_whole_and_counted_once(server: Server, kept: list[int], settings: Any) -> None:
    settings.UNPAID_PER_MINUTE = 3
    statuses = [server.send(RAW, PHOTO, content_type="image/png").status for _ in range(3)]

    assert statuses[0] in {402, 503}  # 503: the stand-in worker has no heart that beats
    assert len(set(statuses)) == 1
    assert sum(kept) >= 3 * len(PHOTO)
    kept.clear()

    late = server.send(RAW, PHOTO, content_type="image/png")

    assert late.status == 429
    assert set(json.loads(late.body)) == {"error", "requestId"}
    assert sum(kept) == 0


@pytest.mark.usefixtures("paid")
@pytest.mark.parametrize(
    "headers", [{"content_type": "text/plain"}, {"content_type": "image/png", "x_api_key": "wrong"}]
)
def test_nothing_is_kept_of_what_the_paid_address_refuses_by_headers(
    server: Server, kept: list[int], headers: dict[str, str]
) -> None:
    client = server.send(RAW, b"x" * MB, **headers)

    assert client.status == (401 if "x_api_key" in headers else 415)
    assert sum(kept) == 0


@pytest.mark.usefixtures("paid")
def test_address_of_payers_has_few_bodies_on_their_way(
    server: Server, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = terms.Pace(**{**vars(terms.BRISK), "longest_pause_s": 1.0})
    monkeypatch.setattr("apps.payments.views.BRISK", quick)
    stuck = (RAW, "POST", {"content_type": "image/png", "x_payment": "eyJ9", "content_length": "9999"}, (b"x", None))

    clients = server.send_all([stuck] * 18)

    assert sorted(client.status for client in clients) == [400] * 16 + [429] * 2
    assert sum(kept) == 16


# --- pages ------------------------------------------------------------------------------------------------------


def test_form_of_a_page_is_small(server: Server, kept: list[int]) -> None:
    declared = server.send("/admin/login/", b"x" * MB)
    chunked = server.send("/admin/login/", *[b"x" * 16_384] * 64, content_length="", transfer_encoding="chunked")

    assert declared.status == chunked.status == 413
    assert sum(kept) <= 65_536
