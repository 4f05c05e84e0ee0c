"""A colour that a client gives is sRGB, and shows as that, whatever space the photo is in; a PNG's statements count."""

from __future__ import annotations

import io
import struct
import urllib.request
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from apps.core.pictures.decoding import decode
from apps.watermark.operation import LIMITS
from tests import drawing
from tests.api import Api, upload
from tests.contract.scenes import opened, scene
from tests.watermarks import marked_array, smear_png

COLOUR, HEX = (32, 144, 224), "2090e0"
SRGB = ImageCms.createProfile("sRGB")


def seen(image: Image.Image) -> NDArray[np.uint8]:
    """What a viewer that knows profiles shows, sRGB."""
    rgb, profile = image.convert("RGB"), image.info.get("icc_profile")
    if profile:
        converted = ImageCms.profileToProfile(rgb, ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB)
        assert converted is not None
        rgb = converted
    return np.asarray(rgb).astype(int)


def photos() -> dict[str, bytes]:
    wide, paper = drawing.wide_rgb_profile(), drawing.paper_profile()
    grey = Image.fromarray(scene()).convert("L")
    return {
        "plain": drawing.saved(scene(), "JPEG", quality=95),
        "wide jpeg": drawing.saved(scene(), "JPEG", quality=95, icc_profile=wide),
        "wide png": drawing.saved(scene(), "PNG", icc_profile=wide),
        "wide webp": drawing.saved(scene(), "WEBP", quality=95, icc_profile=wide),
        "paper": drawing.saved(scene(), "PNG", icc_profile=paper),
        "grey": drawing.saved(grey, "PNG", icc_profile=drawing.grey_profile(1.8)),
        "cmyk": drawing.saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95),
        "linear": with_chunk(drawing.saved(scene(), "PNG"), b"gAMA", struct.pack(">I", 100_000)),
    }


def with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    return png[:33] + drawing.png_chunk(name, data) + png[33:]


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
@pytest.mark.parametrize("photo", photos())
def test_a_hex_colour_shows_as_itself_under_any_photo(api: Api, photo: str, kind: str) -> None:
    image = opened(api.remove(photos()[photo], bg_color=HEX, format=kind))

    assert np.abs(seen(image)[2, 2] - COLOUR).max() <= 3
    own = opened(api.remove(photos()[photo], format="png"))
    assert np.abs(seen(image)[40, 60] - seen(own)[40, 60]).max() <= 12  # and so does the subject


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
@pytest.mark.parametrize("photo", photos())
def test_white_is_pure_white_when_shown(api: Api, photo: str, kind: str) -> None:
    image = opened(api.remove(photos()[photo], output_format="white_bg", format=kind))

    assert seen(image)[2, 2].min() == 255


@pytest.mark.parametrize("photo", ["wide png", "paper", "linear", "grey", "cmyk"])
@pytest.mark.parametrize("fields", [{"format": "png"}, {"format": "jpg"}, {"format": "webp", "add_shadow": "true"}])
def test_remove_bgs_colour_shows_as_itself_too(api: Api, photo: str, fields: dict[str, str]) -> None:
    form = {"image_file": upload(photos()[photo]), "bg_color": HEX, "size": "auto", **fields}

    image = opened(api.post("/v1.0/removebg", form, **{"X-Api-Key": api.key}))

    assert np.abs(seen(image)[2, 2] - COLOUR).max() <= 3


def test_remove_bgs_background_picture_keeps_its_own_colours(api: Api) -> None:
    wide = drawing.saved(np.full((64, 96, 3), (90, 160, 90), np.uint8), "PNG", icc_profile=drawing.wide_rgb_profile())
    form = {"image_file": upload(photos()["paper"]), "bg_image_file": upload(wide), "size": "auto", "format": "png"}

    image = opened(api.post("/v1.0/removebg", form, **{"X-Api-Key": api.key}))

    assert np.abs(seen(image)[2, 2] - seen(Image.open(io.BytesIO(wide)))[2, 2]).max() <= 3


@pytest.mark.parametrize("profile", [drawing.wide_rgb_profile(), drawing.paper_profile()])
def test_white_behind_garments_is_pure_white_when_shown(api: Api, profile: bytes) -> None:
    from tests.garments import garments_array

    photo = drawing.saved(garments_array({"shoes": (20, 20, 100, 100)}), "PNG", icc_profile=profile)
    body = api.post("/v1/clothing-segmentation", {"image": upload(photo), "return_form": "whiteBK"}).json()

    assert seen(fetched(body["data"]["image"]["url"]))[2, 2].min() == 255


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url) as answer:
        return Image.open(io.BytesIO(answer.read()))


@pytest.mark.parametrize("output", [{}, {"output_format": "white_bg"}, {"format": "webp"}, {"output_format": "crop"}])
def test_a_linear_png_comes_out_in_the_colours_that_a_browser_shows(api: Api, output: dict[str, Any]) -> None:
    linear = np.round((scene() / 255) ** 2.2 * 255).astype(np.uint8)
    photo = with_chunk(drawing.saved(linear, "PNG"), b"gAMA", struct.pack(">I", 100_000))

    image = opened(api.remove(photo, **output))

    assert image.info.get("icc_profile") is None
    at = image.width * 5 // 8, image.height * 5 // 8
    assert np.abs(np.subtract(image.convert("RGB").getpixel(at), (120, 20, 30))).max() <= 4


def test_a_watermark_comes_off_a_linear_png_without_touching_what_lies_beside_it(api: Api) -> None:
    photo = with_chunk(drawing.saved(marked_array(), "PNG"), b"gAMA", struct.pack(">I", 100_000))
    body = api.post("/v1/watermark-removal", {"image": upload(photo), "smear": upload(smear_png())}).json()

    image, mask = (fetched(body["data"][name]["url"]) for name in ("image", "mask"))

    untouched = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(image)[untouched], marked_array()[untouched])
    shown = decode(photo, limits=LIMITS).to_srgb()
    assert np.abs(seen(image)[untouched] - shown[untouched]).max() <= 2
