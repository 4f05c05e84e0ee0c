"""POST /v1/clothing-segmentation: the classes, the pictures, the limits, the money, and several objects of one job."""

from __future__ import annotations

import base64
import io
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from PIL import Image

from apps.clothing.runner import ClothingRunner
from apps.core.models import Job
from apps.core.sweeper import purge_expired
from ml.clothing.garments import GARMENTS
from tests import drawing
from tests.api import Api, error_of, make_api, upload
from tests.contract.books import books_balance, credits
from tests.contract.objects import is_gone, lives_s, stored_below
from tests.contract.promises import (
    assert_refuses_without_weights,
    assert_scope_is,
    engine_without_weights,
    later,
    rapidapi_bill,
)
from tests.contract.samples import same_as_sample
from tests.garments import BOXES, COLOURS, DRESSED, garments_array, garments_png, plain

PATH = "/v1/clothing-segmentation"
JSON = "application/json"
SEVEN = [name for name in GARMENTS if name != "dress"]


def call(
    api: Api, image: bytes | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any
) -> HttpResponse:
    """POST a form; a drawn person in hat, tops, skirt and shoes, with a bag, 120 x 120, unless told otherwise."""
    image = garments_png() if image is None else image
    return api.post(PATH, {"image": upload(image), **fields}, **(headers or {}))


