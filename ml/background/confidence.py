"""How far a matte can be trusted: the intersection over union that such maps have with the truth, on average."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import Matte

SIDE_PX = 160
"""The maps are compared at this size."""

WEIGHTS = (-0.05, 0.80, 0.13, 0.11)
"""Of a constant, the matte's own clearness, its agreement with the main network and with the second opinion."""

EMPTY_BELOW = 0.35
"""A map that is clear nowhere is a haze over everything (noise, plain texture)."""

LOW_BELOW = 0.7
"""The warning LOW_CONFIDENCE: on average, less than this much of the cut-out is right."""

MIN_SOLID_SHARE = 0.0005

OUTLINE_SIDE_PX = 320
BODY_PX = 9
"""Of the disc that a subject has room for somewhere, at `OUTLINE_SIDE_PX`: lines and letters have none."""

BODY_SHARE, LONG_OUTLINE = 0.2, 75.0
"""
A map with hardly any body and an outline of that many times the root of its area is what is written or laid all over a
picture: lines of text, the joints of bricks, the streets of a map. Of 150 photos (ECSSD, flat-lays, street photos, landscapes)
none has a body share under .66 or an outline over 25; pages have .0 to .13, and 86 to 154.
"""

THIN_OUTLINE = 50.0
"""From which on a map without a body is doubtful: a page on a dark screen has 69, the finest of 150 photos 25."""

UNSURE, RAGGED_OUTLINE = 0.5, 40.0
"""Such an outline, and no network sure of it: a form, a table, handwriting. A bicycle's outline is as long, but it is clear."""


def confidence_of(matte: Matte, main: Matte, second: Matte) -> float:
    """
    Estimate the intersection over union with the truth.

    Args:
        matte: (S, S) float32, 0..1: what will be cut out.
        main, second: (N, N), (M, M) float32, 0..1: what the two networks said.

    Returns:
        0..1.
    """
    size_wh = (SIDE_PX, SIDE_PX)
    decided, one, two = (np.clip(shrink_or_grow(m, size_wh), 0.0, 1.0) for m in (matte, main, second))
    parts = (1.0, clearness(decided), _overlap(decided, one), _overlap(decided, two))
    return float(np.clip(sum(w * p for w, p in zip(WEIGHTS, parts, strict=True)), 0.0, 1.0))


def clearness(matte: Matte) -> float:
    """Soft intersection over union of a map with its own 0.5 outline: 1 for a clear map, 0 where nothing passes 0.5."""
    within, of_it = cv2.sumElems(cv2.threshold(matte, 0.5, 0, cv2.THRESH_TOZERO)[1])[0], cv2.sumElems(matte)[0]
    return within / (_solid_pixels(matte) + of_it - within + 1e-6)


def looks_empty(matte: Matte) -> bool:
    """Is there nothing, or only a haze?"""
    return clearness(matte) < EMPTY_BELOW or _solid_pixels(matte) / matte.size < MIN_SOLID_SHARE


def _solid_pixels(matte: Matte) -> int:
    return cv2.countNonZero((matte > 0.5).view(np.uint8))


@dataclass(frozen=True, slots=True)
class Figure:
    """
    What kind of figure a map draws.

    Attributes:
        outline: its length by the root of the area.
        body: the share of the area where a disc finds room, 0..1.
    """

    outline: float
    body: float

    @property
    def is_thin(self) -> bool:
        """Is it all lines, as a page's is, or a bicycle's?"""
        return self.outline >= THIN_OUTLINE and self.body < BODY_SHARE

    def is_all_over(self, confidence: float) -> bool:
        """Is it a pattern that covers the picture, and no thing in it? `confidence` is that in the map, 0..1."""
        is_doubtful = self.outline >= RAGGED_OUTLINE and confidence < UNSURE
        return is_doubtful or (self.outline >= LONG_OUTLINE and self.body < BODY_SHARE)


def figure_of(matte: Matte) -> Figure:
    """Measure the figure of a (S, S) float32 map, 0..1: what would be cut out."""
    side = OUTLINE_SIDE_PX
    inside = np.greater(shrink_or_grow(matte, (side, side)), 0.5).view(np.uint8)
    area = cv2.countNonZero(inside)
    if not area:
        return Figure(0.0, 1.0)
    contours, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BODY_PX, BODY_PX))
    body = cv2.countNonZero(cv2.morphologyEx(inside, cv2.MORPH_OPEN, disc))
    return Figure(sum(len(contour) for contour in contours) / float(np.sqrt(area)), body / area)


def _overlap(one: Matte, other: Matte) -> float:
    return float(np.minimum(one, other).sum() / (np.maximum(one, other).sum() + 1e-6))
