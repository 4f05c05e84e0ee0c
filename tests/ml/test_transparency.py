"""What an alpha channel that came with a picture is, and what lies under it while a network looks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.picture.transparency import Transparency, ground_for, on_ground, read_transparency
from ml.picture.types import AlphaChannel, RgbImage

HEIGHT, WIDTH = 400, 600


def clear() -> AlphaChannel:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def rounded(margin: int, radius: int) -> AlphaChannel:
    alpha = clear()
    inner = margin + radius
    cv2.rectangle(alpha, (inner, inner), (WIDTH - 1 - inner, HEIGHT - 1 - inner), 255, -1)
    return cv2.dilate(alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2))


def thing(x: int = 300, y: int = 200, size: float = 1.0) -> AlphaChannel:
    """A bottle with an arm."""
    alpha = clear()
    cv2.ellipse(alpha, (x, y + int(40 * size)), (int(70 * size), int(110 * size)), 0, 0, 360, 255, -1)
    cv2.rectangle(alpha, (x - int(20 * size), y - int(150 * size)), (x + int(20 * size), y), 255, -1)
    cv2.line(alpha, (x, y), (x + int(140 * size), y - int(60 * size)), 255, int(20 * size))
    return cv2.GaussianBlur(alpha, (0, 0), 1.5)


def box(x0: int, y0: int, x1: int, y1: int) -> AlphaChannel:
    alpha = clear()
    alpha[y0:y1, x0:x1] = 255
    return alpha


def vignette(power: float) -> AlphaChannel:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot((x - WIDTH / 2) / (WIDTH / 2), (y - HEIGHT / 2) / (HEIGHT / 2))
    return np.clip(255 * (1.1 - away**power), 0, 255).astype(np.uint8)


def with_shadow() -> AlphaChannel:
    shadow = cv2.GaussianBlur(np.roll(thing(), (14, 20), (0, 1)), (0, 0), 9) // 2
    return np.maximum(thing(), shadow)


@pytest.mark.parametrize(
    ("name", "alpha", "kind"),
    [
        ("a thing", thing(), Transparency.OUTLINE),
        ("a small thing", thing(size=0.3), Transparency.OUTLINE),
        ("a thing that the lower border cuts", thing(y=330, size=1.6), Transparency.OUTLINE),
        ("a thing with its shadow", with_shadow(), Transparency.OUTLINE),
        ("a box that floats", box(150, 80, 420, 330), Transparency.OUTLINE),
        ("two things", np.maximum(thing(150), thing(450)), Transparency.OUTLINE),
        ("hard edges", (thing() > 100).astype(np.uint8) * 255, Transparency.OUTLINE),
        ("rounded corners", rounded(0, 24), Transparency.CARD),
        ("round as a stadium", rounded(0, 190), Transparency.CARD),
        ("a card with a small margin", rounded(10, 30), Transparency.CARD),
        ("padded left and right", box(120, 0, 480, HEIGHT), Transparency.CARD),
        ("padded above and below", box(0, 60, WIDTH, 340), Transparency.CARD),
        ("one half erased", box(300, 0, WIDTH, HEIGHT), Transparency.CARD),
        ("a hole", 255 - thing(), Transparency.UNCLEAR),
        ("a soft vignette", vignette(1), Transparency.UNCLEAR),
        ("half transparent everywhere", np.full((HEIGHT, WIDTH), 128, np.uint8), Transparency.UNCLEAR),
        ("nothing", clear(), Transparency.NOTHING),
        ("nearly nothing", np.full((HEIGHT, WIDTH), 9, np.uint8), Transparency.NOTHING),
    ],
)  # fmt: skip
def test_kinds_of_transparency_are_told_apart(name: str, alpha: AlphaChannel, kind: Transparency) -> None:
    assert read_transparency(alpha).kind is kind, name
    large = cv2.resize(alpha, None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR)
    assert read_transparency(large).kind is kind, f"{name}, large"


def test_a_turned_photo_and_an_oval_vignette_are_no_outlines() -> None:
    corners = cv2.boxPoints(((300, 200), (520, 330), 8)).round().astype(np.int32)
    turned = cv2.fillConvexPoly(clear(), corners, 255)

    assert read_transparency(turned).kind is Transparency.CARD
    assert read_transparency(vignette(6)).kind is not Transparency.OUTLINE


def test_box_and_share_are_the_pictures_own() -> None:
    given = read_transparency(box(150, 80, 420, 330))

    assert given.box_xywh == (150, 80, 270, 250)
    assert given.clear_share == pytest.approx(1 - 270 * 250 / (HEIGHT * WIDTH))


def shades() -> dict[str, RgbImage]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramp = np.repeat((x * 255 // WIDTH).astype(np.uint8)[..., None], 3, axis=2)
    rainbow = cv2.cvtColor(
        np.dstack([x * 179 // WIDTH, np.full_like(x, 220), np.full_like(x, 220)]).astype(np.uint8), cv2.COLOR_HSV2RGB
    )
    return {
        **{
            f"grey {level}": np.full((HEIGHT, WIDTH, 3), level, np.uint8)
            for level in (0, 40, 64, 118, 128, 132, 192, 255)
        },
        "green": np.full((HEIGHT, WIDTH, 3), (0, 160, 80), np.uint8),
        "ramp": ramp,
        "rainbow": rainbow,
        "ramp and rainbow": np.where((y < 200)[..., None], ramp, rainbow),
    }


@pytest.mark.parametrize("name", shades())
def test_the_ground_is_no_colour_of_the_subject(name: str) -> None:
    image = shades()[name]

    ground = ground_for(image, thing())

    inside = image[thing() > 200].astype(int)
    distance = np.sqrt(((inside - ground) ** 2).sum(axis=1))
    assert np.percentile(distance, 5) > 60


def test_clear_pixels_show_the_ground_and_opaque_ones_themselves() -> None:
    image = np.random.default_rng(1).integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    opacity = (thing() > 128).astype(np.uint8) * 255

    seen = on_ground(image, opacity)

    assert (seen[opacity == 0] == ground_for(image, opacity)).all()
    assert np.array_equal(seen[opacity == 255], image[opacity == 255])