def data_of(response: HttpResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    return response.json()["data"]


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        return Image.open(io.BytesIO(answer.read()))


def links_of(data: dict[str, Any]) -> dict[str, str]:
    found = {name: told["url"] for name, told in data["classes"].items() if told["url"]}
    return {"image": data["image"]["url"], **found}


# --- what comes back --------------------------------------------------------------------------------------


def test_answer_is_the_recorded_one(api: Api) -> None:
    response = call(api, cloth_class="tops,coat,skirt")

    assert same_as_sample(response.json(), "clothing")
    assert response.headers["X-Request-Id"] == response.json()["meta"]["requestId"]


def test_refusal_is_the_recorded_one(api: Api) -> None:
    response = call(api, cloth_class="tops,socks")

    assert response.status_code == 400
    assert same_as_sample(response.json(), "clothing-refused")


def test_by_default_all_seven_classes_are_told_and_the_present_ones_drawn(api: Api) -> None:
    data = data_of(call(api))

    assert list(data["classes"]) == SEVEN
    assert {name for name, told in data["classes"].items() if told["present"]} == set(BOXES)
    for name, (x0, y0, x1, y1) in BOXES.items():
        told = data["classes"][name]
        assert told["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert told["areaRatio"] == pytest.approx((x1 - x0) * (y1 - y0) / 120**2, abs=1e-4)
        assert 0 < told["confidence"] <= 1
        picture = fetched(told["url"])
        assert (picture.mode, picture.size) == ("RGBA", (120, 120))
        assert picture.getpixel(((x0 + x1) // 2, (y0 + y1) // 2)) == (*COLOURS[name], 255)
    absent = {"present": False, "areaRatio": 0.0, "bbox": None, "confidence": 0.0, "url": None}
    assert data["classes"]["coat"] == data["classes"]["pants"] == absent


def test_image_holds_the_requested_garments_together_and_no_other(api: Api) -> None:
    picture = fetched(data_of(call(api, cloth_class="tops,skirt"))["image"]["url"])

    alpha = np.asarray(picture)[..., 3]
    assert picture.getpixel((60, 40)) == (*COLOURS["tops"], 255)
    assert picture.getpixel((60, 80)) == (*COLOURS["skirt"], 255)
    assert alpha[60, 60] > 250  # where the two meet there is no gap
    assert alpha[110, 60] == 0  # the shoes
    assert alpha[65, 100] == 0  # the bag
    assert alpha[0, 0] == 0


def test_classes_add_up_to_the_image(api: Api) -> None:
    data = data_of(call(api, return_form="mask"))

    parts = [np.asarray(fetched(told["url"])).astype(int) for told in data["classes"].values() if told["url"]]

    assert (sum(parts) == np.asarray(fetched(data["image"]["url"]))).all()


@pytest.mark.parametrize(("form", "mode"), [("rgba", "RGBA"), ("mask", "L"), ("whiteBK", "RGB"), ("whitebk", "RGB")])
def test_return_forms(api: Api, form: str, mode: str) -> None:
    data = data_of(call(api, return_form=form))

    pictures = {name: fetched(url) for name, url in links_of(data).items()}
    assert set(pictures) == {"image", *BOXES}
    assert {(picture.mode, picture.size) for picture in pictures.values()} == {(mode, (120, 120))}
    assert data["image"]["contentType"] == "image/png"
    background = {"RGBA": (0, 0, 0, 0), "L": 0, "RGB": (255, 255, 255)}[mode]
    inside = {"RGBA": (*COLOURS["bag"], 255), "L": 255, "RGB": COLOURS["bag"]}[mode]
    assert pictures["image"].getpixel((0, 0)) == background
    assert pictures["bag"].getpixel((100, 65)) == inside
    assert pictures["tops"].getpixel((100, 65)) == background


def test_masks_are_soft(api: Api) -> None:
    mask = np.asarray(fetched(data_of(call(api, cloth_class="bag", return_form="mask"))["image"]["url"]))

    assert len(np.unique(mask)) > 2


def test_soft_edges_have_the_garments_own_colour(api: Api) -> None:
    picture = np.asarray(fetched(data_of(call(api, cloth_class="tops"))["image"]["url"]))

    soft = picture[(picture[..., 3] > 60) & (picture[..., 3] < 200)][:, :3].astype(int)
    in_the_photo = garments_array()[(picture[..., 3] > 60) & (picture[..., 3] < 200)].astype(int)
    assert len(soft)
    # Grey shows at every edge of the photo, and blue at the lower one.
    assert np.abs(soft - COLOURS["tops"]).mean() < np.abs(in_the_photo - COLOURS["tops"]).mean() / 3


def test_binary_answer_is_the_image_with_its_facts(api: Api) -> None:
    response = call(api, headers={"Accept": "image/*"}, cloth_class="tops,skirt", return_form="whiteBK")

    picture = Image.open(io.BytesIO(response.content))
    assert (response.headers["Content-Type"], picture.mode) == ("image/png", "RGB")
    assert picture.getpixel((60, 80)) == COLOURS["skirt"]
    assert (response.headers["X-Width"], response.headers["X-Height"]) == ("120", "120")
    assert response.headers["X-Credits-Charged"] == "2"
    box = [int(response.headers[f"X-Foreground-{side}"]) for side in ("Left", "Top", "Width", "Height")]
    assert box == [30, 20, 60, 80]
    assert set(data_of(api.get(f"/v1/jobs/{response.headers['X-Job-Id']}"))["result"]["classes"]) == {"tops", "skirt"}


@pytest.mark.parametrize("accept", ["", "*/*", JSON, "text/html"])
def test_default_is_the_envelope(api: Api, accept: str) -> None:
    assert call(api, headers={"Accept": accept} if accept else {}).headers["Content-Type"] == JSON


# --- parameters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "shoes,tops",
        "tops,shoes",
        " Tops , SHOES ",
        "tops,shoes,",
        "tops,tops,shoes",
        ["tops", "shoes"],
        ["shoes,tops", ""],
    ],
)
def test_classes_by_comma_and_by_repeated_fields_in_any_case(api: Api, value: Any) -> None:
    assert list(data_of(call(api, cloth_class=value))["classes"]) == ["tops", "shoes"]


@pytest.mark.parametrize("value", [["shoes", "Tops"], ["tops,shoes"], "tops, shoes"])
def test_classes_in_a_json_body(api: Api, value: Any) -> None:
    body = {"image_base64": base64.b64encode(garments_png()).decode(), "cloth_class": value}

    assert list(data_of(api.post(PATH, body, as_json=True))["classes"]) == ["tops", "shoes"]


@pytest.mark.parametrize("value", ["", None])
def test_absent_classes_are_all_of_them(api: Api, value: Any) -> None:
    body = {"image_base64": base64.b64encode(garments_png()).decode(), "cloth_class": value}

    assert list(data_of(api.post(PATH, body, as_json=True))["classes"]) == SEVEN
    assert list(data_of(call(api, cloth_class=value or ""))["classes"]) == SEVEN


def test_url_is_fetched(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.intake.uploads.fetch_image", lambda url, **_: io.BytesIO(garments_png()))

    assert data_of(api.post(PATH, {"image_url": "https://shop.example/a.png"}))["classes"]["tops"]["present"]


def test_dress_counts_as_skirt_unless_it_is_asked_for_apart(api: Api) -> None:
    photo = garments_png(DRESSED)

    folded = data_of(call(api, photo))["classes"]
    apart = data_of(call(api, photo, dress="separate"))["classes"]
    alone = data_of(call(api, photo, dress="Separate", cloth_class="dress"))

    assert (folded["skirt"]["present"], "dress" in folded) == (True, False)
    assert (apart["skirt"]["present"], apart["dress"]["present"]) == (False, True)
    assert list(apart) == [*SEVEN, "dress"]
    assert list(alone["classes"]) == ["dress"]
    assert alone["classes"]["dress"]["bbox"] == [30, 20, 60, 80]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cloth_class": "socks"}, "cloth_class"),
        ({"cloth_class": "tops,socks"}, "cloth_class"),
        ({"cloth_class": ["tops", "socks"]}, "cloth_class"),
        ({"cloth_class": "tops;shoes"}, "cloth_class"),
        ({"cloth_class": ","}, "cloth_class"),
        ({"cloth_class": " "}, "cloth_class"),
        ({"cloth_class": "x" * 70_000}, "cloth_class"),
        ({"cloth_class": upload(b"tops")}, "cloth_class"),
        ({"cloth_class": "dress"}, "cloth_class"),
        ({"cloth_class": "tops,dress", "dress": "skirt"}, "cloth_class"),
        ({"return_form": "jpeg"}, "return_form"),
        ({"dress": "yes"}, "dress"),
        ({"retention": "0"}, "retention"),
        ({"retention": "25h"}, "retention"),
        ({"image_url": "https://example.com/a.png"}, "image"),
    ],
)
def test_wrong_values_name_their_field_and_cost_nothing(api: Api, fields: dict[str, Any], field: str) -> None:
    status, code, named = error_of(call(api, **fields))

    assert (status, code, named[0]) == (400, "VALIDATION_ERROR", field)
    assert not Job.objects.exists()
    assert credits(api) == {"balance": 1000, "held": 0}


@pytest.mark.parametrize("value", [[], [""], [" , "], [7], [["tops"]], {"tops": True}, 7, True])
def test_no_list_of_classes_in_a_json_body(api: Api, value: Any) -> None:
    body = {"image_base64": base64.b64encode(garments_png()).decode(), "cloth_class": value}

    assert error_of(api.post(PATH, body, as_json=True)) == (400, "VALIDATION_ERROR", ["cloth_class"])
    assert not Job.objects.exists()


def test_error_of_a_class_names_it_and_all_that_there_are(api: Api) -> None:
    issue = call(api, cloth_class="tops,socks").json()["error"]["details"][0]["issue"]

    assert '"socks"' in issue
    assert all(name in issue for name in SEVEN)


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (b"", "empty"),
        (b"no image at all", "JPEG, PNG, BMP"),
        (plain(100, 100, "WEBP"), "JPEG, PNG, BMP"),
        (plain(100, 100, "GIF"), "JPEG, PNG, BMP"),
        (plain(100, 100)[:40], "truncated"),
        (plain(50, 100), "51 x 51"),
        (plain(100, 50), "51 x 51"),
        (drawing.png_claiming(3000, 100), "2999 x 2999"),
        (drawing.png_claiming(100, 3000), "2999 x 2999"),
        (plain(100, 100) + bytes(5 * 1_048_576), "5 MB"),
    ],
)
def test_files_outside_the_limits_are_a_400_on_the_image(api: Api, image: bytes, word: str) -> None:
    response = call(api, image)

    assert error_of(response) == (400, "VALIDATION_ERROR", ["image"])
    assert word in response.json()["error"]["details"][0]["issue"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("size_wh", [(51, 51), (51, 2999), (2999, 51), (2999, 2999)])
def test_sizes_just_inside_the_limits_are_taken(api: Api, size_wh: tuple[int, int]) -> None:
    response = api.post(f"{PATH}?dry_run=true", {"image": upload(drawing.png_claiming(*size_wh))})

    assert data_of(response)["valid"] is True


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP"])
def test_formats_by_their_magic_bytes(api: Api, image_format: str) -> None:
    options = {"quality": 95, "subsampling": 0} if image_format == "JPEG" else {}

    data = data_of(call(api, drawing.saved(garments_array(), image_format, **options)))

    assert data["classes"]["tops"]["present"]
    assert (data["image"]["contentType"], data["image"]["width"]) == ("image/png", 120)


def test_file_of_exactly_5_mb_is_taken_and_one_byte_more_is_not(api: Api) -> None:
    photo = garments_png()
    padded = photo + bytes(5 * 1_048_576 - len(photo))

    assert data_of(api.post(f"{PATH}?dry_run=true", {"image": upload(padded)}))["valid"] is True
    assert error_of(api.post(f"{PATH}?dry_run=true", {"image": upload(padded + b"\0")}))[0] == 400


def test_body_over_the_cap_is_a_413(api: Api) -> None:
    response = Client().post(
        PATH, b"", content_type=JSON, headers={"X-Api-Key": api.key, "Content-Length": str(16 * 2**20)}
    )

    assert (response.status_code, response.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_photo_is_turned_upright_first(api: Api) -> None:
    stored = drawing.stored_for(garments_array(), 6)
    photo = drawing.saved(stored, "PNG", exif=b"Exif\0\0" + drawing.exif_of(6))

    data = data_of(call(api, photo))

    assert data["classes"]["bag"]["bbox"] == [92, 50, 20, 30]
    assert fetched(data["classes"]["bag"]["url"]).getexif() == {}


def test_colour_profile_is_kept_and_masks_have_none(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = drawing.wide_rgb_profile()
    photo = drawing.saved(garments_array({"shoes": (20, 20, 100, 100)}), "PNG", icc_profile=profile)

    for form, kept in (("rgba", profile), ("whiteBK", profile), ("mask", None)):
        picture = fetched(data_of(call(api, photo, return_form=form))["image"]["url"])

        assert picture.info.get("icc_profile") == kept


def test_alpha_channel_that_is_already_there_is_respected(api: Api) -> None:
    photo = np.dstack([garments_array(), np.full((120, 120), 255, np.uint8)])
    photo[:40, :, 3] = 0

    mask = np.asarray(fetched(data_of(call(api, drawing.saved(photo, "PNG"), return_form="mask"))["image"]["url"]))

    assert mask[:40].max() == 0
    assert mask[50, 60] == 255


def test_animated_png_gives_its_first_frame_and_says_so(api: Api) -> None:
    frames = [Image.fromarray(garments_array()), Image.new("RGB", (120, 120))]
    photo = drawing.saved(frames[0], "PNG", save_all=True, append_images=frames[1:])

    body = call(api, photo).json()

    assert [warning["code"] for warning in body["warnings"]] == ["FIRST_FRAME_ONLY"]
    assert body["data"]["classes"]["tops"]["present"]


def test_file_that_fails_only_in_the_worker_is_a_400_and_free(api: Api) -> None:
    whole = drawing.photo_png(400, 300, noise=True)

    response = call(api, whole[: len(whole) // 2])

    assert error_of(response) == (400, "VALIDATION_ERROR", ["image"])
    assert Job.objects.get().charged_credits == 0
    assert credits(api) == {"balance": 1000, "held": 0}


# --- nothing found ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photo", "classes"), [(drawing.photo_png(100, 100, box=None), ""), (garments_png(), "coat,pants")]
)
def test_no_requested_garment_is_a_200_with_a_warning_and_free(api: Api, photo: bytes, classes: str) -> None:
    response = call(api, photo, cloth_class=classes)

    body = response.json()
    assert response.status_code == 200
    assert [warning["code"] for warning in body["warnings"]] == ["NO_GARMENT"]
    assert body["meta"]["creditsCharged"] == 0
    assert not any(told["present"] or told["url"] for told in body["data"]["classes"].values())
    assert np.asarray(fetched(body["data"]["image"]["url"])).max() == 0
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_nothing_found_in_the_other_forms(api: Api) -> None:
    flat = drawing.photo_png(100, 100, box=None)

    white = fetched(data_of(call(api, flat, return_form="whiteBK"))["image"]["url"])
    mask = fetched(data_of(call(api, flat, return_form="mask"))["image"]["url"])
    binary = call(api, flat, headers={"Accept": "image/png"})

    assert np.asarray(white).min() == 255
    assert np.asarray(mask).max() == 0
    assert (binary.headers["X-Warnings"], binary.headers["X-Credits-Charged"]) == ("NO_GARMENT", "0")
    assert "X-Foreground-Left" not in binary.headers


# --- one job, several objects -----------------------------------------------------------------------------


def test_every_link_lives_24_hours_and_dies_when_tampered_with(api: Api) -> None:
    links = links_of(data_of(call(api)))

    assert len(set(links.values())) == 1 + len(BOXES)
    for name, url in links.items():
        assert f"/{name}.png?" in url
        assert lives_s(url) == pytest.approx(24 * 3600, abs=20)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(url.replace("X-Amz-Signature=", "X-Amz-Signature=0"))


def test_job_signs_every_object_again(api: Api) -> None:
    first = data_of(call(api))
    Job.objects.update(expires_at=timezone.now() + timedelta(hours=3))

    result = data_of(api.get(f"/v1/jobs/{first['jobId']}"))["result"]

    links = links_of(result)
    assert set(links) == {"image", *BOXES}
    for name, url in links.items():
        assert lives_s(url) == pytest.approx(3 * 3600, abs=20)
        assert fetched(url).size == (120, 120)
        assert url.split("?")[0] == links_of(first)[name].split("?")[0]
    assert {name: told["bbox"] for name, told in result["classes"].items()} == {
        name: told["bbox"] for name, told in first["classes"].items()
    }
    assert list(result["classes"]) == SEVEN


def test_replay_signs_every_object_again_and_charges_nothing(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = call(api, headers=key)
    Job.objects.update(expires_at=timezone.now() + timedelta(hours=3))

    again = call(api, headers=key)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert list(data_of(again)) == list(data_of(first))
    links = links_of(data_of(again))
    assert set(links) == {"image", *BOXES}
    assert [lives_s(url) for url in links.values()] == [pytest.approx(3 * 3600, abs=20)] * 6
    assert Job.objects.count() == 1
    assert credits(api)["balance"] == 998


def test_deleting_the_job_deletes_all_its_objects(api: Api) -> None:
    data = data_of(call(api))
    job = Job.objects.get()
    links = links_of(data)
    assert len(stored_below(job.result_prefix)) == len(links) == 6

    assert api.delete(f"/v1/jobs/{data['jobId']}").status_code == 204

    assert all(is_gone(url) for url in links.values())
    assert stored_below(job.result_prefix) == stored_below(job.input_prefix) == []


def test_all_objects_expire_together(api: Api) -> None:
    links = links_of(data_of(call(api, retention="1h")))
    job = Job.objects.get()
    assert [lives_s(url) for url in links.values()] == [pytest.approx(3600, abs=20)] * 6
    Job.objects.update(expires_at=timezone.now())

    purge_expired()

    assert all(is_gone(url) for url in links.values())
    assert data_of(api.get(f"/v1/jobs/{job.id}"))["status"] == "expired"


def test_with_retention_0_no_object_is_left(api: Api) -> None:
    response = call(api, headers={"Accept": "image/*"}, retention="0")

    assert response.status_code == 200
    assert stored_below(Job.objects.get().result_prefix) == []


# --- money and delivery -----------------------------------------------------------------------------------


def test_success_costs_two_credits_once(api: Api) -> None:
    response = call(api)

    assert response.json()["meta"]["creditsCharged"] == 2
    assert credits(api) == {"balance": 998, "held": 0}
    assert books_balance()
    assert api.get("/v1/account").json()["data"]["prices"]["clothing-segmentation"] == {"credits": 2, "usd": "0.10"}
    usage = api.get("/v1/usage").json()["data"]["days"]
    assert [(day["operation"], day["credits"]) for day in usage] == [("clothing-segmentation", 2)]


def test_one_credit_is_too_few(api: Api) -> None:
    poor = make_api("poor", credits=1)

    assert error_of(call(poor)) == (402, "INSUFFICIENT_CREDITS", ["credits"])
    assert credits(poor) == {"balance": 1, "held": 0}
    assert not Job.objects.exists()


def test_dry_run_quotes_and_runs_nothing(api: Api) -> None:
    response = api.post(f"{PATH}?dry_run=true", {"image": upload(garments_png())})

    assert data_of(response) == {"price": {"credits": 2, "usd": "0.10"}, "valid": True}
    assert not Job.objects.exists()


def test_rapidapi_is_told_what_to_bill(api: Api, settings: Any) -> None:
    def billed(photo: bytes, **fields: str) -> str:
        return rapidapi_bill(PATH, photo, settings, **fields)

    assert billed(garments_png()) == "Credits=2"
    assert billed(garments_png(), cloth_class="coat") == "Credits=0"
    assert billed(garments_png(), cloth_class="socks") == "Credits=0"


def test_sandbox_is_free_and_every_picture_is_marked(api: Api) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    plain, marked = (data_of(call(caller, cloth_class="tops,skirt")) for caller in (api, sandbox))

    assert credits(api)["balance"] == 998
    for name, url in links_of(marked).items():
        assert (np.asarray(fetched(url)) != np.asarray(fetched(links_of(plain)[name]))).any()


def test_repeated_fields_belong_to_the_request_of_a_key(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    assert call(api, headers=key, cloth_class=["tops", "shoes"]).status_code == 200

    same = call(api, headers=key, cloth_class=["tops", "shoes"])
    other = call(api, headers=key, cloth_class=["skirt", "shoes"])

    assert same.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_MISMATCH")


def test_later_as_a_job(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = later(api, call, monkeypatch)

    assert (job["status"], job["operation"], job["creditsCharged"]) == ("succeeded", "clothing-segmentation", 2)
    assert set(links_of(job["result"])) == {"image", *BOXES}


def test_scope_is_the_operations_name(api: Api) -> None:
    assert_scope_is("clothing-segmentation", call)


# --- without weights --------------------------------------------------------------------------------------


def test_worker_without_weights_starts_refuses_and_charges_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = ClothingRunner(engine_without_weights(tmp_path))

    assert_refuses_without_weights(
        api, call, "clothing-segmentation", runner, missing="clothing.onnx", monkeypatch=monkeypatch
    )


# --- the document -----------------------------------------------------------------------------------------


def test_document_describes_the_fields_and_an_answer() -> None:
    from apps.core.openapi.document import openapi_document

    post = openapi_document()["paths"][PATH]["post"]

    fields = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {
        "image", "image_url", "image_base64", "cloth_class", "return_form", "dress", "retention", "answer",
        "upload_url",
    } == set(fields)  # fmt: skip
    assert "51 x 51" in fields["image"]["description"]
    assert fields["return_form"]["enum"] == ["rgba", "mask", "whiteBK"]
    in_json = openapi_document()["components"]["schemas"]["ClothingSegmentationJson"]["properties"]["cloth_class"]
    assert in_json["items"]["enum"] == list(GARMENTS)
    example = post["responses"]["200"]["content"][JSON]["example"]
    assert set(example) == {"meta", "data", "warnings", "error"}
    assert example["data"]["classes"]["coat"]["url"] is None
