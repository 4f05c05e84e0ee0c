"""remove.bg's form: a customer of theirs changes the base URL and nothing else."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.http import HttpResponse
from django.test import Client
from PIL import Image

from apps.background.removebg import MEGAPIXELS
from apps.core import jobs
from apps.core.models import Job, State
from tests import drawing
from tests.api import Api, make_api, upload

PATH = "/v1.0/removebg"
JSON = "application/json"
RED, GREY = (120, 20, 30), (230, 230, 230)


def call(
    api: Api, image: bytes | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any
) -> HttpResponse:
    """POST a form as `curl -F` does; a drawn photo of 120 x 80 whose subject is 60 x 40 in the middle."""
    files = {"image_file": upload(drawing.photo_png(120, 80) if image is None else image)}
    return api.post(PATH, {**files, **fields}, **(headers or {}))


def picture_of(response: HttpResponse) -> np.ndarray:
    assert response.status_code == 200, response.content
    return np.asarray(Image.open(io.BytesIO(response.content)))


def at(picture: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(level) for level in picture[y, x])


def codes_of(response: HttpResponse) -> list[str]:
    errors = response.json()["errors"]
    assert all(set(error) == {"title", "code", "detail"} and all(error.values()) for error in errors)
    return [error["code"] for error in errors]


def box_of(response: HttpResponse) -> tuple[int, ...]:
    return tuple(int(response.headers[f"X-Foreground-{side}"]) for side in ("Left", "Top", "Width", "Height"))


def solid_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width, height of what is more than half opaque."""
    ys, xs = np.nonzero(alpha > 127)
    return int(xs.min()), int(ys.min()), int(xs.max() - xs.min() + 1), int(ys.max() - ys.min() + 1)


# --- the form of request and answer -----------------------------------------------------------------------


def test_default_answer_is_a_transparent_png_with_remove_bgs_headers(api: Api) -> None:
    response = call(api)

    picture = picture_of(response)
    assert response.headers["Content-Type"] == "image/png"
    assert picture.shape == (80, 120, 4)
    assert picture[0, 0, 3] == 0
    assert at(picture, 60, 40) == (*RED, 255)
    assert (response.headers["X-Width"], response.headers["X-Height"]) == ("120", "80")
    assert response.headers["X-Credits-Charged"] == "1"
    assert response.headers["X-Type"] == "other"
    assert box_of(response) == pytest.approx((30, 20, 60, 40), abs=1)
    assert "RateLimit" in response.headers
    assert int(response.headers["X-RateLimit-Remaining"]) < int(response.headers["X-RateLimit-Limit"])


def test_json_answer_carries_the_same_file_and_the_subjects_box(api: Api) -> None:
    binary = call(api)

    response = call(api, headers={"Accept": JSON})

    data = response.json()["data"]
    assert response.headers["Content-Type"] == JSON
    assert set(data) == {"result_b64", *(f"foreground_{side}" for side in ("top", "left", "width", "height"))}
    assert base64.b64decode(data["result_b64"]) == binary.content
    assert tuple(data[f"foreground_{side}"] for side in ("left", "top", "width", "height")) == box_of(binary)
    assert response.headers["X-Width"] == "120"


@pytest.mark.parametrize("accept", ["*/*", "image/*", "image/png", "text/html"])
def test_whoever_does_not_ask_for_json_gets_the_file(api: Api, accept: str) -> None:
    assert call(api, headers={"Accept": accept}).headers["Content-Type"] == "image/png"


def test_urlencoded_body_as_curl_d_sends_it(api: Api) -> None:
    fields = {"image_file_b64": base64.b64encode(drawing.photo_png(50, 40)).decode(), "size": "auto", "bg_color": "00f"}

    response = Client().post(
        PATH, urlencode(fields), content_type="application/x-www-form-urlencoded", headers={"X-Api-Key": api.key}
    )

    assert at(picture_of(response), 0, 0) == (0, 0, 254)


def test_json_body_as_their_documentation_shows_it(api: Api) -> None:
    body = {
        "image_file_b64": base64.b64encode(drawing.photo_png(50, 40)).decode(),
        "image_url": "",
        "size": "preview",
        "type": "auto",
        "type_level": "1",
        "format": "auto",
        "roi": "0% 0% 100% 100%",
        "crop": False,
        "crop_margin": "0",
        "scale": "original",
        "position": "original",
        "channels": "rgba",
        "add_shadow": False,
        "semitransparency": True,
        "bg_color": "",
        "bg_image_url": "",
        "shadow_opacity": 50,
        "a_field_of_tomorrow": None,
    }

    response = api.post(PATH, body, as_json=True)

    assert picture_of(response).shape == (40, 50, 4)


