"""POST /v1/watermark-removal: what comes back, smears, parameters, files, money."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.http import HttpResponse
from django.test import Client
from PIL import Image

from apps.billing.models import Price
from apps.core import lifecycle
from apps.core.models import Job, State
from apps.core.work import worker
from apps.core.work.loading import load
from apps.watermark.runner import WatermarkRunner
from tests import drawing
from tests.api import Api, error_of, make_api, upload
from tests.contract.books import books_balance, credits
from tests.contract.links import fetched, inside, pixels
from tests.contract.objects import is_gone, lives_s, stored_below
from tests.contract.promises import (
    assert_refuses_without_weights,
    assert_scope_is,
    engine_without_weights,
    later,
    rapidapi_bill,
)
from tests.contract.samples import same_as_sample
from tests.stand_ins import StandInModels
from tests.watermarks import BOX, FAINT, MarksByColour, marked_array, marked_png, smear_array, smear_png

PATH = "/v1/watermark-removal"
JSON = "application/json"
CLEAN = marked_png(None)


def call(
    api: Api, image: bytes | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any
) -> HttpResponse:
    """POST a form; a drawn photo of 120 x 90 with one mark, unless told otherwise."""
    image = marked_png() if image is None else image
    return api.post(PATH, {"image": upload(image), **fields}, **(headers or {}))


def data_of(response: HttpResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    return response.json()["data"]


def warnings_of(response: HttpResponse) -> list[str]:
    return [warning["code"] for warning in response.json()["warnings"]]


# --- what comes back --------------------------------------------------------------------------------------


def test_answer_is_the_recorded_one(api: Api) -> None:
    response = call(api)

    assert same_as_sample(response.json(), "watermark")
    assert response.headers["X-Request-Id"] == response.json()["meta"]["requestId"]


def test_refusal_is_the_recorded_one(api: Api) -> None:
    response = call(api, sensitivity="much")

    assert response.status_code == 400
    assert same_as_sample(response.json(), "watermark-refused")


def test_mark_is_found_told_and_removed_and_nothing_else_touched(api: Api) -> None:
    response = call(api)

    data = data_of(response)
    x0, y0, x1, y1 = BOX
    assert list(data) == ["jobId", "status", "image", "mask", "regions", "detected"]
    assert data["regions"] == [{"bbox": [x0, y0, x1 - x0, y1 - y0], "score": 0.9, "kind": "text"}]
    assert data["detected"] is True
    image, mask = fetched(data["image"]["url"]), fetched(data["mask"]["url"])
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (120, 90))
    assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (120, 90))
    assert {data["image"]["contentType"], data["mask"]["contentType"]} == {"image/png"}
    changed = np.asarray(mask) == 255
    assert changed[inside(BOX)].all()
    assert changed.sum() == (x1 - x0) * (y1 - y0)
    assert (np.asarray(image)[~changed] == marked_array()[~changed]).all()
    assert (np.asarray(image)[changed] == 0).all()
    assert response.json()["meta"]["model"] == "marks-by-colour@1"
    assert {"decode", "detect", "restore", "encode"} <= set(response.json()["meta"]["stagesMs"])


def test_nothing_found_is_the_same_image_with_a_warning_and_free(api: Api) -> None:
    response = call(api, CLEAN)

    data = data_of(response)
    assert (data["regions"], data["detected"]) == ([], False)
    assert warnings_of(response) == ["NO_WATERMARK"]
    assert response.json()["meta"]["creditsCharged"] == 0
    assert (pixels(data["image"]["url"]) == marked_array(None)).all()
    assert pixels(data["mask"]["url"]).max() == 0
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


@pytest.mark.parametrize("accept", ["", "*/*", JSON, "text/html"])
def test_default_is_the_envelope(api: Api, accept: str) -> None:
    assert call(api, headers={"Accept": accept} if accept else {}).headers["Content-Type"] == JSON


@pytest.mark.parametrize(("wanted", "mode"), [("image", "RGB"), ("mask", "L"), ("MASK", "L"), ("", "RGB")])
def test_binary_answer_is_the_one_that_output_format_names(api: Api, wanted: str, mode: str) -> None:
    response = call(api, headers={"Accept": "image/*"}, output_format=wanted)

    picture = Image.open(io.BytesIO(response.content))
    assert (response.headers["Content-Type"], picture.mode) == ("image/png", mode)
    assert (response.headers["X-Width"], response.headers["X-Height"]) == ("120", "90")
    assert response.headers["X-Credits-Charged"] == "2"
    result = data_of(api.get(f"/v1/jobs/{response.headers['X-Job-Id']}"))["result"]
    assert list(result) == ["image", "mask", "regions", "detected"]


@pytest.mark.parametrize(("name", "kind"), [("png", "PNG"), ("webp", "WEBP"), ("jpg", "JPEG"), ("jpeg", "JPEG")])
def test_format_is_the_images_and_the_mask_stays_png(api: Api, name: str, kind: str) -> None:
    data = data_of(call(api, format=name))

    image = fetched(data["image"]["url"])
    assert (image.format, image.mode) == (kind, "RGB")
    assert data["image"]["contentType"] == f"image/{kind.lower()}"
    assert fetched(data["mask"]["url"]).format == "PNG"
    assert np.asarray(image)[76, 80].max() < 40  # the restored black
    assert abs(int(np.asarray(image)[20, 20, 0]) - 210) < 12


def test_image_that_came_as_jpeg_goes_out_as_png(api: Api) -> None:
    photo = drawing.saved(marked_array(), "JPEG", quality=100, subsampling=0)

    data = data_of(call(api, photo))

    image, mask = fetched(data["image"]["url"]), pixels(data["mask"]["url"])
    assert image.format == "PNG"
    decoded = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB")).astype(int)
    assert np.abs(np.asarray(image)[mask == 0] - decoded[mask == 0]).max() <= 1


# --- detection alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", "1", "True"])
def test_detection_alone_changes_nothing_and_costs_one_credit(api: Api, value: str) -> None:
    response = call(api, detect_only=value)

    data = data_of(response)
    assert data["detected"] is True
    assert len(data["regions"]) == 1
    assert (pixels(data["image"]["url"]) == marked_array()).all()
    assert (pixels(data["mask"]["url"])[inside(BOX)] == 255).all()
    assert response.json()["meta"]["creditsCharged"] == 1
    assert credits(api) == {"balance": 999, "held": 0}
    assert books_balance()


def test_detection_that_finds_nothing_is_free(api: Api) -> None:
    response = call(api, CLEAN, detect_only="true")

    assert (response.json()["data"]["detected"], warnings_of(response)) == (False, ["NO_WATERMARK"])
    assert credits(api) == {"balance": 1000, "held": 0}


@pytest.mark.parametrize(("sensitivity", "is_found"), [("", False), ("0.5", False), ("0.9", True), ("1", True)])
def test_sensitivity_decides_how_faint_a_mark_may_be(api: Api, sensitivity: str, is_found: bool) -> None:
    assert data_of(call(api, marked_png(colour=FAINT), sensitivity=sensitivity))["detected"] is is_found


# --- the smear --------------------------------------------------------------------------------------------

STROKE_BOX = (4, 4, 24, 16)


def assert_smeared(response: HttpResponse, box: tuple[int, int, int, int] = STROKE_BOX) -> None:
    data = data_of(response)
    mask = pixels(data["mask"]["url"])
    expected = np.zeros((90, 120), bool)
    expected[inside(box)] = True
    assert ((mask == 255) == expected).all()
    assert (pixels(data["image"]["url"])[~expected] == marked_array()[~expected]).all()
    assert (pixels(data["image"]["url"])[expected] == 0).all()


def test_only_what_lies_under_the_smear_is_removed(api: Api) -> None:
    assert_smeared(call(api, smear=upload(smear_png())))
    assert credits(api)["balance"] == 998


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (128, 128, 128), (255, 255, 0)])
def test_strokes_have_any_colour_on_pure_black_or_white(api: Api, ground: int, colour: tuple[int, int, int]) -> None:
    assert_smeared(call(api, smear=upload(smear_png(ground=ground, colour=colour))))


def test_smear_by_url_and_by_base64(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.intake.uploads.fetch_image", lambda url, **_: io.BytesIO(smear_png()))
    encoded = base64.b64encode(smear_png()).decode()

    assert_smeared(call(api, smear_url="https://shop.example/smear.png"))
    assert_smeared(call(api, smear_base64=encoded))
    body = {"image_base64": base64.b64encode(marked_png()).decode(), "smear_base64": "data:image/png;base64," + encoded}
    assert_smeared(api.post(PATH, body, as_json=True))


def test_noise_of_jpeg_is_no_stroke(api: Api) -> None:
    smear = drawing.saved(smear_array((40, 30, 80, 60), colour=(255, 0, 0)), "JPEG", quality=75)

    mask = pixels(data_of(call(api, smear=upload(smear)))["mask"]["url"]) == 255

    assert mask[34:56, 44:76].all()
    assert not mask[:22].any()
    assert not mask[:, :32].any()


def see_through(mode: str, alpha: int, *, ground: int = 77) -> bytes:
    """A PNG with one stroke of that opacity on nothing."""
    smear = np.dstack([smear_array(ground=ground), np.zeros((90, 120), np.uint8)])
    smear[inside(STROKE_BOX)] = (0, 128, 255, alpha)
    if mode != "P":
        return drawing.saved(Image.fromarray(smear).convert(mode), "PNG")
    palette = Image.fromarray((smear[..., 3] > 0).astype(np.uint8), "P")
    palette.putpalette([ground] * 3 + [0, 128, 255])
    return drawing.saved(palette, "PNG", transparency=bytes([0, alpha]))


@pytest.mark.parametrize("alpha", [26, 60, 102, 127, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_see_through_brush_leaves_strokes(api: Api, mode: str, alpha: int) -> None:
    assert_smeared(call(api, smear=upload(see_through(mode, alpha))))


@pytest.mark.parametrize("ground", [0, 77, 255])
def test_less_than_a_tenth_of_opacity_is_no_stroke(api: Api, ground: int) -> None:
    response = call(api, smear=upload(see_through("RGBA", 25, ground=ground)))

    assert error_of(response) == (400, "VALIDATION_ERROR", ["smear"])


def test_photo_and_smear_are_both_turned_upright_first(api: Api) -> None:
    turned = {
        name: drawing.saved(drawing.stored_for(array, 6), "PNG", exif=b"Exif\0\0" + drawing.exif_of(6))
        for name, array in (("image", marked_array()), ("smear", smear_array()))
    }

    assert_smeared(call(api, turned["image"], smear=upload(smear_png())))
    assert_smeared(call(api, turned["image"], smear=upload(turned["smear"])))
    as_stored = drawing.saved(drawing.stored_for(smear_array(), 6), "PNG")
    assert error_of(call(api, turned["image"], smear=upload(as_stored))) == (400, "VALIDATION_ERROR", ["smear"])


@pytest.mark.parametrize(
    ("smear", "word"),
    [
        (smear_png(None), "stroke"),
        (smear_png(None, ground=255), "stroke"),
        (smear_png((0, 0, 120, 60)), "60%"),
        (drawing.photo_png(120, 90, noise=True)[:-3000], "truncated"),
    ],
    ids=["all black", "all white", "too much", "cut off"],
)
def test_smear_that_cannot_be_done_is_a_400_and_free(api: Api, smear: bytes, word: str) -> None:
    response = call(api, smear=upload(smear))

    assert error_of(response) == (400, "VALIDATION_ERROR", ["smear"])
    assert word in response.json()["error"]["message"]
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_smear_of_another_size_is_refused_before_anything_is_submitted(api: Api) -> None:
    response = call(api, smear=upload(smear_png(size_wh=(120, 91))))

    assert error_of(response) == (400, "VALIDATION_ERROR", ["smear"])
    assert "120 x 91" in response.json()["error"]["message"]
    assert not Job.objects.exists()


# --- parameters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"detect_only": "maybe"}, "detect_only"),
        ({"sensitivity": "1.1"}, "sensitivity"),
        ({"sensitivity": "-0.1"}, "sensitivity"),
        ({"sensitivity": "nan"}, "sensitivity"),
        ({"sensitivity": "inf"}, "sensitivity"),
        ({"sensitivity": "\u0660.\u0665"}, "sensitivity"),
        ({"sensitivity": "x" * 70_000}, "sensitivity"),
        ({"output_format": "both"}, "output_format"),
        ({"format": "gif"}, "format"),
        ({"template": "mine"}, "template"),
        ({"template": "0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11"}, "template"),
        ({"retention": "25h"}, "retention"),
        ({"retention": "0"}, "retention"),
        ({"smear": upload(b"")}, "smear"),
        ({"smear": "text"}, "smear"),
        ({"smear": upload(b"%PDF")}, "smear"),
        ({"smear_base64": "????"}, "smear_base64"),
        ({"smear_base64": "AAAA"}, "smear"),
        ({"smear_base64": "AAAA", "smear_url": "https://a.example/"}, "smear_url"),
        ({"image_url": "https://example.com/a.png"}, "image"),
    ],
)
def test_wrong_values_name_their_field_and_cost_nothing(api: Api, fields: dict[str, Any], field: str) -> None:
    status, code, named = error_of(call(api, **fields))

    assert (status, code, named[0]) == (400, "VALIDATION_ERROR", field)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "value", [{"detect_only": []}, {"detect_only": {}}, {"sensitivity": True}, {"sensitivity": [1]}, {"template": 7}]
)
def test_wrong_types_in_a_json_body_are_a_400(api: Api, value: dict[str, Any]) -> None:
    body = {"image_base64": base64.b64encode(marked_png()).decode(), **value}

    assert error_of(api.post(PATH, body, as_json=True)) == (400, "VALIDATION_ERROR", list(value))


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "WEBP"])
def test_formats_by_their_magic_bytes(api: Api, image_format: str) -> None:
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(image_format, {})

    assert data_of(call(api, drawing.saved(marked_array(), image_format, **options)))["detected"]


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (b"", "empty"),
        (b"no image at all", "JPEG, PNG, WEBP, BMP"),
        (drawing.saved(marked_array(), "GIF"), "GIF"),
        (marked_png()[:40], "truncated"),
        (drawing.png_claiming(10_001, 100), "10000 x 10000"),
        (drawing.png_claiming(8_000, 8_000), "50 megapixels"),
        (marked_png() + bytes(25 * 1_048_576), "25 MB"),
    ],
)
def test_files_outside_the_limits_are_a_400_on_the_image(api: Api, image: bytes, word: str) -> None:
    response = call(api, image)

    assert error_of(response) == (400, "VALIDATION_ERROR", ["image"])
    assert word in response.json()["error"]["details"][0]["issue"]
    assert not Job.objects.exists()


def test_two_files_of_25_mb_fit_into_one_body_and_into_its_base64(api: Api) -> None:
    files = {
        name: data.ljust(25 * 1_048_576, b"\0") for name, data in (("image", marked_png()), ("smear", smear_png()))
    }
    path = f"{PATH}?dry_run=true"
    encoded = {f"{name}_base64": base64.b64encode(data).decode() for name, data in files.items()}

    assert data_of(api.post(path, {name: upload(data) for name, data in files.items()}))["valid"] is True
    assert data_of(api.post(path, encoded))["valid"] is True
    assert data_of(api.post(path, encoded, as_json=True))["valid"] is True


def test_body_over_the_cap_is_a_413(api: Api) -> None:
    headers = {"X-Api-Key": api.key, "Content-Length": str(70 * 2**20 + 1)}

    response = Client().post(PATH, b"", content_type=JSON, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_alpha_channel_of_the_photo_is_kept(api: Api, kind: str) -> None:
    photo = np.dstack([marked_array(), np.full((90, 120), 255, np.uint8)])
    photo[:20, :, 3] = np.arange(120, dtype=np.uint8)

    image = np.asarray(fetched(data_of(call(api, drawing.saved(photo, "PNG"), format=kind))["image"]["url"]))

    assert (image[..., 3] == photo[..., 3]).all()
    if kind == "png":
        assert (image[:60] == photo[:60]).all()


def test_jpeg_shows_transparency_on_white(api: Api) -> None:
    photo = np.dstack([marked_array(), np.full((90, 120), 255, np.uint8)])
    photo[:40, :, 3] = 0

    image = fetched(data_of(call(api, drawing.saved(photo, "PNG"), format="jpg"))["image"]["url"])

    assert np.asarray(image)[:30].min() > 245


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_colour_profile_is_kept(api: Api, kind: str) -> None:
    profile = drawing.wide_rgb_profile()

    data = data_of(
        call(api, drawing.saved(marked_array(), "PNG", icc_profile=profile), format=kind, smear=upload(smear_png()))
    )

    assert fetched(data["image"]["url"]).info["icc_profile"] == profile
    assert "icc_profile" not in fetched(data["mask"]["url"]).info


def test_colours_outside_the_mask_are_the_files_own_whatever_its_profile(api: Api) -> None:
    photo = drawing.saved(marked_array(), "PNG", icc_profile=drawing.wide_rgb_profile())

    assert_smeared(call(api, photo, smear=upload(smear_png())))


def test_colours_between_two_strokes_are_the_files_own_too(api: Api) -> None:
    photo = drawing.soft_photo(120, 90)
    strokes = np.maximum(smear_array((4, 4, 24, 16)), smear_array((90, 70, 110, 84)))
    sent = drawing.saved(photo, "PNG", icc_profile=drawing.wide_rgb_profile())

    data = data_of(call(api, sent, smear=upload(drawing.saved(strokes, "PNG"))))

    outside = np.asarray(fetched(data["mask"]["url"])) == 0
    assert np.array_equal(np.asarray(fetched(data["image"]["url"]))[outside], photo[outside])


@pytest.mark.parametrize("mode", ["L", "P", "LA", "1", "CMYK"])
def test_other_colour_modes_work(api: Api, mode: str) -> None:
    picture = Image.fromarray(marked_array()).convert(mode)
    photo = drawing.saved(picture, "JPEG" if mode == "CMYK" else "PNG")

    data = data_of(call(api, photo, smear=upload(smear_png())))

    assert (pixels(data["mask"]["url"])[inside(STROKE_BOX)] == 255).all()
    assert fetched(data["image"]["url"]).size == (120, 90)


def test_animated_png_gives_its_first_frame_and_says_so(api: Api) -> None:
    frames = [Image.fromarray(marked_array()), Image.new("RGB", (120, 90))]
    photo = drawing.saved(frames[0], "PNG", save_all=True, append_images=frames[1:])

    assert warnings_of(call(api, photo)) == ["FIRST_FRAME_ONLY"]


def test_metadata_does_not_survive(api: Api) -> None:
    photo = drawing.saved(marked_array(), "PNG", exif=b"Exif\0\0" + drawing.exif_of(1))

    assert fetched(data_of(call(api, photo))["image"]["url"]).getexif() == {}


def test_file_that_fails_only_in_the_worker_is_a_400_and_free(api: Api) -> None:
    whole = drawing.photo_png(400, 300, noise=True)

    assert error_of(call(api, whole[: len(whole) // 2])) == (400, "VALIDATION_ERROR", ["image"])
    assert credits(api) == {"balance": 1000, "held": 0}


# --- money and delivery -----------------------------------------------------------------------------------


def test_success_costs_two_credits_once(api: Api) -> None:
    response = call(api)

    assert response.json()["meta"]["creditsCharged"] == 2
    assert credits(api) == {"balance": 998, "held": 0}
    assert books_balance()
    prices = api.get("/v1/account").json()["data"]["prices"]
    assert (prices["watermark-removal"]["credits"], prices["watermark-detection"]["credits"]) == (2, 1)
    usage = api.get("/v1/usage").json()["data"]["days"]
    assert [(day["operation"], day["credits"]) for day in usage] == [("watermark-removal", 2)]


def test_both_prices_are_the_admins(api: Api) -> None:
    Price.objects.create(operation="watermark-removal", credits=7)
    Price.objects.create(operation="watermark-detection", credits=3)

    assert call(api).json()["meta"]["creditsCharged"] == 7
    assert call(api, detect_only="true").json()["meta"]["creditsCharged"] == 3


def test_too_few_credits_is_a_402_with_nothing_charged(api: Api) -> None:
    poor = make_api("poor", credits=1)

    assert error_of(call(poor)) == (402, "INSUFFICIENT_CREDITS", ["credits"])
    assert credits(poor) == {"balance": 1, "held": 0}
    assert not Job.objects.exists()
    assert call(poor, detect_only="true").status_code == 200


@pytest.mark.parametrize(("detect_only", "price"), [("false", 2), ("true", 1)])
def test_dry_run_quotes_and_runs_nothing(api: Api, detect_only: str, price: int) -> None:
    response = api.post(f"{PATH}?dry_run=true", {"image": upload(marked_png()), "detect_only": detect_only})

    assert data_of(response) == {"price": {"credits": price, "usd": f"0.{5 * price:02d}"}, "valid": True}
    assert not Job.objects.exists()


def test_replay_gives_the_first_answer_and_charges_nothing(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = call(api, headers=key, smear=upload(smear_png()))

    again = call(api, headers=key, smear=upload(smear_png()))
    other = call(api, headers=key, smear=upload(smear_png((5, 4, 24, 16))))

    assert again.headers["Idempotency-Replayed"] == "true"
    assert data_of(again)["jobId"] == data_of(first)["jobId"]
    assert pixels(data_of(again)["mask"]["url"]).shape == (90, 120)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert credits(api)["balance"] == 998


def test_replay_of_a_mask_is_the_mask(api: Api) -> None:
    headers = {"Idempotency-Key": "k", "Accept": "image/*"}
    first = call(api, headers=headers, output_format="mask")

    assert call(api, headers=headers, output_format="mask").content == first.content


def test_with_retention_0_nothing_is_left(api: Api) -> None:
    response = call(api, headers={"Accept": "image/*"}, retention="0", smear=upload(smear_png()))

    assert response.status_code == 200
    job = Job.objects.get()
    assert stored_below(job.result_prefix) == stored_below(job.input_prefix) == []
    assert (job.state, job.charged_credits) == (State.EXPIRED, 2)


def test_both_links_live_as_long_as_asked_and_die_with_the_job(api: Api) -> None:
    data = data_of(call(api, retention="2h"))
    links = [data["image"]["url"], data["mask"]["url"]]
    assert [lives_s(url) for url in links] == [pytest.approx(2 * 3600, abs=20)] * 2

    assert api.delete(f"/v1/jobs/{data['jobId']}").status_code == 204

    assert all(is_gone(url) for url in links)


def test_later_as_a_job(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = later(api, call, monkeypatch)

    assert (job["status"], job["operation"], job["creditsCharged"]) == ("succeeded", "watermark-removal", 2)
    assert list(job["result"]) == ["image", "mask", "regions", "detected"]


def test_rapidapi_is_told_what_to_bill(api: Api, settings: Any) -> None:
    def billed(photo: bytes, **fields: str) -> str:
        return rapidapi_bill(PATH, photo, settings, **fields)

    assert billed(marked_png()) == "Credits=2"
    assert billed(marked_png(), detect_only="true") == "Credits=1"
    assert billed(CLEAN) == "Credits=0"
    assert billed(marked_png(), format="gif") == "Credits=0"


def test_sandbox_is_free_and_both_pictures_are_marked(api: Api) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    plain, marked = (data_of(call(caller)) for caller in (api, sandbox))

    assert credits(api)["balance"] == 998
    for name in ("image", "mask"):
        assert (pixels(marked[name]["url"]) != pixels(plain[name]["url"])).any()


def test_scope_is_the_operations_name(api: Api) -> None:
    assert_scope_is("watermark-removal", call)


def test_worker_without_weights_starts_refuses_and_charges_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = WatermarkRunner(engine_without_weights(tmp_path))

    assert_refuses_without_weights(
        api, call, "watermark-removal", runner, missing="watermark.onnx", monkeypatch=monkeypatch
    )


def test_many_small_steps_of_the_pipeline_are_few_writes_of_progress(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stepwise(MarksByColour):
        def run(self, image: Any, *, on_stage: Any, **options: Any) -> Any:
            for step in range(1000):
                on_stage("restore", 0.3 + 0.7 * step / 1000)
            return super().run(image, on_stage=lambda *_: None, **options)

    told: list[float] = []
    report = lifecycle.report
    monkeypatch.setattr(
        lifecycle,
        "report",
        lambda job, *, stage, progress: told.append(progress) or report(job, stage=stage, progress=progress),
    )
    runner = worker.this_worker()._runners["watermark-removal"]
    monkeypatch.setattr(runner, "_watermark", load(StandInModels(), Stepwise))

    assert call(api).status_code == 200

    assert told == sorted(told)
    assert len(told) < 12


# --- the document -----------------------------------------------------------------------------------------


def test_document_describes_the_fields_and_an_answer() -> None:
    from apps.core.openapi.document import openapi_document

    post = openapi_document()["paths"][PATH]["post"]

    fields = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {
        "image", "image_url", "image_base64", "smear", "smear_url", "smear_base64", "detect_only", "sensitivity",
        "output_format", "format", "template", "retention", "answer", "upload_url",
    } == set(fields)  # fmt: skip
    assert "25 MB" in fields["smear"]["description"]
    assert (fields["sensitivity"]["minimum"], fields["sensitivity"]["maximum"]) == (0, 1)
    example = post["responses"]["200"]["content"][JSON]["example"]
    assert list(example["data"]) == ["jobId", "status", "image", "mask", "regions", "detected"]
