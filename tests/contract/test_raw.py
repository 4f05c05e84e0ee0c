"""`POST /v1/remove-background` with a key: bytes in, bytes out, errors in its own form."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from PIL import Image

from apps.core.models import Job
from tests.api import Api
from tests.contract.raw_calls import PATH, send
from tests.drawing import photo_png


def encoded(image_format: str, width: int = 400, height: int = 300, *, noise: bool = True, **options: bool) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(photo_png(width, height, noise=noise))).convert("RGB").save(out, image_format, **options)
    return out.getvalue()


def assert_refused(response: HttpResponse, status: int, code: str, *, retryable: bool = False) -> None:
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"error", "requestId"}
    assert set(body["error"]) == {"code", "message", "retryable"}
    assert (body["error"]["code"], body["error"]["retryable"]) == (code, retryable)
    assert body["requestId"] == response.headers["X-Request-Id"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("media", ["png", "jpeg", "webp"])
def test_a_key_with_credits_gets_the_cut_out_and_pays_one(api: Api, media: str) -> None:
    response = send(api, encoded(media.upper(), noise=False), media=f"image/{media}")

    picture = Image.open(io.BytesIO(response.content))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/png")
    assert (picture.mode, picture.size) == ("RGBA", (400, 300))
    assert response.headers["X-Credits-Charged"] == "1"
    assert api.get("/v1/account").json()["data"]["credits"] == {"balance": 999, "held": 0}


def test_format_chooses_webp(api: Api) -> None:
    response = send(api, photo_png(), query="?format=webp")

    assert response.headers["Content-Type"] == "image/webp"
    assert response.content[8:12] == b"WEBP"


def test_same_key_same_bytes_is_one_charge(api: Api) -> None:
    first = send(api, photo_png(), Idempotency_Key="one")
    second = send(api, photo_png(), Idempotency_Key="one")
    other = send(api, photo_png(box=(1, 1, 40, 40)), Idempotency_Key="one")

    assert first.content == second.content
    assert second.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 422
    assert api.get("/v1/account").json()["data"]["credits"]["balance"] == 999


def test_dry_run_costs_nothing(api: Api) -> None:
    response = send(api, photo_png(), query="?dry_run=true")

    assert response.json()["price"] == {"credits": 1, "usd": "0.05"}
    assert not Job.objects.exists()


def test_a_wrong_key_is_a_401_without_a_challenge_to_pay(api: Api) -> None:
    response = send(api, photo_png(), X_Api_Key="kl_live_nobody")

    assert_refused(response, 401, "UNAUTHENTICATED")
    assert "Payment" not in response.headers.get("WWW-Authenticate", "")


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"no image at all", "image/png"),
        (b"", "image/png"),
        (encoded("JPEG"), "image/png"),
        (encoded("PNG"), "image/webp"),
        (encoded("GIF"), "image/png"),
        *((cut(encoded("PNG"), share), "image/png") for share in (0.2, 0.6, 0.999)),
        *((cut(encoded("JPEG"), share), "image/jpeg") for share in (0.2, 0.6, 0.999)),
        *((cut(encoded("WEBP"), share), "image/webp") for share in (0.2, 0.6, 0.999)),
        (damaged(encoded("PNG")), "image/png"),
    ],
)
def test_what_is_no_whole_image_of_its_type_is_a_400(api: Api, body: bytes, media: str) -> None:
    assert_refused(send(api, body, media=media), 400, "VALIDATION_ERROR")


VIDEO = b"\0\0\0\x18ftypmp42" + bytes(3000)
plain = partial(encoded, noise=False)  # in noise there is no subject, and nothing to charge for


@pytest.mark.parametrize(
    ("body", "media"),
    [
        *((plain(name.upper()) + b"\r\n--tail--\r\n", f"image/{name}") for name in ("png", "jpeg", "webp")),
        (plain("JPEG")[:-2], "image/jpeg"),
        (plain("JPEG")[:-2] + VIDEO, "image/jpeg"),
        (plain("JPEG", progressive=True)[:-2] + VIDEO, "image/jpeg"),
    ],
    ids=["png", "jpeg", "webp", "jpeg, no end", "jpeg, no end, film", "progressive, no end, film"],
)
def test_bytes_behind_the_end_and_a_jpegs_missing_end_are_no_fault(api: Api, body: bytes, media: str) -> None:
    response = send(api, body, media=media)

    assert response.status_code == 200, response.content
    assert response.headers["X-Credits-Charged"] == "1"


def test_a_jpeg_that_is_cut_in_a_later_scan_is_a_400(api: Api) -> None:
    whole = encoded("JPEG", progressive=True)
    for share in (0.5, 0.8, 0.99):
        assert_refused(send(api, cut(whole, share), media="image/jpeg"), 400, "VALIDATION_ERROR")


def test_too_many_pixels_is_a_400(api: Api) -> None:
    out = io.BytesIO()
    Image.new("1", (10_001, 20)).save(out, "PNG")

    assert_refused(send(api, out.getvalue()), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("query", ["?format=jpg", "?format=tiff", "?dry_run=perhaps"])
def test_a_wrong_parameter_is_a_400(api: Api, query: str) -> None:
    assert_refused(send(api, photo_png(), query=query), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("media", ["application/json", "image/gif", "text/plain", "multipart/form-data; boundary=x"])
def test_another_content_type_is_a_415(api: Api, media: str) -> None:
    assert_refused(send(api, photo_png(), media=media), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_over_25_mb_is_a_413(api: Api) -> None:
    assert_refused(send(api, b"x" * (25 * 1_048_576 + 1)), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_another_method_is_a_405(api: Api, method: str) -> None:
    response: Any = getattr(Client(raise_request_exception=False), method)(PATH, headers={"X-Api-Key": api.key})

    assert_refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"] == "POST"
