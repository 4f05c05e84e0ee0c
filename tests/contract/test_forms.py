"""Forms and bodies that honest clients send and many servers refuse, at the addresses themselves."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.core.models import Job
from tests.api import Api
from tests.drawing import photo_png
from tests.garments import garments_png
from tests.watermarks import mark_png, marked_png, smear_png

FORM, JSON = "multipart/form-data; boundary=XX", "application/json"
BACKGROUND, REMOVEBG, RAW = "/v1/remove-bg/universal", "/v1.0/removebg", "/v1/remove-background"
COSTUME, TASK = "/api/cutout/general/apparel-background-removal", "/api/ext/v1/submit_watermark_removal"
ADDRESSES = {
    BACKGROUND: ("image", photo_png()),
    REMOVEBG: ("image_file", photo_png()),
    COSTUME: ("image", garments_png()),
    "/v1/clothing-segmentation": ("image", garments_png()),
    "/v1/watermark-removal": ("image", marked_png()),
    "/v1/watermark-templates": ("image", mark_png()),
}


def send(api: Api, path: str, body: bytes, kind: str = FORM, **headers: str) -> HttpResponse:
    named = {"X-Api-Key": api.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Client(raise_request_exception=False).post(f"{path}?dry_run=true", body, content_type=kind, headers=named)


def form(*parts: tuple[str, bytes]) -> bytes:
    told = [f"--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts]
    return b"".join(told) + b"--XX--\r\n"


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_file_part_needs_no_filename(api: Api, path: str) -> None:
    name, picture = ADDRESSES[path]
    for head in (f'name="{name}"', f'name="{name}"; filename=""', f"Name={name}; FileName="):
        response = send(api, path, form((head, picture)))

        assert response.status_code == 200, response.content


def test_every_file_field_counts(api: Api) -> None:
    smear = send(api, "/v1/watermark-removal", form(('name="image"', marked_png()), ('name="smear"', smear_png())))
    ground = send(api, REMOVEBG, form(('name="image_file"', photo_png()), ('name="bg_image_file"', photo_png())))
    different = [('name="images"', photo_png(60, 60, box=(left, 10, 50, 50))) for left in (10, 20, 30)]
    photos = send(api, "/v1/watermark-templates", form(*different))

    assert [each.status_code for each in (smear, ground, photos)] == [200, 200, 200]


@pytest.mark.parametrize("kind", ["Multipart/Form-Data; boundary=XX", "multipart/form-data; Boundary=XX"])
def test_case_of_the_content_type_does_not_matter(api: Api, kind: str) -> None:
    assert send(api, BACKGROUND, form(('name="image"; filename="a.png"', photo_png())), kind).status_code == 200


def test_file_input_that_was_left_empty_is_none(api: Api) -> None:
    chosen_none = ('name="image"; filename=""', b"")
    text = ('name="image_base64"', base64.b64encode(photo_png()))

    assert send(api, BACKGROUND, form(chosen_none, text)).status_code == 200
    assert send(api, BACKGROUND, form(chosen_none)).json()["error"]["message"] == "Missing or empty image file"


def test_text_that_is_not_utf_8_is_told_apart_from_nul(api: Api) -> None:
    bytes_in_text = send(api, BACKGROUND, form(('name="image_base64"', photo_png())))
    latin = send(api, "/v1/watermark-templates", form(('name="image"', mark_png()), ('name="name"', b"caf\xe9")))

    for response, field in ((bytes_in_text, "image_base64"), (latin, "name")):
        (detail,) = response.json()["error"]["details"]
        assert (response.status_code, detail["field"]) == (400, field)
        assert "UTF-8" in detail["issue"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_another_encoding_is_named(api: Api, encoding: str) -> None:
    body = json.dumps({"image_base64": base64.b64encode(photo_png()).decode()}).encode(encoding)

    response = send(api, BACKGROUND, body, JSON)

    assert (response.status_code, encoding[:6].upper() in response.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8", 'application/json; charset="x"']
)
def test_charset_of_json_is_utf_8_whatever_is_said(api: Api, kind: str) -> None:
    body = json.dumps({"image_base64": base64.b64encode(photo_png()).decode()}).encode("utf-8-sig")

    assert send(api, BACKGROUND, body, kind).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "GZIP", "identity, gzip", "x-unknown"])
@pytest.mark.parametrize("path", [*ADDRESSES, RAW, TASK])
def test_compressed_body_is_refused_by_the_name_of_its_encoding(api: Api, path: str, coding: str) -> None:
    kind = {RAW: "image/png", TASK: JSON}.get(path, FORM)

    response = send(api, path, gzip.compress(b"{}"), kind, Content_Encoding=coding)

    assert response.status_code == (400 if path in {TASK, REMOVEBG} else 415)  # they know no 415
    assert coding.rpartition(" ")[2] in response.content.decode()
    assert "compressed" in response.content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize("coding", ["identity", "", "utf-8", "Identity"])
def test_body_that_is_as_it_is_may_say_so(api: Api, coding: str) -> None:
    assert send(api, BACKGROUND, form(('name="image"', photo_png())), Content_Encoding=coding).status_code == 200
    assert send(api, RAW, photo_png(), "image/png", Content_Encoding=coding).status_code == 200


def test_line_ends_without_cr_are_named(api: Api) -> None:
    response = send(api, BACKGROUND, form(('name="image"; filename="a.png"', photo_png())).replace(b"\r\n", b"\n", 4))

    assert (response.status_code, "LF alone" in response.json()["error"]["message"]) == (400, True)