def test_url_is_fetched(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(url: str, **options: Any) -> io.BytesIO:
        assert options["field"] == "image_url"
        return io.BytesIO(drawing.photo_png(50, 40))

    monkeypatch.setattr("apps.core.intake.uploads.fetch_image", fetched)

    assert picture_of(api.post(PATH, {"image_url": "https://shop.example/a.png"})).shape == (40, 50, 4)


@pytest.mark.parametrize("header", ["X-Api-Key", "X-RapidAPI-Key", "Authorization"])
def test_other_key_headers_count_as_everywhere(api: Api, header: str) -> None:
    value = f"Bearer {api.key}" if header == "Authorization" else api.key

    response = Client().post(PATH, {"image_file": upload(drawing.photo_png())}, headers={header: value})

    assert response.status_code == 200


def test_rapidapi_is_told_what_to_bill(api: Api, settings: Any) -> None:
    settings.RAPIDAPI_SECRETS = ["s" * 40]
    headers = {"X-RapidAPI-Proxy-Secret": "s" * 40, "X-RapidAPI-User": "ann", "X-RapidAPI-Subscription": "PRO"}

    good = Client().post(PATH, {"image_file": upload(drawing.photo_png())}, headers=headers)
    empty = Client().post(PATH, {"image_file": upload(drawing.photo_png(box=None))}, headers=headers)

    assert good.headers["X-RapidAPI-Billing"] == "Credits=1"
    assert (empty.status_code, empty.headers["X-RapidAPI-Billing"]) == (400, "Credits=0")


# --- size and type ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "file_format", "width"),
    [
        ("preview", "png", 577),
        ("medium", "webp", 1414),
        ("hd", "jpg", 2309),
        ("full", "png", 3651),
        ("full", "jpg", 4000),
        ("auto", "auto", 3651),
    ],
)
def test_size_is_the_most_megapixels_of_the_answer(api: Api, size: str, file_format: str, width: int) -> None:
    photo = drawing.photo_png(4000, 3000)

    response = call(api, photo, size=size, format=file_format)

    assert int(response.headers["X-Width"]) == pytest.approx(width, abs=1)
    assert Image.open(io.BytesIO(response.content)).size == tuple(
        int(response.headers[name]) for name in ("X-Width", "X-Height")
    )
    left, _, box_width, _ = box_of(response)
    assert left == pytest.approx(width / 4, abs=2)
    assert box_width == pytest.approx(width / 2, abs=3)


@pytest.mark.parametrize(
    ("size", "megapixels"),
    [("small", 0.25), ("regular", 0.25), ("medium", 1.5), ("4k", 25), ("auto", 25), ("50MP", 50), ("50mp", 50)],
)
def test_every_size_has_its_megapixels(api: Api, size: str, megapixels: float) -> None:
    call(api, size=size)

    assert MEGAPIXELS[Job.objects.get().params["size"]] == megapixels


def test_default_size_is_preview_and_small_photos_keep_theirs(api: Api) -> None:
    assert int(call(api, drawing.photo_png(2000, 1000)).headers["X-Width"]) == 707
    assert int(call(api, drawing.photo_png(60, 40), size="hd").headers["X-Width"]) == 60


@pytest.mark.parametrize(
    ("kind", "level", "said"),
    [
        ("auto", "1", "other"),
        ("person", "1", "person"),
        ("product", "2", "product"),
        ("car", "latest", "car"),
        ("animal", "1", "animal"),
        ("graphic", "1", "other"),
        ("graphic", "2", "graphic"),
        ("transportation", "latest", "transportation"),
        ("other", "2", "other"),
        ("person", "none", None),
    ],
)
def test_type_is_told_as_finely_as_asked(api: Api, kind: str, level: str, said: str | None) -> None:
    assert call(api, type=kind, type_level=level).headers.get("X-Type") == said


@pytest.mark.parametrize(
    ("kind", "subject"), [("auto", "universal"), ("person", "human"), ("product", "product"), ("car", "product")]
)
def test_type_chooses_the_subject(api: Api, kind: str, subject: str) -> None:
    call(api, type=kind)

    assert Job.objects.get().params["subject"] == subject


