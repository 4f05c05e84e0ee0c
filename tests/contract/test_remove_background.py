"""POST /v1/remove-bg/...: forms of the answer, output formats, parameters."""

from __future__ import annotations

import hashlib
import io
import re
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from apps.background.operation import REMOVE_BACKGROUND
from apps.core import jobs
from apps.core.models import Job, State
from apps.core.places import Places
from apps.core.work import worker
from tests.api import Api, make_api, upload
from tests.contract.watching import events_of, job_in
from tests.drawing import photo_png

JSON = "application/json"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def detail_fields(response: object) -> list[str]:
    return [detail["field"] for detail in response.json()["error"]["details"]]


def test_default_answer_is_an_rgba_png_of_the_photos_size(api: Api) -> None:
    response = api.remove(photo_png(120, 80))

    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == "image/png"
    picture = opened(response.content)
    assert picture.mode == "RGBA"
    assert picture.size == (120, 80)
    assert picture.getpixel((0, 0))[3] == 0
    assert picture.getpixel((60, 40))[3] == 255


def test_binary_answer_carries_its_facts_as_headers(api: Api) -> None:
    headers = api.remove(photo_png(120, 80, box=(30, 20, 90, 60))).headers

    assert headers["X-Width"] == "120"
    assert headers["X-Height"] == "80"
    assert headers["X-Credits-Charged"] == "1"
    assert [int(headers[f"X-Foreground-{side}"]) for side in ("Left", "Top", "Width", "Height")] == pytest.approx(
        [30, 20, 60, 40], abs=2
    )
    assert Job.objects.get(id=headers["X-Job-Id"]).state == State.SUCCEEDED
    assert len(headers["X-Request-Id"]) == 36
    assert "infer;dur=" in headers["Server-Timing"]


def test_json_answer_has_a_link_that_works_and_dies_when_tampered_with(api: Api) -> None:
    response = api.remove(accept=JSON)

    body = response.json()
    assert set(body) == {"meta", "data", "warnings", "error"}
    assert body["error"] is None
    assert body["meta"]["requestId"] == response.headers["X-Request-Id"]
    image = body["data"]["image"]
    with urllib.request.urlopen(image["url"]) as answer:
        data = answer.read()
        assert answer.headers["Content-Type"] == "image/png"
    assert hashlib.sha256(data).hexdigest() == image["sha256"]
    assert len(data) == image["bytes"]
    assert "X-Amz-Expires=86400" in image["url"]
    assert "X-Amz-Signature=" in image["url"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(image["url"].replace("X-Amz-Signature=", "X-Amz-Signature=0"))


@pytest.mark.parametrize(
    ("fields", "content_type", "mode"),
    [
        ({}, "image/png", "RGBA"),
        ({"format": "webp"}, "image/webp", "RGBA"),
        ({"output_format": "white_bg"}, "image/jpeg", "RGB"),
        ({"output_format": "white_bg", "format": "png"}, "image/png", "RGB"),
        ({"output_format": "white_bg", "format": "webp"}, "image/webp", "RGB"),
        ({"output_format": "mask"}, "image/png", "L"),
        ({"output_format": "mask", "mask_mode": "matte"}, "image/png", "L"),
        ({"output_format": "crop"}, "image/png", "RGBA"),
        ({"bg_color": "#ff0000", "format": "jpg"}, "image/jpeg", "RGB"),
        ({"bg_color": "0f0"}, "image/png", "RGB"),
    ],
)
def test_output_formats(api: Api, fields: dict[str, str], content_type: str, mode: str) -> None:
    response = api.remove(**fields)

    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == content_type
    assert opened(response.content).mode == mode


def test_white_background_is_pure_white(api: Api) -> None:
    picture = opened(api.remove(output_format="white_bg", format="png").content)

    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_binary_mask_has_two_values_and_the_photos_size(api: Api) -> None:
    picture = opened(api.remove(photo_png(120, 80), output_format="mask").content)

    assert picture.size == (120, 80)
    assert set(np.unique(np.asarray(picture))) == {0, 255}


def test_crop_is_the_subjects_box_with_its_margin(api: Api) -> None:
    photo = photo_png(120, 80, box=(30, 20, 90, 60))

    assert opened(api.remove(photo, output_format="crop").content).size == pytest.approx((60, 40), abs=2)
    assert opened(api.remove(photo, output_format="crop", crop_margin="10").content).size == pytest.approx(
        (80, 60), abs=2
    )
    assert opened(api.remove(photo, output_format="crop", crop_margin="10%").content).size == pytest.approx(
        (72, 48), abs=2
    )


def test_crop_over_a_colour_has_it_in_the_margin_too(api: Api) -> None:
    photo = photo_png(120, 80, box=(30, 20, 90, 60))

    picture = opened(api.remove(photo, output_format="crop", crop_margin="40px", bg_color="0a141e").content)

    assert picture.size == pytest.approx((140, 120), abs=2)
    assert picture.getpixel((0, 0)) == (10, 20, 30)


def test_crop_margin_ends_at_the_operations_pixels(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(REMOVE_BACKGROUND, image_limits=replace(REMOVE_BACKGROUND.image_limits, max_pixels=10_000))
    monkeypatch.setattr(worker, "operation_named", lambda _slug: small)
    photo = photo_png(120, 80, box=(30, 20, 90, 60))

    picture = opened(api.remove(photo, output_format="crop", crop_margin="40px").content)

    assert 9_000 < picture.width * picture.height <= 10_000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"output_format": "jpeg2000"}, "output_format"),
        ({"subject": "dog"}, "subject"),
        ({"format": "tiff"}, "format"),
        ({"format": "jpg"}, "format"),
        ({"output_format": "mask", "format": "webp"}, "format"),
        ({"bg_color": "red"}, "bg_color"),
        ({"output_format": "mask", "bg_color": "fff"}, "bg_color"),
        ({"output_format": "crop", "crop_margin": "-5"}, "crop_margin"),
        ({"output_format": "crop", "crop_margin": "\u0661\u0660px"}, "crop_margin"),
        ({"output_format": "crop", "crop_margin": "501px"}, "crop_margin"),
        ({"output_format": "crop", "crop_margin": "51%"}, "crop_margin"),
        ({"mask_mode": "soft"}, "mask_mode"),
    ],
)
def test_wrong_values_name_their_field_and_cost_nothing(api: Api, fields: dict[str, str], field: str) -> None:
    response = api.remove(**fields)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "VALIDATION_ERROR"
    assert detail_fields(response) == [field]
    assert not Job.objects.exists()


