"""Errors that people can act on: what they say is true of the address that says it."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from importlib import import_module
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from rest_framework import serializers
from rest_framework.fields import Field

from apps.core import jobs
from apps.core.api import event_stream
from apps.core.errors import AppError
from apps.core.intake.inline import LongText
from apps.core.models import Job
from apps.core.places import Places
from tests.api import Api, upload
from tests.drawing import photo_png
from tests.garments import garments_png
from tests.watermarks import mark_png, marked_png, smear_png

JSON = "application/json"
BACKGROUND, REMOVEBG, RAW = "/v1/remove-bg/universal", "/v1.0/removebg", "/v1/remove-background"
COSTUME, TASK = "/api/cutout/general/apparel-background-removal", "/api/ext/v1/submit_watermark_removal"


def send(api: Api, path: str, body: Any, kind: str | None = None, **headers: str) -> HttpResponse:
    client = Client(raise_request_exception=False, headers={"X-Api-Key": api.key, **headers})
    return client.post(path, body, **({"content_type": kind} if kind else {}))


def picture_for(path: str) -> tuple[Any, str | None]:
    if path == RAW:
        return photo_png(), "image/png"
    if path == TASK:
        return json.dumps({"image_base64": base64.b64encode(marked_png()).decode()}), JSON
    return {"image_file" if path == REMOVEBG else "image": upload(garments_png())}, None


@pytest.mark.parametrize("path", [BACKGROUND, "/v1/clothing-segmentation", "/v1/watermark-removal"])
def test_who_cannot_wait_is_told_of_prefer_where_it_helps(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "waiting_room", crowded)

    told = send(api, path, *picture_for(path)).json()["error"]

    assert (told["code"], "Prefer: respond-async" in told["message"]) == ("OVERLOADED", True)
    assert send(api, path, *picture_for(path), Prefer="respond-async").status_code == 202


@pytest.mark.parametrize("path", [REMOVEBG, RAW, COSTUME])
def test_prefer_is_not_advised_where_it_is_ignored(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "waiting_room", crowded)

    response = send(api, path, *picture_for(path))

    assert (response.status_code, "Retry-After" in response.headers) == (503, True)
    assert "try again shortly" in response.content.decode()
    assert "Prefer" not in response.content.decode()


def test_prefer_is_not_advised_to_who_watches_or_fetches(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]
    monkeypatch.setattr(jobs, "waiting_room", crowded)
    monkeypatch.setattr(event_stream, "_places", Places(0))

    watching = api.get(f"/v1/jobs/{job_id}/events")
    fetching = api.post(BACKGROUND, {"image_url": "https://shop.example/1.jpg"}, as_json=True, Prefer="respond-async")

    for response in (watching, fetching):
        assert (response.status_code, "Prefer" in response.content.decode()) == (503, False)


def crowded(*_: Any) -> Any:
    raise jobs.CrowdedError("Too many requests are waiting here already; try again shortly.", retry_after_s=5)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        (BACKGROUND, ["multipart/form-data", JSON]),
        (REMOVEBG, ["multipart/form-data", JSON, "application/x-www-form-urlencoded"]),
        (COSTUME, ["multipart/form-data", JSON]),
        (RAW, ["image/png", "image/jpeg", "image/webp"]),
        (TASK, [JSON]),
    ],
)
@pytest.mark.parametrize("kind", ["text/plain", "image/gif", ""])
def test_other_types_are_answered_with_those_of_the_address(api: Api, path: str, taken: list[str], kind: str) -> None:
    told = send(api, path, b"x", kind or " ").content.decode()

    assert all(media in told for media in taken), told
    assert ("multipart/form-data" in told) == ("multipart/form-data" in taken)
    assert (f"Content-Type says {kind}" if kind else "no Content-Type") in told


def test_file_under_another_name_is_named_beside_the_one_that_is_missing(api: Api) -> None:
    error = send(api, BACKGROUND, {"file": upload(photo_png())}).json()["error"]
    vendor = send(api, REMOVEBG, {"image": upload(photo_png())}).json()["errors"]
    smear_alone = send(api, "/v1/watermark-removal", {"smear": upload(smear_png())}).json()["error"]

    assert error["message"] == "Missing or empty image file"
    assert error["details"][0] == {"field": "image", "issue": "File is required and cannot be empty"}
    assert error["details"][1] == {"field": "file", "issue": "A file came as file; this address takes it as image."}
    assert {each["code"] for each in vendor} == {"missing_source"}
    assert "takes it as image_file" in vendor[1]["detail"]
    assert len(smear_alone["details"]) == 1


def test_what_contradicts_itself_is_refused_and_not_guessed(api: Api) -> None:
    image = base64.b64encode(photo_png()).decode()
    twice = f'{{"image_base64": "{image}", "subject": "human", "subject": "product"}}'
    deep = f'{{"image_base64": "{image}", "box": {{"a": 1, "a": 1}}}}'

    form = send(api, BACKGROUND, {"image": upload(photo_png()), "subject": ["human", "product"]})
    kept = send(api, BACKGROUND, {"image": upload(photo_png()), "retention": ["1h", "2h"]})
    same = send(api, f"{BACKGROUND}?dry_run=true", {"image": upload(photo_png()), "subject": ["human", "human"]})
    json_ones = [send(api, BACKGROUND, body, JSON) for body in (twice, deep)]

    assert [response.status_code for response in (form, kept, same, *json_ones)] == [400, 400, 200, 400, 400]
    told = [response.json()["error"]["details"][0]["field"] for response in (form, kept, *json_ones)]
    assert told == ["subject", "retention", "subject", "a"]
    assert not Job.objects.exists()


def test_errors_of_the_raw_address_name_the_parameter(api: Api) -> None:
    for query, name in (("?format=tiff", "format"), ("?dry_run=x", "dry_run"), ("?answer=x", "answer")):
        assert name in send(api, f"{RAW}{query}", photo_png(), "image/png").json()["error"]["message"]


def unknown_of(response: HttpResponse) -> list[str]:
    assert response.status_code < 300, response.content
    return [each["message"] for each in response.json()["warnings"] if each["code"] == "UNKNOWN_FIELD"]


def test_field_with_a_typing_error_is_told_and_refuses_nothing(api: Api) -> None:
    fields = {"image": upload(photo_png()), "output_fromat": "mask", "answer": "json"}

    assert unknown_of(send(api, BACKGROUND, fields)) == [
        "output_fromat is no field here and was ignored; did you mean output_format?"
    ]
    assert unknown_of(send(api, f"{BACKGROUND}?dry_run=true", {"image": upload(photo_png()), "xyz": "1"})) == [
        "xyz is no field here and was ignored."
    ]
    assert len(unknown_of(send(api, BACKGROUND, {"image": upload(photo_png()), "a": "1"}, Prefer="respond-async"))) == 1


def test_field_in_the_address_is_told_where_it_belongs(api: Api) -> None:
    told = unknown_of(send(api, f"{BACKGROUND}?output_format=mask&answer=json", {"image": upload(photo_png())}))

    assert told == ["output_format is no parameter of the address here and was ignored: send it in the body."]


def test_binary_answer_has_the_code_alone(api: Api) -> None:
    response = send(api, BACKGROUND, {"image": upload(photo_png()), "colour": "red", "color": "red"})

    assert response.headers["X-Warnings"] == "UNKNOWN_FIELD"
    assert "X-Warnings" not in send(api, BACKGROUND, {"image": upload(photo_png()), "retention": "1h"}).headers


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            BACKGROUND,
            {"subject": "human", "output_format": "crop", "crop_margin": "1px", "quality": "fast", "retention": "2h"},
        ),
        ("/v1/remove-bg/human", {"subject": "human", "format": "webp", "bg_color": "fff", "dry_run": "false"}),
        (
            "/v1/clothing-segmentation",
            {"cloth_class": "tops", "return_form": "mask", "dress": "separate", "image_url": ""},
        ),
        (
            "/v1/watermark-removal",
            {"detect_only": "true", "sensitivity": "0.5", "output_format": "mask", "smear_base64": ""},
        ),
    ],
)
def test_known_fields_are_not_told(api: Api, path: str, fields: dict[str, str]) -> None:
    response = send(api, path, {"image": upload(garments_png()), "answer": "json", **fields})

    assert unknown_of(response) == []


def test_vendors_forms_and_errors_are_not_told(api: Api) -> None:
    vendor = send(api, REMOVEBG, {"image_file": upload(photo_png()), "what_only_they_know": "1"})
    error = send(api, BACKGROUND, {"imagee": "x"})

    assert "X-Warnings" not in vendor.headers
    assert error.json()["warnings"] == []


def test_form_that_is_called_json_is_told_so(api: Api) -> None:
    body = b'--XX\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + photo_png() + b"\r\n--XX--"

    assert "is a form" in send(api, BACKGROUND, body, JSON).json()["error"]["message"]


def default_sentences() -> re.Pattern[str]:
    """Everything that DRF's fields and the validators that they make say on their own; {max_value} stands for anything."""
    told = [*DRF_VALIDATORS]
    for field in (each for each in vars(serializers).values() if isinstance(each, type) and issubclass(each, Field)):
        told += [str(text) for text in getattr(field, "default_error_messages", {}).values()]
    return re.compile("|".join(re.sub(r"\\\{\w+\\\}|%\\\(\w+\\\)s", ".*", re.escape(text)) for text in told))