# --- format and channels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "content_type", "mode"),
    [
        ({}, "image/png", "RGBA"),
        ({"format": "png"}, "image/png", "RGBA"),
        ({"format": "png", "bg_color": "fff"}, "image/png", "RGB"),
        ({"format": "webp"}, "image/webp", "RGBA"),
        ({"format": "webp", "bg_color": "fff"}, "image/webp", "RGB"),
        ({"format": "auto", "bg_color": "fff"}, "image/jpeg", "RGB"),
        ({"format": "auto", "bg_color": "fff8"}, "image/png", "RGBA"),
        ({"format": "JPG"}, "image/jpeg", "RGB"),
        ({"format": "jpeg"}, "image/jpeg", "RGB"),
        ({"channels": "alpha"}, "image/png", "L"),
        ({"channels": "alpha", "format": "jpg"}, "image/jpeg", "L"),
        ({"channels": "alpha", "format": "webp"}, "image/webp", "RGB"),
        ({"channels": "alpha", "bg_color": "fff"}, "image/png", "L"),
    ],
)
def test_formats(api: Api, fields: dict[str, str], content_type: str, mode: str) -> None:
    response = call(api, **fields)

    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == content_type
    assert Image.open(io.BytesIO(response.content)).mode == mode


def test_jpg_lies_on_white(api: Api) -> None:
    plain = picture_of(call(api, format="jpg"))
    tinted = picture_of(call(api, format="jpg", bg_color="0000ff80"))

    assert plain[0, 0].min() >= 254
    assert at(tinted, 0, 0) == pytest.approx((127, 127, 255), abs=2)
    assert at(plain, 60, 40) == pytest.approx(RED, abs=3)


def test_alpha_is_the_mask(api: Api) -> None:
    mask = picture_of(call(api, channels="alpha", add_shadow="true"))

    assert mask.shape == (80, 120)
    assert solid_box(mask) == pytest.approx((30, 20, 60, 40), abs=1)
    assert mask[0, 0] == 0