def test_subject_wins_on_universal_and_contradicts_elsewhere(api: Api) -> None:
    assert api.remove(subject="human").status_code == 200
    assert api.remove(to="human", subject="human").status_code == 200
    assert api.remove(to="human").status_code == 200
    assert Job.objects.order_by("-created_at").first().params["subject"] == "human"

    response = api.remove(to="product", subject="human")

    assert response.status_code == 400
    assert detail_fields(response) == ["subject"]


def test_nothing_found_is_free_and_fully_transparent(api: Api) -> None:
    flat = photo_png(64, 48, box=None)

    response = api.remove(flat)

    assert response.status_code == 200
    assert response.headers["X-Warnings"] == "NO_FOREGROUND"
    assert response.headers["X-Credits-Charged"] == "0"
    picture = opened(response.content)
    assert picture.size == (64, 48)
    assert np.asarray(picture)[..., 3].max() == 0
    assert opened(api.remove(flat, output_format="crop").content).size == (64, 48)
    assert np.asarray(opened(api.remove(flat, output_format="white_bg").content)).min() == 255
    assert np.asarray(opened(api.remove(flat, output_format="mask").content)).max() == 0
    body = api.remove(flat, accept=JSON).json()
    assert [warning["code"] for warning in body["warnings"]] == ["NO_FOREGROUND"]
    assert body["data"]["subject"]["bbox"] is None


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("", False),
        ("*/*", False),
        ("image/*", False),
        ("image/png", False),
        ("application/json", True),
        ("application/json, image/*;q=0.5", True),
        ("image/*, application/json;q=0.9", False),
        ("text/html,application/xhtml+xml", False),
        ("application/json;q=0, */*", False),
        ("nonsense;;;q=x", False),
    ],
)
def test_accept_chooses_the_form_and_never_gives_406(api: Api, accept: str, is_json: bool) -> None:
    response = api.remove(accept=accept)

    assert response.status_code == 200
    assert (response.headers["Content-Type"] == JSON) == is_json


