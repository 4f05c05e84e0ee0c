"""Bodies that no honest client sends: a 400 that names what is wrong, in bounded memory, and nothing charged."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest
from django.http import HttpResponse

from apps.core.models import Job
from tests.api import Api, upload
from tests.drawing import photo_png

PATH = "/v1/remove-bg/universal"
MULTIPART = "multipart/form-data; boundary=XX"
PHOTO = base64.b64encode(photo_png(40, 30)).decode()


def send(api: Api, body: bytes, content_type: str = "application/json", **headers: str) -> HttpResponse:
    return api._client.post(PATH, data=body, content_type=content_type, headers=api._headers(headers))


def refusal(response: HttpResponse) -> tuple[int, str, str]:
    """Status, field and issue of an answer's first detail."""
    detail = response.json()["error"]["details"][0]
    return response.status_code, detail["field"], detail["issue"]


def form(*parts: bytes, end: bytes = b"--XX--\r\n") -> bytes:
    return b"".join(b"--XX\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + end


IMAGE = b'name="image"; filename="a.png"\r\n\r\n' + photo_png(40, 30)


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        (b"", "File is required"),
        (b"[]", "must be an object"),
        (b'"text"', "must be an object"),
        (b"null", "must be an object"),
        (b'{"a":', "Expecting value at line 1, column 6"),
        (b"{}{}", "Extra data"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number that is too long"),
        (b'{"a": "\xff"}', "not in UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not in UTF-8"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested too deeply"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested too deeply"),
        (b"[" * 1_000_000, "too many values"),
        (b'{"a":[' + b"[]," * 300_000 + b"[]]}", "too many values"),
        (b'{"a":[' + b"1," * 3_000_000 + b"1]}", "too many values"),
    ],
)
def test_json_that_is_none_or_too_much(api: Api, body: bytes, issue: str) -> None:
    status, field, said = refusal(send(api, body))

    assert status == 400
    assert field in {"body", "image"}
    assert issue in said
    assert not Job.objects.exists()


@pytest.mark.parametrize("bad", ["\\u0000", "\\ud800", "\\udfff-"])
@pytest.mark.parametrize("where", ['"output_format": "%s"', '"unknown": "%s"', '"deep": [{"a": ["%s"]}]', '"%s": 1'])
def test_what_the_database_could_not_store_is_no_text(api: Api, bad: str, where: str) -> None:
    body = f'{{"image_base64": "{PHOTO}", {where % bad}}}'.encode()

    status, field, issue = refusal(send(api, body, **{"Idempotency-Key": "a"}))

    assert status == 400
    assert field in {"output_format", "unknown", "deep", "body"}
    assert "no text" in issue
    assert not Job.objects.exists()


def test_byte_order_mark_is_forgiven(api: Api) -> None:
    assert send(api, b"\xef\xbb\xbf" + json.dumps({"image_base64": PHOTO}).encode()).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "issue"),
    [
        (form(IMAGE), "multipart/form-data", "no usable boundary"),
        (form(IMAGE), "multipart/form-data; boundary=", "no usable boundary"),
        (form(IMAGE), "multipart/form-data; boundary=" + "x" * 300, "no usable boundary"),
        (form(IMAGE), "multipart/form-data; boundary=YY", "does not end with the boundary"),
        (form(IMAGE, end=b""), MULTIPART, "does not end with the boundary"),
        (form(IMAGE)[:-40], MULTIPART, "does not end with the boundary"),
        (form(IMAGE, b'name="output_format"\r\n\r\nma', end=b""), MULTIPART, "does not end with the boundary"),
        (b"--XX\r\nContent-Dispo", MULTIPART, "does not end with the boundary"),
        (form(IMAGE, *[b'name="f%d"\r\n\r\nv' % n for n in range(10_000)]), MULTIPART, "too many parts"),
        (form(IMAGE, *[b'name="f%d"; filename="f"\r\n\r\nv' % n for n in range(10_000)]), MULTIPART, "too many parts"),
        (form(b'name="' + b"n" * 100_000 + b'"\r\n\r\nv'), MULTIPART, "headers are too long"),
        (form(b'name="image"; filename="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!!'), MULTIPART, "base64"),
        (form(IMAGE, b'name="unknown"\r\n\r\na\0b'), MULTIPART, "no text"),
        (form(IMAGE, b'name="a\0b"\r\n\r\nv'), MULTIPART, "no text"),
    ],
)
def test_forms_that_are_none_or_were_cut_off(api: Api, body: bytes, content_type: str, issue: str) -> None:
    response = send(api, body, content_type)

    assert response.status_code == 400
    assert issue in refusal(response)[2]
    assert not Job.objects.exists()