@pytest.mark.parametrize("channels", ["rgba", "alpha"])
def test_zip_holds_colours_and_alpha_that_make_the_cut_out(api: Api, channels: str) -> None:
    response = call(api, format="zip", channels=channels)

    assert response.headers["Content-Type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.namelist() == ["color.jpg", "alpha.png"]
    assert [entry.external_attr >> 16 for entry in archive.infolist()] == [0o644, 0o644]
    colour = np.asarray(Image.open(archive.open("color.jpg")))
    alpha = np.asarray(Image.open(archive.open("alpha.png")))
    assert np.array_equal(alpha, picture_of(call(api))[..., 3])
    assert at(colour, 60, 40) == pytest.approx(RED, abs=3)
    assert at(colour, 2, 2) == pytest.approx(RED, abs=8)  # nothing of the old background, and no hard edge
    assert (response.headers["X-Width"], response.headers["X-Height"]) == ("120", "80")


# --- region, crop, scale, position ------------------------------------------------------------------------


def two_subjects() -> bytes:
    """120 x 80: one subject left of the middle, one right of it."""
    picture = Image.new("RGB", (120, 80), GREY)
    picture.paste(RED, (10, 20, 50, 60))
    picture.paste((20, 30, 120), (70, 20, 110, 60))
    return drawing.saved(picture, "PNG")


@pytest.mark.parametrize("roi", ["60px 0px 120px 80px", "60 0 120 80", "50% 0% 100% 100%", "60px 0% 120px 100%"])
def test_only_the_region_of_interest_is_looked_at(api: Api, roi: str) -> None:
    response = call(api, two_subjects(), roi=roi)

    picture = picture_of(response)
    assert picture.shape == (80, 120, 4)
    assert picture[40, 30, 3] == 0
    assert at(picture, 90, 40) == (20, 30, 120, 255)
    assert box_of(response) == pytest.approx((70, 20, 40, 40), abs=1)


def test_region_counts_on_the_upright_photo(api: Api) -> None:
    stored = drawing.stored_for(np.asarray(Image.open(io.BytesIO(two_subjects()))), 6)
    photo = drawing.saved(stored, "JPEG", quality=95, exif=b"Exif\0\0" + drawing.exif_of(6))

    picture = picture_of(call(api, photo, roi="60px 0px 120px 80px"))

    assert picture.shape == (80, 120, 4)
    assert picture[40, 30, 3] == 0
    assert picture[40, 90, 3] == 255


@pytest.mark.parametrize(
    ("margin", "size_wh", "corner"),
    [
        (None, (60, 40), (0, 0)),
        ("0", (60, 40), (0, 0)),
        ("10px", (80, 60), (10, 10)),
        ("10%", (72, 48), (6, 4)),
        ("5px 10%", (72, 50), (6, 5)),
        ("1px 2px 3px 4px", (66, 44), (4, 1)),
        ("50px", (160, 140), (50, 50)),
    ],
)
def test_crop_is_the_subjects_box_and_its_margins(
    api: Api, margin: str | None, size_wh: tuple[int, int], corner: tuple[int, int]
) -> None:
    response = call(api, format="png", crop="true", **({"crop_margin": margin} if margin else {}))

    picture = picture_of(response)
    assert picture.shape[1::-1] == pytest.approx(size_wh, abs=2)
    assert box_of(response)[:2] == pytest.approx(corner, abs=1)
    assert solid_box(picture[..., 3])[2:] == pytest.approx((60, 40), abs=1)


def test_crop_margin_without_crop_changes_nothing(api: Api) -> None:
    assert picture_of(call(api, crop_margin="10px")).shape == (80, 120, 4)


@pytest.mark.parametrize(
    ("fields", "box"),
    [
        ({"scale": "100%"}, (0, 0, 120, 80)),
        ({"scale": "50%"}, (30, 20, 60, 40)),
        ({"scale": "25%"}, (45, 30, 30, 20)),
        ({"scale": "25%", "position": "0%"}, (0, 0, 30, 20)),
        ({"scale": "25%", "position": "100% 0%"}, (90, 0, 30, 20)),
        ({"scale": "25%", "position": "center"}, (45, 30, 30, 20)),
        ({"scale": "25%", "position": "original"}, (16, 11, 30, 20)),
        ({"scale": "80%", "position": "original"}, (0, 0, 96, 64)),
        ({"position": "center"}, (30, 20, 60, 40)),
        ({"position": "100%"}, (60, 40, 60, 40)),
        ({"position": "50% 100%"}, (30, 40, 60, 40)),
        ({"scale": "original", "position": "original"}, (1, 1, 60, 40)),
    ],
)
def test_scale_and_position(api: Api, fields: dict[str, str], box: tuple[int, ...]) -> None:
    response = call(api, drawing.photo_png(120, 80, box=(1, 1, 61, 41)), format="png", **fields)

    picture = picture_of(response)
    assert picture.shape == (80, 120, 4)
    assert solid_box(picture[..., 3]) == pytest.approx(box, abs=2)
    assert box_of(response) == pytest.approx(box, abs=2)


def test_crop_makes_the_canvas_that_scale_fills(api: Api) -> None:
    response = call(api, crop="true", crop_margin="10px", scale="50%")

    assert picture_of(response).shape[1::-1] == pytest.approx((80, 60), abs=2)
    assert box_of(response) == pytest.approx((20, 16, 40, 27), abs=2)


# --- background, transparency, shadow ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colour", "rgba"),
    [
        ("81d4fa", (129, 212, 250, 255)),
        ("#81D4FA", (129, 212, 250, 255)),
        ("f00", (255, 0, 0, 255)),
        ("f008", (255, 0, 0, 136)),
        ("81d4fa77", (129, 212, 250, 119)),
        ("green", (0, 128, 0, 255)),
        ("RebeccaPurple", (102, 51, 153, 255)),
        ("transparent", (0, 0, 0, 0)),
    ],
)
def test_background_colours(api: Api, colour: str, rgba: tuple[int, ...]) -> None:
    picture = picture_of(call(api, format="png", bg_color=colour))

    assert at(picture, 0, 0) == rgba[: picture.shape[2]]
    assert at(picture, 60, 40)[:3] == RED


