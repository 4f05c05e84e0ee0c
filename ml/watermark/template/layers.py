"""
Marks of two inks: what a shadow, an outline or a box under the strokes does, learned from what one ink leaves in all pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ml.picture.types import Mask, Matte
from ml.watermark.unblending import Around, Pixels, look_around, shape_of, take_off

UNDER_REACH_PX = 8
"""How far beyond the strokes something may lie under them."""

MOST_NEAR = 0.7
"""Of the picture: where strokes and their surroundings take more, nothing is left to compare with."""

SURE, FEWEST_PX = 2.0, 60
"""What is left alike in all pictures but one, by so many standard errors, in so many pixels, is something."""

AS_LITTLE = 0.93
"""Of what was left before: a second ink must leave less than that."""

ROUNDS = 2

Layer = tuple[Matte, Pixels]
"""What a mark does: (H, W) float32 alpha, 0..1, and (H, W, 3) float32 premultiplied colour, 0..255."""

LearnOne = Callable[[Sequence[Pixels], Matte], Layer | None]
"""Learns one ink from pictures and a first idea of where it is, (H, W) float32, 0..1."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """The pictures, where a mark or what lies under it may be, and what each would be there without."""

    pixels: Sequence[Pixels]
    near: Mask
    arounds: Sequence[Around]

    def left_by(self, layer: Layer) -> float:
        """How far the pictures are off their surroundings without the layer: mean square, in standard deviations."""
        each = zip(without(self.pixels, layer), self.arounds, strict=True)
        return float(np.mean([(((p - a.fill) ** 2).mean(2) / a.variance)[self.near].mean() for p, a in each]))


def with_what_lies_under(pixels: Sequence[Pixels], strokes: Layer, learn: LearnOne) -> Layer:
    """
    Learn what lies under the strokes, if anything does, and the strokes again without it, twice where that helps.

    Args:
        pixels: the pictures, (H, W, 3) float32, 0..255.
        strokes: what was learned of them with one ink.

    Returns:
        The layer that leaves least of a mark in the pictures: `strokes` itself, or one of two inks.
    """
    alpha = strokes[0]
    side = 2 * UNDER_REACH_PX + 1
    near = cv2.dilate((alpha > 0.1 * alpha.max()).astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    if near.mean() > MOST_NEAR:
        return strokes
    cleared = without(pixels, strokes)
    scene = _Scene(pixels, near, [look_around(picture, near.astype(np.float32)) for picture in cleared])
    shape = _left_alike(cleared, scene)
    best, least = strokes, scene.left_by(strokes)
    for _ in range(ROUNDS):
        under = learn(without(pixels, strokes), shape) if shape.any() else None
        if under is None:
            break
        under = under[0] * near, under[1] * near[..., None]
        again = learn(without(pixels, under), shape_of(strokes[0]))
        tried = [_over(layer, under) for layer in (strokes, again) if layer is not None]
        left, layer = min(((scene.left_by(layer), layer) for layer in tried), key=lambda pair: pair[0])
        if left > AS_LITTLE * least:
            break
        best, least = layer, left
        if again is None:
            break
        strokes, shape = again, shape_of(under[0])
    return best


def without(pixels: Sequence[Pixels], layer: Layer) -> list[Pixels]:
    """The pictures with a layer taken off: (H, W, 3) float32, 0..255."""
    return [take_off(picture, *layer) for picture in pixels]


def _over(strokes: Layer, under: Layer) -> Layer:
    alpha = 1 - (1 - strokes[0]) * (1 - under[0])
    ink = under[1] * (1 - strokes[0])[..., None] + strokes[1]
    return alpha.astype(np.float32), ink.astype(np.float32)


def _left_alike(cleared: Sequence[Pixels], scene: _Scene) -> Matte:
    """(H, W) float32, 0 or 1: where all pictures but one are darker than their surroundings, or lighter, whichever is more."""
    off = np.stack([(p - a.fill).mean(2) for p, a in zip(cleared, scene.arounds, strict=True)])
    weight = np.stack([1 / a.variance for a in scene.arounds])
    sure = cv2.GaussianBlur(((off * weight).sum(0) / np.sqrt(weight.sum(0))).astype(np.float32), (0, 0), 1.0)
    found = []
    for sign in (-1, 1):
        is_alike = (np.sign(off) == sign).sum(0) >= len(off) - 1
        there = ((sign * sure > SURE) & is_alike & scene.near).astype(np.uint8)
        found.append(cv2.morphologyEx(there, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)))
    most = max(found, key=np.count_nonzero)
    return most.astype(np.float32) * (np.count_nonzero(most) > FEWEST_PX)