DRF_VALIDATORS = ("Null characters are not allowed.", "Surrogate characters are not allowed: ", "Enter a number.")
WRONG = [True, 1.5, -1, 10**30, [], [1], {}, {"a": 1}, None, "", "   ", "x", "x" * 5000, "nan", "inf", "1e999", "٣",
         SimpleUploadedFile("x.png", b"x"), LongText("x")]  # fmt: skip


def own_serializers(base: type[Any] = serializers.Serializer) -> list[type[Any]]:
    import_module("config.urls")  # all of them are behind it
    found = [each for sub in base.__subclasses__() for each in (sub, *own_serializers(sub))]
    return [each for each in found if each.__module__.startswith("apps.")]


@pytest.mark.parametrize("serializer", own_serializers(), ids=lambda each: each.__name__)
def test_no_field_says_what_the_library_would(serializer: Any) -> None:
    usual = default_sentences()

    for name in serializer().fields:
        for value in WRONG:
            asked = serializer(data={name: value})
            with contextlib.suppress(AppError):
                told = [] if asked.is_valid() else [str(each) for each in asked.errors.get(name, [])]
                assert not [each for each in told if usual.search(each)], (name, value)
                assert all(re.search(r"\b(use|send|leave|swap|is|are|has)\b", each, re.IGNORECASE) for each in told), (
                    told
                )