def stripes(width: int, height: int) -> bytes:
    """Red, green, blue from left to right, a third each."""
    picture = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        picture[:, width * channel // 3 : width * (channel + 1) // 3, channel] = 255
    return drawing.saved(picture, "PNG")


def test_background_image_covers_the_canvas_from_its_middle(api: Api) -> None:
    wide = upload(stripes(900, 200))  # three times as wide as is needed: only the green third is seen

    picture = picture_of(call(api, format="png", bg_image_file=wide))

    assert picture.shape == (80, 120, 3)
    assert at(picture, 60, 2) == (0, 255, 0)
    assert at(picture, 60, 40) == RED
    assert at(picture, 2, 2) == (0, 255, 0)


def test_background_image_of_the_same_size_is_laid_under_as_it_is(api: Api) -> None:
    grain = drawing.soft_photo(120, 80)

    picture = picture_of(call(api, format="png", bg_image_file=upload(drawing.saved(grain, "PNG"))))

    assert np.array_equal(picture[:15], grain[:15])


def test_background_image_by_url_and_with_transparency(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    half = drawing.saved(Image.new("RGBA", (60, 40), (0, 0, 255, 128)), "PNG")
    monkeypatch.setattr("apps.core.intake.uploads.fetch_image", lambda url, **_: io.BytesIO(half))

    picture = picture_of(call(api, bg_image_url="https://shop.example/bg.png"))

    assert at(picture, 0, 0) == (0, 0, 255, 128)
    assert at(picture, 60, 40) == (*RED, 255)


def test_wide_gamut_subject_on_a_background_becomes_srgb_and_alone_keeps_its_profile(api: Api) -> None:
    profile = drawing.wide_rgb_profile()
    photo = drawing.saved(Image.open(io.BytesIO(drawing.photo_png(120, 80))), "PNG", icc_profile=profile)

    alone = Image.open(io.BytesIO(call(api, photo).content))
    on_white = Image.open(io.BytesIO(call(api, photo, bg_color="fff", format="png").content))

    assert alone.info["icc_profile"] == profile
    assert "icc_profile" not in on_white.info
    assert on_white.getpixel((60, 40)) != RED
    assert on_white.getpixel((0, 0)) == (255, 255, 255)


def half_transparent_photo() -> bytes:
    """A subject whose lower half is glass: 50 % opaque already in the file."""
    picture = np.asarray(Image.open(io.BytesIO(drawing.photo_png(120, 80))).convert("RGBA")).copy()
    picture[40:, :, 3] = 200
    return drawing.saved(picture, "PNG")


@pytest.mark.parametrize("fields", [{"semitransparency": "false"}, {"semitransparency_type": "none"}])
def test_without_semitransparency_everything_is_solid_but_the_edge(api: Api, fields: dict[str, str]) -> None:
    soft = picture_of(call(api, half_transparent_photo()))
    hard = picture_of(call(api, half_transparent_photo(), **fields))

    assert 150 < soft[50, 60, 3] < 230
    assert hard[50, 60, 3] == 255
    assert hard[0, 0, 3] == 0


@pytest.mark.parametrize(
    "fields", [{"add_shadow": "true"}, {"shadow_type": "drop"}, {"shadow_type": "car"}, {"shadow_type": "3D"}]
)
def test_shadow_is_black_beside_the_subject_and_not_on_it(api: Api, fields: dict[str, str]) -> None:
    plain, picture = picture_of(call(api, drawing.photo_png(400, 300))), None

    picture = picture_of(call(api, drawing.photo_png(400, 300), **fields))

    below = picture[226:232, 150:250]
    assert below[..., 3].max() > 60
    assert below[..., :3].max() == 0
    assert picture[5, 5, 3] == 0
    assert np.array_equal(picture[80:220, 105:295], plain[80:220, 105:295])


def test_shadow_opacity_and_its_absence(api: Api) -> None:
    photo = drawing.photo_png(400, 300)

    def darkness(**fields: str) -> int:
        return int(picture_of(call(api, photo, **fields))[226:232, 150:250, 3].max())

    assert darkness(shadow_type="drop", shadow_opacity="100") > 1.8 * darkness(shadow_type="drop", shadow_opacity="50")
    assert darkness(shadow_type="none", add_shadow="true") == darkness() == 0
    assert darkness(shadow_type="drop", shadow_opacity="0") == 0


def test_crop_keeps_room_for_the_shadow_and_says_where_the_subject_is(api: Api) -> None:
    response = call(api, drawing.photo_png(400, 300), crop="true", add_shadow="true", shadow_type="drop")

    picture = picture_of(response)
    left, top, width, height = box_of(response)
    assert (width, height) == pytest.approx((200, 150), abs=2)
    assert picture.shape[0] > top + height
    assert picture.shape[1] > left + width
    assert picture[-1, :, 3].max() < 12


# --- money and repetition ---------------------------------------------------------------------------------


def test_success_costs_one_credit_and_account_tells_it_in_their_form(api: Api) -> None:
    call(api)

    body = api.get("/v1.0/account").json()

    credits = {"total": 999, "subscription": 0, "payg": 999, "enterprise": 0}
    assert body == {"data": {"attributes": {"credits": credits, "api": {"free_calls": 0, "sizes": "all"}}}}


def test_dry_run_checks_and_quotes(api: Api) -> None:
    good = api.post(f"{PATH}?dry_run=true", {"image_file": upload(drawing.photo_png())})
    bad = api.post(f"{PATH}?dry_run=true", {"image_file": upload(drawing.photo_png()), "size": "huge"})

    assert good.json() == {"data": {"price": {"credits": 1, "usd": "0.05"}, "valid": True}}
    assert codes_of(bad) == ["invalid_size"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("accept", ["*/*", JSON])
def test_same_key_gives_the_first_answer_again(api: Api, accept: str) -> None:
    headers = {"Idempotency_Key": "k", "Accept": accept}

    first, again = call(api, headers=headers), call(api, headers=headers)
    renamed = api.post(PATH, {"image_file": upload(drawing.photo_png(120, 80), "other-name.png")}, **headers)
    other = call(api, headers=headers, crop="true")
    background = call(api, headers=headers, bg_image_file=upload(stripes(9, 9)))

    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert renamed.headers.get("Idempotency-Replayed") == "true"
    assert (other.status_code, codes_of(other)) == (422, ["idempotency_mismatch"])
    assert background.status_code == 422
    assert Job.objects.count() == 1


def test_prefer_is_ignored_and_a_late_job_is_a_502_that_costs_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(api, headers={"Prefer": "respond-async"}).status_code == 200

    monkeypatch.setattr(jobs.tasks, "wake_worker", lambda: None)
    monkeypatch.setattr(jobs, "wait", lambda job, timeout_s: job)
    late = call(api, headers={"Accept": JSON})

    assert (late.status_code, codes_of(late)) == (502, ["processing_timeout"])
    assert api.get("/v1.0/account").json()["data"]["attributes"]["credits"]["total"] == 999


def test_sandbox_is_free_and_marked(api: Api) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    response = call(sandbox, drawing.photo_png(300, 200))

    assert response.headers["X-Credits-Charged"] == "0"
    assert not np.array_equal(picture_of(response), picture_of(call(api, drawing.photo_png(300, 200))))


# --- errors -----------------------------------------------------------------------------------------------

PHOTO = drawing.photo_png(120, 80)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"size": "huge"}, "invalid_size"),
        ({"type": "unicorn"}, "invalid_type"),
        ({"type_level": "3"}, "invalid_type_level"),
        ({"format": "tiff"}, "invalid_format"),
        ({"channels": "rgb"}, "invalid_channels"),
        ({"crop": "perhaps"}, "invalid_crop"),
        ({"crop_margin": "-5px"}, "invalid_crop_margin"),
        ({"crop_margin": "501px"}, "invalid_crop_margin"),
        ({"crop_margin": "51%"}, "invalid_crop_margin"),
        ({"crop_margin": "1px 2px 3px"}, "invalid_crop_margin"),
        ({"scale": "9%"}, "invalid_scale"),
        ({"scale": "101%"}, "invalid_scale"),
        ({"scale": "big"}, "invalid_scale"),
        ({"position": "left"}, "invalid_position"),
        ({"position": "101%"}, "invalid_position"),
        ({"position": "1% 2% 3%"}, "invalid_position"),
        ({"bg_color": "reddish"}, "invalid_bg_color"),
        ({"bg_color": "12345"}, "invalid_bg_color"),
        ({"semitransparency": "maybe"}, "invalid_semitransparency"),
        ({"shadow_type": "long"}, "invalid_shadow_type"),
        ({"shadow_opacity": "101"}, "invalid_shadow_opacity"),
        ({"shadow_opacity": "nan"}, "invalid_shadow_opacity"),
        ({"roi": "0 0 10"}, "invalid_roi"),
        ({"roi": "a b c d"}, "invalid_roi"),
        ({"roi": "0 0 121 80"}, "invalid_roi"),
        ({"roi": "0 0 120px 81px"}, "invalid_roi"),
        ({"roi": "0% 0% 101% 100%"}, "invalid_roi"),
        ({"roi": "-1 0 10 10"}, "invalid_roi"),
        ({"roi": "10 10 10 20"}, "roi_region_empty"),
        ({"roi": "80% 80% 20% 20%"}, "roi_region_empty"),
        ({"image_url": "https://example.com/a.png"}, "multiple_sources"),
        ({"bg_color": "fff", "bg_image_url": "https://example.com/a.png"}, "multiple_sources"),
        ({"bg_color": "fff", "bg_image_file": upload(PHOTO)}, "multiple_sources"),
        ({"bg_image_url": "https://example.com/a.png", "bg_image_file": upload(PHOTO)}, "multiple_sources"),
        ({"bg_image_url": "ftp://example.com/a.png"}, "invalid_image_url"),
        ({"bg_image_file": upload(b"text, no image at all")}, "invalid_file_type"),
        ({"bg_image_file": upload(drawing.png_claiming(60_000, 60_000))}, "resolution_too_high"),
        ({"bg_image_file": upload(PHOTO[:40])}, "failed_to_read_image"),
        ({"bg_image_file": "text"}, "failed_to_read_image"),
    ],
)
def test_wrong_parameters_have_their_code_and_cost_nothing(api: Api, fields: dict[str, Any], code: str) -> None:
    for value in fields.values():
        if hasattr(value, "seek"):
            value.seek(0)

    response = call(api, **fields)

    assert (response.status_code, set(codes_of(response))) == (400, {code})
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (b"", "missing_source"),
        (b"%PDF-1.4 no image", "invalid_file_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "invalid_file_type"),
        (PHOTO[:30], "failed_to_read_image"),
        (drawing.png_claiming(10_001, 10), "resolution_too_high"),
        (drawing.png_claiming(60_000, 60_000), "resolution_too_high"),
        (PHOTO + bytes(22 * 1_048_576), "file_too_large"),
    ],
)
def test_wrong_files_have_their_code(api: Api, image: bytes, code: str) -> None:
    response = call(api, image)

    assert (response.status_code, codes_of(response)) == (400, [code])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "missing_source"),
        ({"image_url": "not a url"}, "invalid_image_url"),
        ({"image_url": "http://127.0.0.1/a.png"}, "invalid_image_url"),
        ({"image_url": "http://169.254.169.254/latest/meta-data"}, "invalid_image_url"),
        ({"image_file_b64": "*** no base64 ***"}, "failed_to_read_image"),
        ({"image_file_b64": base64.b64encode(b"text, no image").decode()}, "invalid_file_type"),
        ({"image_file": "text"}, "failed_to_read_image"),
        ({"image_file_b64": "AAAA", "image_url": "https://example.com/a.png"}, "multiple_sources"),
    ],
)
def test_wrong_sources_have_their_code(api: Api, settings: Any, fields: dict[str, str], code: str) -> None:
    settings.FETCH_ALLOW_CIDRS = []

    for body in ({"data": fields}, {"data": fields, "as_json": True}):
        response = api.post(PATH, **body)

        assert (response.status_code, codes_of(response)) == (400, [code])