def test_json_body_with_base64(api: Api) -> None:
    import base64

    text = base64.b64encode(photo_png(50, 40)).decode()

    assert api.post("/v1/remove-bg/human", {"image_base64": text}, as_json=True).status_code == 200
    prefixed = {"image_base64": f"data:image/png;base64,{text}", "output_format": "mask"}
    assert api.post("/v1/remove-bg/human", prefixed, as_json=True).headers["Content-Type"] == "image/png"


def test_exactly_one_source(api: Api) -> None:
    none = api.post("/v1/remove-bg/universal", {"output_format": "mask"})
    two = api.post("/v1/remove-bg/universal", {"image": upload(photo_png()), "image_url": "http://example.com/a.png"})
    text = api.post("/v1/remove-bg/universal", {"image": "not a file"})

    assert none.json()["error"]["message"] == "Missing or empty image file"
    assert none.json()["error"]["details"] == [{"field": "image", "issue": "File is required and cannot be empty"}]
    assert two.status_code == 400
    assert detail_fields(two) == ["image", "image_url"]
    assert detail_fields(text) == ["image"]


@pytest.mark.parametrize("name", ["human", "product", "universal"])
def test_a_job_is_shown_to_its_owner_alone(api: Api, name: str) -> None:
    job_id = api.remove(to=name, accept=JSON).json()["data"]["jobId"]

    mine = api.get(f"/v1/jobs/{job_id}")
    foreign = make_api("somebody else").get(f"/v1/jobs/{job_id}")

    assert mine.status_code == 200
    data = mine.json()["data"]
    assert data["status"] == "succeeded"
    assert data["progress"] == 1.0
    assert data["creditsCharged"] == 1
    assert data["error"] is None
    assert set(data["result"]) == {"image", "subject"}
    assert foreign.status_code == 404
    assert foreign.json()["error"]["code"] == "NOT_FOUND"


def test_job_that_is_just_being_settled_is_shown_as_running(api: Api) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]
    Job.objects.update(state=State.SETTLING)

    assert api.get(f"/v1/jobs/{job_id}").json()["data"]["status"] == "running"


def test_deleted_job_is_gone_with_its_objects(api: Api) -> None:
    data = api.remove(accept=JSON).json()["data"]

    response = api.delete(f"/v1/jobs/{data['jobId']}")

    assert response.status_code == 204
    assert api.get(f"/v1/jobs/{data['jobId']}").status_code == 404
    assert api.delete(f"/v1/jobs/{data['jobId']}").status_code == 404
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(data["image"]["url"])


def test_file_that_fails_only_in_the_worker_is_a_400_and_free(api: Api) -> None:
    whole = photo_png(400, 300, noise=True)

    response = api.remove(whole[: len(whole) // 2])

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "VALIDATION_ERROR"
    assert detail_fields(response) == ["image"]
    assert Job.objects.get().charged_credits == 0


def test_animated_image_gives_its_first_frame_and_says_so(api: Api) -> None:
    frames = [Image.new("RGB", (40, 30), "white") for _ in range(2)]
    frames[0].paste((200, 0, 0), (10, 8, 30, 22))
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])

    response = api.remove(buffer.getvalue())

    assert response.status_code == 200
    assert response.headers["X-Warnings"] == "FIRST_FRAME_ONLY"


def test_events_tell_the_job_until_it_ends(api: Api) -> None:
    job_id = api.remove(accept=JSON).json()["data"]["jobId"]

    response = api.get(f"/v1/jobs/{job_id}/events")

    assert response.headers["Content-Type"] == "text/event-stream"
    (event,) = events_of(response)
    assert re.fullmatch(r"id: [\d-]+\nevent: state\ndata: {.*}\n\n", event.decode())
    assert job_in(event)["status"] == "succeeded"


def test_more_waiting_requests_than_places_are_told_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_places", Places(1))

    with jobs.waiting_room(0):
        waiting = api.remove()
        at_once = api.post("/v1/remove-bg/human", {"image": upload(photo_png())}, Prefer="respond-async")

    assert waiting.status_code == 503
    assert waiting.json()["error"]["code"] == "OVERLOADED"
    assert waiting.headers["Retry-After"] == "5"
    assert at_once.status_code == 202
    assert api.remove().status_code == 200


def test_error_after_submit_names_the_job(api: Api) -> None:
    whole = photo_png(400, 300, noise=True)

    response = api.remove(whole[: len(whole) // 2])

    assert response.status_code == 400
    assert api.get(f"/v1/jobs/{response.headers['X-Job-Id']}").json()["data"]["status"] == "failed"