@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}, "   "])
def test_value_of_a_wrong_kind_is_named_with_what_would_be_right(api: Api, value: Any) -> None:
    image = base64.b64encode(photo_png()).decode()

    told = send(api, BACKGROUND, json.dumps({"image_base64": image, "bg_color": value}), JSON).json()["error"]

    assert told["details"][0]["field"] == "bg_color"
    kind = {bool: "true", list: "a list", dict: "an object", str: "empty"}[type(value)]
    assert kind in told["message"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_what_is_no_finite_number_is_refused(api: Api, value: str) -> None:
    told = send(api, "/v1/watermark-removal", {"image": upload(marked_png()), "sensitivity": value})

    assert (told.status_code, told.json()["error"]["details"][0]["field"]) == (400, "sensitivity")


# --- addresses that are read or deleted -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1/usage?frm=2026-11-01", "frm is no parameter of the address here and was ignored; did you mean from?"),
        ("/v1/account?x=1", "x is no parameter of the address here and was ignored."),
        ("/v1/watermark-templates?limit=1", "limit is no parameter of the address here and was ignored."),
    ],
)
def test_unknown_parameter_of_what_is_read_is_told(api: Api, path: str, sentence: str) -> None:
    assert unknown_of(api.get(path)) == [sentence]
    assert unknown_of(api.get(path.partition("?")[0])) == []


