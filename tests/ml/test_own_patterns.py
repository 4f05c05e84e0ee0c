"""What repeats is a mark where the photo goes on changing under it, and the picture's own where it does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.picture.types import Mask, Matte, RgbImage
from ml.watermark.finder import Sight
from ml.watermark.own_patterns import without_own_patterns
from ml.watermark.regions import Found, Region
from ml.watermark.search import find
from tests.ml.marked import blend, photo

HEIGHT, WIDTH = 360, 480


def words(step: int = 90) -> Matte:
    """(HEIGHT, WIDTH) float32: a word again and again."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    for top in range(40, HEIGHT, step):
        for left in range(10, WIDTH, step + 20):
            cv2.putText(drawn, "Kf", (left, top), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 3, cv2.LINE_AA)
    return drawn.astype(np.float32) / 255


def cloth() -> tuple[RgbImage, Mask]:
    """A printed cloth, lit from one side, with grain; and where its print is."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    printed = np.hypot(x % 48 - 24, y % 40 - 20) < 9
    light = np.linspace(150, 220, WIDTH)[None, :, None]
    flat = light * np.where(printed[..., None], [0.3, 0.4, 0.8], [1.0, 0.96, 0.9])
    grain = np.random.default_rng(1).normal(0, 4, flat.shape)
    return np.clip(flat + grain, 0, 255).astype(np.uint8), printed


def as_found(strokes: Mask) -> Found:
    return Found(Region((0, 0, WIDTH, HEIGHT), 0.9, "tiled"), strokes)


@pytest.mark.parametrize("opacity", [0.3, 0.9])
def test_a_mark_that_repeats_over_a_photo_stays_found(opacity: float) -> None:
    marked = blend(photo(2, height=HEIGHT, width=WIDTH), words(), opacity=opacity, colour=(255, 255, 255))
    found = [as_found(words() > 0.5)]

    assert without_own_patterns(found, marked, size_wh=(WIDTH, HEIGHT)) == found


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_cloths_print_is_no_mark(scale: float) -> None:
    picture, printed = cloth()
    picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)

    assert without_own_patterns([as_found(printed)], picture, size_wh=(WIDTH, HEIGHT)) == []


def test_a_stamp_on_a_cloth_is_found_beside_its_print() -> None:
    picture, printed = cloth()
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.putText(drawn, "SHOP", (300, 330), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 255, 5, cv2.LINE_AA)
    marked = blend(picture, drawn.astype(np.float32) / 255, opacity=0.9, colour=(20, 20, 20))
    stamp = Found(Region((0, 0, WIDTH, HEIGHT), 0.8, "text"), drawn > 127)

    assert without_own_patterns([as_found(printed), stamp], marked, size_wh=(WIDTH, HEIGHT)) == [stamp]


class SeesPrint:
    """A network that takes the print for a mark, and is sure of it."""

    device = "cpu"

    def __init__(self, printed: Mask) -> None:
        self._printed = printed.astype(np.float32)

    def look(self, image: RgbImage, *, most_pixels: int) -> Sight:
        return Sight(self._printed, self._printed, np.ones_like(self._printed))


class NeverAsked:
    """A repairer: there is nothing to repair."""


def test_a_cloth_is_left_alone_though_the_network_is_sure() -> None:
    picture, printed = cloth()

    assert find(SeesPrint(printed), NeverAsked(), picture, sensitivity=0.5) == []
