"""`dry_run`: whoever asks for the price never gets a bill, however it is written."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.core.models import Job
from tests.api import Api, upload
from tests.drawing import photo_png
from tests.garments import garments_png
from tests.watermarks import mark_png, marked_png

Send = Callable[..., HttpResponse]


def form(path: str, name: str, picture: bytes) -> Send:
    def send(api: Api, query: str = "", fields: dict[str, Any] | None = None) -> HttpResponse:
        return api.post(path + query, {name: upload(picture), **(fields or {})})

    return send


def text(path: str, name: str, picture: bytes) -> Send:
    def send(api: Api, query: str = "", fields: dict[str, Any] | None = None) -> HttpResponse:
        return api.post(path + query, {name: base64.b64encode(picture).decode(), **(fields or {})}, as_json=True)

    return send


FORMS = {
    "remove-bg": form("/v1/remove-bg/product", "image", photo_png()),
    "clothing": form("/v1/clothing-segmentation", "image", garments_png()),
    "watermark": form("/v1/watermark-removal", "image", marked_png()),
    "removebg": form("/v1.0/removebg", "image_file", photo_png()),
    "costume": form("/api/cutout/general/apparel-background-removal", "image", garments_png()),
    "template": form("/v1/watermark-templates", "image", mark_png()),
}
TEXTS = {
    "remove-bg as JSON": text("/v1/remove-bg/universal", "image_base64", photo_png()),
    "removebg as JSON": text("/v1.0/removebg", "image_file_b64", photo_png()),
    "task": text("/api/ext/v1/submit_watermark_removal", "image_base64", marked_png()),
}
every_address = pytest.mark.parametrize("send", [*FORMS.values(), *TEXTS.values()], ids=[*FORMS, *TEXTS])


def raw(api: Api | None, query: str) -> HttpResponse:
    client = Client(raise_request_exception=False, headers={"X-Api-Key": api.key} if api else {})
    return client.post(f"/v1/remove-background{query}", photo_png(), content_type="image/png")


def assert_nothing_ran(api: Api) -> None:
    assert not Job.objects.exists()
    assert api.get("/v1/account").json()["data"]["credits"] == {"balance": 1000, "held": 0}
    assert api.get("/v1/watermark-templates").json()["data"]["templates"] == []


def assert_refused(api: Api, response: HttpResponse) -> None:
    assert response.status_code == 400, response.content
    assert "dry_run" in response.content.decode()
    assert_nothing_ran(api)


def assert_quoted(api: Api, response: HttpResponse) -> None:
    assert response.status_code == 200, response.content
    assert '"valid": true' in response.content.decode()
    assert_nothing_ran(api)


UNCLEAR = ["?dry_run", "?dry_run=", "?dry_run=yes", "?dry_run=%20x", "?dry_run=true&dry_run=false",
           "?Dry_Run=true", "?dryRun=true", "?dry-run=1", "?dryrun", "?DRY_RUN=false"]  # fmt: skip
HIDDEN = ["?a=1;dry_run=true", "?a=1%26dry_run=true", "?a=1&amp;dry_run=true", "?a=b?dry_run=true",
          "?a=1%3Bdry_run%3Dtrue", "?a=1%2526dry_run%253Dtrue", "?options[dry_run]=true", "?a=1,DRY-RUN=1",
          "?dry_run=false&a=1;dry_run=true", "?dry_run%3Dtrue", "?dry_run=true;a=1", "?is_dry_run=true",
          "?dry%255Frun=true"]  # fmt: skip
CLEAR = ["?dry_run=true", "?dry_run=TRUE", "?dry_run=1", "?dry_run=%20true", "?dry_run=1&dry_run=true"]


@every_address
def test_what_is_neither_true_nor_false_is_refused(api: Api, send: Send) -> None:
    for query in UNCLEAR:
        assert_refused(api, send(api, query))


@every_address
def test_what_hides_in_another_value_is_refused(api: Api, send: Send) -> None:
    for query in HIDDEN:
        assert_refused(api, send(api, query))


@every_address
def test_field_that_holds_it_is_refused(api: Api, send: Send) -> None:
    for fields in (
        {"a": "1;dry_run=true"},
        {"a": "1&dry_run=true"},
        {"options[dry_run]": "true"},
        {"amp;dry_run": "true"},
    ):
        assert_refused(api, send(api, fields=fields))


@pytest.mark.parametrize("name", ["X-Dry-Run", "Dry-Run"])
def test_header_that_asks_for_it_is_refused(api: Api, name: str) -> None:
    assert_refused(api, api.post("/v1/remove-bg/universal", {"image": upload(photo_png())}, **{name: "true"}))
    client = Client(raise_request_exception=False, headers={"X-Api-Key": api.key, name: "true"})
    assert_refused(api, client.post("/v1/remove-background", photo_png(), content_type="image/png"))


def test_semicolon_in_a_urlencoded_body_is_refused(api: Api) -> None:
    picture = base64.urlsafe_b64encode(photo_png()).decode()
    body = f"a=1;dry_run=true&image_file_b64={picture}"
    client = Client(raise_request_exception=False, headers={"X-Api-Key": api.key})

    assert_refused(api, client.post("/v1.0/removebg", body, content_type="application/x-www-form-urlencoded"))


def test_address_of_a_picture_may_say_what_it_likes(api: Api) -> None:
    url = "http://127.0.0.1:9/photo.png?a=1&dry_run=true"

    answer = api.post("/v1/remove-bg/universal", {"image_url": url}, as_json=True)

    assert answer.json()["error"]["details"][0]["field"] == "image_url"


@every_address
def test_a_clear_yes_is_quoted(api: Api, send: Send) -> None:
    for query in CLEAR:
        assert_quoted(api, send(api, query))


@every_address
def test_a_field_of_the_body_counts_as_well(api: Api, send: Send) -> None:
    assert_quoted(api, send(api, fields={"dry_run": "true"}))
    assert_quoted(api, send(api, "?dry_run=true", {"dry_run": "1"}))
    assert_refused(api, send(api, fields={"dry_run": "yes"}))
    assert_refused(api, send(api, fields={"dry_run": ""}))
    assert_refused(api, send(api, "?dry_run=false", {"dry_run": "true"}))
    assert_refused(api, send(api, fields={"dryRun": "true"}))


@pytest.mark.parametrize("send", TEXTS.values(), ids=TEXTS)
def test_json_values(api: Api, send: Send) -> None:
    assert_quoted(api, send(api, fields={"dry_run": True}))
    assert_quoted(api, send(api, fields={"dry_run": 1}))
    for wrong in (2, 1.0, [True], {"is": True}):
        assert_refused(api, send(api, fields={"dry_run": wrong}))
    for nested in ({"dry_run": True}, [{"dry_run": True}], {"a": {"dryRun": 1}}):
        assert_refused(api, send(api, fields={"options": nested}))


@pytest.mark.parametrize("fields", [{"dry_run": "false"}, {"dry_run": "0"}])
def test_a_clear_no_runs(api: Api, fields: dict[str, str]) -> None:
    assert FORMS["remove-bg"](api, "", fields).headers["X-Credits-Charged"] == "1"
    assert FORMS["remove-bg"](api, "?dry_run=false", fields).headers["X-Credits-Charged"] == "1"


@pytest.fixture
def rails(settings: Any) -> None:
    settings.PAYMENT_RAILS = ["x402", "mpp"]


@pytest.mark.usefixtures("rails")
def test_raw_address_refuses_with_a_key_and_without(api: Api) -> None:
    for query in [*UNCLEAR, *HIDDEN]:
        assert_refused(api, raw(api, query))
        assert_refused(api, raw(None, query))


@pytest.mark.usefixtures("rails")
def test_raw_address_quotes_with_a_key_and_without(api: Api) -> None:
    for query in CLEAR:
        assert_quoted(api, raw(api, query))
        assert_quoted(api, raw(None, query))
