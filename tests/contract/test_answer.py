"""The form of the answer, `answer` and `Accept`, at every address and in its dialect."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.core.models import Job
from tests.api import Api, upload
from tests.drawing import photo_png
from tests.garments import garments_png
from tests.watermarks import marked_png

JSON = "application/json"
AXIOS = "application/json, text/plain, */*"
BACKGROUND, CLOTHING, WATERMARK = "/v1/remove-bg/universal", "/v1/clothing-segmentation", "/v1/watermark-removal"
REMOVEBG, RAW = "/v1.0/removebg", "/v1/remove-background"
COSTUME, TASK = "/api/cutout/general/apparel-background-removal", "/api/ext/v1/submit_watermark_removal"
PICTURES = {BACKGROUND: photo_png(), CLOTHING: garments_png(), WATERMARK: marked_png(), REMOVEBG: photo_png()}
BOTH_FORMS = list(PICTURES)


def send(api: Api, path: str, *, headers: dict[str, str] | None = None, query: str = "", **fields: Any) -> HttpResponse:
    name = "image_file" if path == REMOVEBG else "image"
    return api.post(path + query, {name: upload(PICTURES[path]), **fields}, **(headers or {}))


def is_image(response: HttpResponse) -> bool:
    assert response.status_code == 200, response.content
    return response.headers["Content-Type"].startswith("image/")


@pytest.mark.parametrize("path", BOTH_FORMS)
def test_axios_gets_the_default_of_each_address(api: Api, path: str) -> None:
    assert is_image(send(api, path, headers={"Accept": AXIOS})) is (path in {BACKGROUND, REMOVEBG})


@pytest.mark.parametrize("path", BOTH_FORMS)
def test_answer_wins_over_accept_wherever_it_stands(api: Api, path: str) -> None:
    assert is_image(send(api, path, headers={"Accept": JSON}, answer="image"))
    assert is_image(send(api, path, headers={"Accept": JSON}, query="?answer=Image"))
    assert not is_image(send(api, path, headers={"Accept": "image/png"}, answer="json"))
    assert not is_image(send(api, path, headers={"Accept": "image/png"}, query="?answer=json", answer="json"))


def test_answer_in_a_json_body(api: Api) -> None:
    import base64

    text = base64.b64encode(photo_png()).decode()

    assert is_image(api.post(BACKGROUND, {"image_base64": text, "answer": "image"}, as_json=True, Accept=JSON))
    assert not is_image(api.post(REMOVEBG, {"image_file_b64": text, "answer": "json"}, as_json=True))
    for wrong in (1, ["json"], {"form": "json"}, True):
        response = api.post(BACKGROUND, {"image_base64": text, "answer": wrong}, as_json=True)
        assert (response.status_code, response.json()["error"]["details"][0]["field"]) == (400, "answer")


@pytest.mark.parametrize("empty", ["", None])
def test_empty_answer_says_nothing(api: Api, empty: str | None) -> None:
    import base64

    body = {"image_base64": base64.b64encode(photo_png()).decode(), "answer": empty}

    assert not is_image(api.post(f"{BACKGROUND}?answer=", body, as_json=True, Accept=JSON))


@pytest.mark.parametrize("path", BOTH_FORMS)
@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"answer": "xml"}),
        ("?answer=binary", {}),
        ("?answer=json&answer=image", {}),
        ("?answer=json", {"answer": "image"}),
        ("", {"answer": ["image", "json"]}),
    ],
)
def test_answer_that_is_unknown_or_contradicts_itself_is_refused_and_nothing_runs(
    api: Api, path: str, query: str, fields: dict[str, Any]
) -> None:
    response = send(api, path, query=query, **fields)

    assert response.status_code == 400
    if path == REMOVEBG:
        assert [error["code"] for error in response.json()["errors"]] == ["invalid_answer"]
    else:
        assert [detail["field"] for detail in response.json()["error"]["details"]] == ["answer"]
    assert not Job.objects.exists()


def test_addresses_with_one_form_take_its_name_and_refuse_the_other(api: Api) -> None:
    import base64

    client = Client(headers={"X-Api-Key": api.key})
    photo = base64.b64encode(marked_png()).decode()

    raw = {
        form: client.post(f"{RAW}?answer={form}", photo_png(), content_type="image/png") for form in ("image", "json")
    }
    costume = {
        form: client.post(COSTUME, {"image": upload(garments_png()), "answer": form})
        for form in ("json", "image", "xml")
    }
    task = {
        form: client.post(TASK, {"image_base64": photo, "answer": form}, content_type=JSON)
        for form in ("json", "image")
    }

    assert (raw["image"].status_code, raw["json"].status_code) == (200, 400)
    assert raw["json"].json()["error"]["code"] == "VALIDATION_ERROR"
    assert [costume[form].status_code for form in costume] == [200, 400, 400]
    assert costume["xml"].json()["error_detail"]["code"] == "UNSUPPORTED_PARAMETER_VALUES"
    assert (task["json"].status_code, task["image"].status_code) == (200, 400)
    assert (task["image"].json()["code"], "answer" in task["image"].json()["message"]) == (1000, True)


def test_answer_is_no_parameter_of_the_work(api: Api) -> None:
    send(api, BACKGROUND, answer="json")

    assert "answer" not in Job.objects.get().params


@pytest.mark.parametrize("path", [BACKGROUND, WATERMARK])
def test_later_is_an_envelope_with_job_and_status_whatever_answer_says(api: Api, path: str) -> None:
    response = send(api, path, headers={"Prefer": "respond-async"}, answer="image")

    assert response.status_code == 202
    assert {"jobId", "status"} <= set(response.json()["data"])


@pytest.mark.parametrize("path", [BACKGROUND, REMOVEBG])
def test_same_key_with_another_answer_is_another_request(api: Api, path: str) -> None:
    key = {"Idempotency_Key": "one"}

    first = send(api, path, headers=key, answer="json")
    again = send(api, path, headers=key, answer="json")
    others = [send(api, path, headers=key, answer="image"), send(api, path, headers=key), send(api, path, headers=key,
              query="?answer=json")]  # fmt: skip

    assert (first.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert [other.status_code for other in others] == [422, 422, 422]
    assert Job.objects.count() == 1


def test_retention_0_goes_with_an_image_that_answer_asked_for(api: Api) -> None:
    assert is_image(send(api, CLOTHING, answer="image", retention="0"))
    assert send(api, BACKGROUND, answer="json", retention="0").status_code == 400