def test_form_may_go_on_a_little_after_its_end(api: Api) -> None:
    assert send(api, b"preamble\r\n" + form(IMAGE) + b"\r\n\r\n", MULTIPART).status_code == 200
    assert send(api, form(IMAGE), 'multipart/form-data; boundary="XX"').status_code == 200


@pytest.mark.parametrize("field", ["output_format", "bg_color", "crop_margin", "image_url", "unknown"])
def test_text_of_megabytes_is_refused_where_it_means_anything(api: Api, field: str) -> None:
    body = json.dumps({field: "x" * 5_000_000, **({} if field == "image_url" else {"image_base64": PHOTO})}).encode()

    response = send(api, body)

    assert response.status_code == (200 if field == "unknown" else 400), response.content
    if field != "unknown":
        assert refusal(response)[1] == field


def test_image_in_base64_passes_through_disk(api: Api) -> None:
    text = base64.b64encode(photo_png(300, 200, noise=True)).decode()
    assert len(text) > 65_536

    as_json = send(api, json.dumps({"image_base64": text}).encode(), **{"Idempotency-Key": "long"})
    as_form = send(api, form(b'name="image_base64"\r\n\r\n' + text.encode()), MULTIPART)
    again = send(api, json.dumps({"image_base64": text}).encode(), **{"Idempotency-Key": "long"})
    other = send(api, json.dumps({"image_base64": text[:-8] + text[-4:]}).encode(), **{"Idempotency-Key": "long"})

    assert as_json.status_code == as_form.status_code == 200
    assert as_json.content == as_form.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code in {400, 422}


def test_waiting_request_keeps_no_base64_in_memory(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.core import jobs

    body = json.dumps({"image_base64": base64.b64encode(photo_png(40, 30) + bytes(9_000_000)).decode()}).encode()
    seen: list[int] = []
    submit = jobs.submit

    def measured(order: Any) -> Any:
        seen.append(tracemalloc.get_traced_memory()[0])
        return submit(order)

    monkeypatch.setattr(jobs, "submit", measured)
    send(api, json.dumps({"image_base64": PHOTO}).encode())
    tracemalloc.start()
    try:
        assert send(api, body).status_code == 200
    finally:
        tracemalloc.stop()

    assert seen[-1] < len(body) + 2_000_000  # the test client itself holds the body once


@pytest.mark.parametrize("content_type", ["text/plain", "image/png", "", ";;;", "application/x-www-form-urlencoded",
                                          "multipart/mixed; boundary=XX", "application/vnd.x+json", "text/json"])  # fmt: skip
def test_other_types_are_a_415(api: Api, content_type: str) -> None:
    response = send(api, photo_png(), content_type)

    assert response.status_code == 415
    assert response.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_upload_of_two_images_is_refused_whichever_way(api: Api) -> None:
    twice = send(api, form(IMAGE, IMAGE), MULTIPART)
    mixed = api.post(PATH, {"image": upload(photo_png()), "image_base64": PHOTO})

    assert refusal(twice)[:2] == (400, "image")
    assert refusal(mixed)[:2] == (400, "image")