def test_parameter_with_two_values_is_refused_where_it_is_read(api: Api) -> None:
    twice, same = api.get("/v1/usage?format=csv&format=json"), api.get("/v1/usage?format=json&format=json")

    assert (twice.status_code, same.status_code) == (400, 200)
    assert twice.json()["error"]["details"][0]["field"] == "format"


@pytest.mark.parametrize("query", ["?dry_run=true", "?dry_run=false", "?dryRun=1", "?a=1;dry_run=true"])
def test_nothing_is_deleted_for_who_asks_for_a_dry_run(api: Api, query: str) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]

    refused = api.delete(f"/v1/jobs/{job_id}{query}")

    assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (400, "dry_run")
    assert api.get(f"/v1/jobs/{job_id}").json()["data"]["status"] == "succeeded"
    gone = api.delete(f"/v1/jobs/{job_id}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert not {"Content-Type", "Content-Length"} & set(
        gone.headers
    )  # RFC 9110, section 8.6: there is nothing to describe


def test_template_tells_strange_fields_and_refuses_two_names(api: Api) -> None:
    path = "/v1/watermark-templates"

    told = send(api, path, {"image": upload(mark_png()), "nmae": "x"})
    twice = send(api, path, {"image": upload(mark_png()), "name": ["a", "b"]})

    assert unknown_of(told) == ["nmae is no field here and was ignored; did you mean name?"]
    assert (twice.status_code, twice.json()["error"]["details"][0]["field"]) == (400, "name")
    assert unknown_of(send(api, path, {"image": upload(mark_png()), "name": "a", "dry_run": "false"})) == []


def test_unknown_template_is_told_how_to_make_one_however_it_is_written(api: Api) -> None:
    for template in ("x", "00000000-0000-0000-0000-000000000000"):
        told = send(api, "/v1/watermark-removal", {"image": upload(marked_png()), "template": template}).json()["error"]
        assert told["message"] == "There is no such template; POST /v1/watermark-templates makes one."


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (1, "must be a string, not"),
        (["x"], "must be a string, not a list"),
        ("photo.jpg", "https://"),
        ("ftp://shop.example/1.jpg", "https://"),
        ("https://shop.example/" + "a" * 5000, "4096"),
        ("https://a:b@shop.example/1.jpg", "sign the address"),
        ("http://10.0.0.1/1.jpg", "picture itself"),
        ("http://127.0.0.1:9/1.jpg", "picture itself"),
    ],
)
def test_refused_address_says_what_to_do(api: Api, value: Any, advice: str) -> None:
    told = send(api, BACKGROUND, json.dumps({"image_url": value}), JSON).json()["error"]

    assert told["details"][0]["field"] == "image_url"
    assert advice in told["message"], told["message"]


@pytest.mark.parametrize(("value", "advice"), [("@@@", "Encode the file's bytes"), ({"a": 1}, "not an object")])
def test_refused_base64_says_what_to_do(api: Api, value: Any, advice: str) -> None:
    told = send(api, BACKGROUND, json.dumps({"image_base64": value}), JSON).json()["error"]

    assert (told["details"][0]["field"], advice in told["message"]) == ("image_base64", True)


def test_choice_says_what_came(api: Api) -> None:
    for value, kind in (("CAT", '"CAT"'), (["human"], "a list"), (1, '"1"'), ("x" * 200, f'"{"x" * 20}..."')):
        body = json.dumps({"image_base64": base64.b64encode(photo_png()).decode(), "subject": value})
        message = send(api, BACKGROUND, body, JSON).json()["error"]["message"]
        assert message == f"Use one of universal, human, product, not {kind}."