def test_download_that_fails(api: Api, settings: Any) -> None:
    import ipaddress

    settings.FETCH_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.0/8")]

    response = api.post(PATH, {"image_url": "http://127.0.0.1:9/a.png"})

    assert (response.status_code, codes_of(response)) == (400, ["failed_image_download"])


def test_nothing_found_is_unknown_foreground_and_free(api: Api) -> None:
    key = {"Idempotency_Key": "flat"}

    response = call(api, drawing.photo_png(box=None), headers=key)

    assert (response.status_code, codes_of(response)) == (400, ["unknown_foreground"])
    assert Job.objects.get().state == State.FAILED
    assert api.get("/v1.0/account").json()["data"]["attributes"]["credits"]["total"] == 1000
    again = call(api, drawing.photo_png(box=None), headers=key)
    assert codes_of(again) == ["unknown_foreground"]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_file_that_fails_only_in_the_worker(api: Api) -> None:
    whole = drawing.photo_png(400, 300, noise=True)

    photo = call(api, whole[: len(whole) // 2])
    background = call(api, bg_image_file=upload(whole[: len(whole) // 2]))

    assert (photo.status_code, codes_of(photo)) == (400, ["failed_to_read_image"])
    assert (background.status_code, codes_of(background)) == (400, ["failed_to_read_image"])
    assert "bg_image_file" in background.json()["errors"][0]["detail"]


def test_credentials_and_credits_have_their_own_statuses(api: Api) -> None:
    nobody = Client().post(PATH, {"image_file": upload(PHOTO)})
    wrong = call(Api(key="wrong", account=None))
    narrow = call(make_api("narrow", scopes=["remove-bg"]))
    poor = call(make_api("poor", credits=0))
    account = Api(key="wrong", account=None).get("/v1.0/account")

    assert (nobody.status_code, codes_of(nobody)) == (403, ["auth_failed"])
    assert (wrong.status_code, codes_of(wrong)) == (403, ["auth_failed"])
    assert (narrow.status_code, codes_of(narrow)) == (403, ["auth_failed"])
    assert (poor.status_code, codes_of(poor)) == (402, ["insufficient_credits"])
    assert (account.status_code, codes_of(account)) == (403, ["auth_failed"])


def test_too_many_requests(api: Api) -> None:
    free = make_api("hurried", plan="FREE")

    answers = (free.get("/v1.0/account") for _ in range(300))  # a slow machine gets some back meanwhile
    last = next(answer for answer in answers if answer.status_code == 429)
    busy = call(free)

    assert (last.status_code, codes_of(last)) == (429, ["rate_limit_exceeded"])
    assert (busy.status_code, codes_of(busy)) == (429, ["rate_limit_exceeded"])
    assert 1 <= int(busy.headers["Retry-After"]) <= 60
    assert (busy.headers["X-RateLimit-Limit"], busy.headers["X-RateLimit-Remaining"]) == ("60", "0")
    assert 0 < int(busy.headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert not [name for name in busy.headers if name.lower().startswith("x-ratelimit-requests")]  # the gateway's names


def test_limits_are_told_in_the_vendors_names_here_and_nowhere_else(api: Api) -> None:
    here = api.get("/v1.0/account")
    refused = api.post(PATH, {})
    elsewhere = api.get("/v1/account")

    assert int(here.headers["X-RateLimit-Remaining"]) == int(refused.headers["X-RateLimit-Remaining"]) + 1
    assert here.headers["X-RateLimit-Limit"] == refused.headers["X-RateLimit-Limit"]
    assert "X-RateLimit-Limit" not in elsewhere.headers


def test_other_methods_types_and_sizes_are_400_and_other_paths_404(api: Api) -> None:
    get = api.get(PATH)
    path = api.post("/v1.0/improve", {})
    text = Client().post(PATH, b"hello", content_type="text/plain", headers={"X-Api-Key": api.key})
    json_list = Client().post(PATH, "[1]", content_type=JSON, headers={"X-Api-Key": api.key})
    broken = Client().post(PATH, "{", content_type=JSON, headers={"X-Api-Key": api.key})
    big = Client().post(PATH, b"", content_type=JSON, headers={"X-Api-Key": api.key, "Content-Length": str(51 * 2**20)})

    assert (get.status_code, codes_of(get), get.headers["Allow"]) == (400, ["method_not_allowed"], "POST")
    assert (path.status_code, codes_of(path)) == (404, ["not_found"])
    assert (text.status_code, codes_of(text)) == (400, ["unsupported_media_type"])
    assert (json_list.status_code, codes_of(json_list)) == (400, ["invalid_body"])
    assert (broken.status_code, codes_of(broken)) == (400, ["invalid_body"])
    assert (big.status_code, codes_of(big)) == (400, ["file_too_large"])


def test_canonical_addresses_still_take_no_urlencoded_body(api: Api) -> None:
    response = Client().post(
        "/v1/remove-bg/universal",
        "image_url=https%3A%2F%2Fexample.com",
        content_type="application/x-www-form-urlencoded",
        headers={"X-Api-Key": api.key},
    )

    assert response.status_code == 415


def test_document_describes_the_fields_and_forms() -> None:
    from apps.core.openapi.document import openapi_document

    paths = json.loads(json.dumps(openapi_document()))["paths"]

    body = paths[PATH]["post"]["requestBody"]
    bodies = body["content"]
    assert set(bodies) == {"multipart/form-data"}
    fields = bodies["multipart/form-data"]["schema"]["properties"]
    assert {"image_file", "image_file_b64", "image_url", "bg_image_file", "bg_image_url", "roi", "size"} <= set(fields)
    assert "retention" not in fields
    assert body["x-other-bodies"] == [JSON, "application/x-www-form-urlencoded"]
    assert set(paths[PATH]["post"]["responses"]) >= {"200", "400", "402", "403", "429"}
    canonical = paths["/v1/remove-bg/universal"]["post"]["requestBody"]["content"]
    assert "retention" in canonical["multipart/form-data"]["schema"]["properties"]
    assert "get" in paths["/v1.0/account"]
