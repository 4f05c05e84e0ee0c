"""A subject that is cut out already comes back as it is, whatever its colours and however its transparency is stored."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import drawing
from tests.api import Api, upload
from tests.contract.scenes import pixels, scene

HEIGHT, WIDTH = 160, 200


def outline() -> NDArray[np.uint8]:
    """(H, W) uint8: a can with a handle, soft at its edge."""
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[40:140, 60:130] = 255
    cv2.ellipse(alpha, (130, 90), (30, 25), 0, 0, 360, 255, 8)
    return cv2.GaussianBlur(alpha, (0, 0), 1)


def cut_out(colour: NDArray[np.uint8] | tuple[int, ...] | int) -> NDArray[np.uint8]:
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[..., 3] = outline()
    rgba[outline() == 0] = 0
    return rgba


def ramp() -> NDArray[np.uint8]:
    return np.repeat(np.linspace(0, 255, WIDTH).astype(np.uint8)[None, :, None], 3, axis=2)


def sixteen_bits(rgba: NDArray[np.uint8]) -> bytes:
    rows = (rgba.astype(np.uint16) * 257).astype(">u2").tobytes()
    return drawing.png_file(WIDTH, HEIGHT, depth=16, colour=6, rows=rows)


@pytest.mark.parametrize("subject", ["universal", "product"])
@pytest.mark.parametrize("colour", [0, 64, 118, 126, 127, 128, 132, 190, 255, (0, 160, 80), (200, 30, 30), ramp()])
def test_every_colour_stays(api: Api, colour: Any, subject: str) -> None:
    sent = cut_out(colour)

    got = pixels(api.remove(drawing.saved(sent, "PNG"), subject=subject))

    assert np.array_equal(got, sent)


@pytest.mark.parametrize("quality", ["best", "fast"])
@pytest.mark.parametrize(
    ("name", "photo", "tolerance"),
    [
        ("LA", drawing.saved(Image.fromarray(cut_out(128)).convert("LA"), "PNG"), 0),
        ("16 bits", sixteen_bits(cut_out(128)), 0),
        ("WebP", drawing.saved(cut_out(128), "WEBP", lossless=True, exact=True), 0),
    ],
)
def test_every_kind_of_transparency_stays(api: Api, name: str, photo: bytes, tolerance: int, quality: str) -> None:
    got = pixels(api.remove(photo, quality=quality)).astype(int)

    assert np.abs(got - cut_out(128)).max() <= tolerance, name


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_stays(api: Api, image_format: str) -> None:
    indices = (outline() > 127).astype(np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette([0, 0, 0, 128, 128, 128])

    got = pixels(api.remove(drawing.saved(picture, image_format, transparency=0)))

    assert np.array_equal(got[..., 3], indices * 255)
    assert (got[indices == 1][:, :3] == 128).all()


def test_every_output_is_made_of_it(api: Api) -> None:
    photo = drawing.saved(cut_out((200, 30, 30)), "PNG")

    matte = pixels(api.remove(photo, output_format="mask", mask_mode="matte"))
    white = pixels(api.remove(photo, output_format="white_bg", format="png"))
    crop = pixels(api.remove(photo, output_format="crop"))

    assert np.array_equal(matte, outline())
    share = outline()[..., None] / 255
    assert np.abs(white - ((200, 30, 30) * share + 255 * (1 - share))).max() <= 1
    visible = crop[..., 3] > 0
    assert (crop[visible][:, :3] == (200, 30, 30)).all()  # no dark edge


def test_remove_bgs_form_scales_it_without_a_dark_edge(api: Api) -> None:
    photo = drawing.saved(np.kron(cut_out(200), np.ones((4, 4, 1), np.uint8)), "PNG")
    form = {"image_file": upload(photo), "size": "preview", "format": "png", "scale": "50%"}

    got = pixels(api.post("/v1.0/removebg", form, **{"X-Api-Key": api.key})).astype(int)

    visible = got[..., 3] > 25
    assert np.abs(got[visible][:, :3] - 200).max() <= 6
    assert got[..., 3].max() == 255


def test_our_own_answer_comes_back_the_same(api: Api) -> None:
    photo = drawing.saved(cv2.resize(scene(), (300, 200), interpolation=cv2.INTER_LINEAR), "JPEG", quality=92)
    first = api.remove(photo)

    again = api.remove(first.content)

    assert np.array_equal(pixels(again)[..., 3], pixels(first)[..., 3])
    assert np.array_equal(pixels(again), pixels(first))
