"""
Is what a network found a part of a page? A thing ends at the map's border; a page goes on beyond it.

Print, screens, receipts, codes and tables: networks lay a veil over some of it. The paper beside that veil's border is the
paper within, to a few levels of 255, and the writing stops nowhere near it. A printed thing (a box, a book, a sheet on a
table) has another colour outside of its border, however pale it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.background.writing import has_dark_ground, written_on_ground, written_on_paper
from ml.picture.transforms import shrink_or_grow
from ml.picture.types import AlphaChannel, Matte, RgbImage

SIDE_PX = 512
"""Borders are looked at on a square of this size."""

NEAR_PX = 25
"""The paper beside a point of the border: the lightest within half of it, so that no print is in the way."""

GAP_PX = 3
"""Left out on both sides of the border: a network's edge is that far off."""

FRAME_PX = 8
"""Nothing is known about a border that is the picture's own."""

SAME_LEVELS = 6
"""Of 255: two papers are one where they differ by no more. A white box on white paper differs by 7 to 12 along most of it."""

MIN_POINTS = 20

PAGE_GOES_ON, PAGE_WRITTEN_IN = 0.6, 0.4
"""
A page: of the border, of what the map keeps. Of 229 photos and 66 printed things none goes on at more than .42 of its border
where a seventh of it is written, and of 1181 photos with their true outlines none is a page: neither exactly, nor with the
outline 8 px further out, nor as coarse as 32 x 32. At 20 px further out 5 in 100 are. Pages go on at .6 to 1.
"""

WRITTEN_OUT = 0.05
"""Of what the map drops: on pages .10 and more; beside a white box on white .01, whose border can't be told from paper."""

DOUBTFUL_GOES_ON, DOUBTFUL_WRITTEN_IN = 0.55, 0.45
"""With paper looked for twice as far, where codes have it: of QR and bar codes .60 to .97, of photos .49 at most."""

RAGGED_WRITTEN = 16.0
"""
The map's outline (`ml.background.confidence.Figure`) times the share that is written: codes, tables and screens have 19 and
more, photos 13 at most, but for one that is doubtful anyway. With true outlines 3 of 1181 photos (kites, a plant) have 20.
"""

DOUBTFUL_ON_GROUND = (0.45, 0.1)
"""Written on the picture's own flat ground, within and without: dark screens have .48 to .56 and .13, one photo in 1181 both."""


class Page(Enum):
    """What a map shows."""

    NO = "no"
    DOUBTFUL = "doubtful"
    YES = "yes"


@dataclass(frozen=True)
class Border:
    """The share of a map's border beyond which the paper goes on, 0..1: near, and looked at from twice as far."""

    near: float
    far: float


def judge_page(square: RgbImage, matte: Matte, *, outline: float) -> Page:
    """
    Say whether a map is a veil over a part of a page.

    Args:
        square: (1024, 1024, 3) uint8, sRGB: the photo squeezed to a square.
        matte: (1024, 1024) float32, 0..1: what would be cut out, not nothing.
        outline: the map's (`ml.background.confidence.Figure`).
    """
    written_in, written_out = written_on_paper(square, matte)
    if written_in < PAGE_WRITTEN_IN:
        return Page.NO
    border = read_border(square, matte)
    is_written_around = written_out >= WRITTEN_OUT
    if border.near >= PAGE_GOES_ON and is_written_around:
        return Page.YES
    is_code = written_in >= DOUBTFUL_WRITTEN_IN and border.far >= DOUBTFUL_GOES_ON and is_written_around
    is_ragged = written_in * outline >= RAGGED_WRITTEN
    if is_code or is_ragged:
        return Page.DOUBTFUL
    inside, outside = written_on_ground(square, matte)
    is_screen = inside >= DOUBTFUL_ON_GROUND[0] and outside >= DOUBTFUL_ON_GROUND[1]
    return Page.DOUBTFUL if is_screen else Page.NO


def read_border(square: RgbImage, matte: Matte) -> Border:
    """
    Compare the paper on both sides of a map's border.

    A map's holes count as its own: a veil inside of a real sheet must not make a page of the sheet.

    Args:
        square: (S, S, 3) uint8, sRGB.
        matte: (S, S) float32, 0..1.
    """
    inside = _filled(matte)
    edge = np.asarray(cv2.dilate(inside, np.ones((3, 3), np.uint8)), np.uint8) - inside
    edge[:FRAME_PX] = edge[-FRAME_PX:] = edge[:, :FRAME_PX] = edge[:, -FRAME_PX:] = 0
    points = np.flatnonzero(edge)
    if len(points) < MIN_POINTS:
        return Border(0.0, 0.0)
    light = _light_paper(square)
    gap = np.ones((2 * GAP_PX + 1,) * 2, np.uint8)
    sides = cv2.erode(inside, gap), cv2.bitwise_not(cv2.dilate(inside, gap))
    lightest, shares = [cv2.merge([cv2.bitwise_and(light, light, mask=side), side]) for side in sides], []
    for _ in ("near", "far"):
        lightest = [cv2.dilate(side, np.ones((NEAR_PX, NEAR_PX), np.uint8)) for side in lightest]
        shares.append(_same(*(np.asarray(side, np.uint8).reshape(-1, 4)[points] for side in lightest)))
    return Border(*shares)


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Of the points, (N, 4) uint8: red, green, blue, is there anything: the share where both sides are of one colour."""
    both = (one[:, 3] > 0) & (other[:, 3] > 0)
    if not both.any():
        return 0.0
    off = np.abs(one[both, :3].astype(np.int16) - other[both, :3]).mean(axis=1)
    return float((off <= SAME_LEVELS).mean())


def _filled(matte: Matte) -> AlphaChannel:
    """(SIDE_PX, SIDE_PX) uint8, 0 or 255: the map without its holes."""
    solid = np.greater(shrink_or_grow(matte, (SIDE_PX, SIDE_PX)), 0.5).view(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(solid)
    cv2.drawContours(filled, contours, -1, 255, cv2.FILLED)
    return filled


def _light_paper(square: RgbImage) -> RgbImage:
    """(SIDE_PX, SIDE_PX, 3) uint8: smoothed against JPEG noise, and a negative where the ground is dark."""
    small = cv2.blur(cv2.medianBlur(shrink_or_grow(square, (SIDE_PX, SIDE_PX)), 3), (3, 3))
    grey = np.asarray(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY), np.uint8)
    light = np.asarray(small, np.uint8)
    return ~light if has_dark_ground(grey) else light
