"""
Tell a mark that comes again from a picture that does: cloth, walls, floors and screens repeat by themselves.

A mark is blended over a photo, which goes on changing under it; laid over each other, its cells leave what differs from
cell to cell. A pattern leaves next to nothing. So the steps are looked for in the photo itself, and what is found where its
cells explain its pixels is no mark.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import RgbImage
from ml.watermark.regions import Found
from ml.watermark.repetition import find_lattice, seen_together

EXPLAINED = 0.8
"""Of the variance around a mark's strokes: from which share on it is the picture's own. Measured on validation: of 70 photos
with tiled marks the cells explain .76 at most (opaque letters on an even ground), of flat drawn patterns .85 to 1."""

PARTLY = 0.4
"""The share that is enough where the whole picture is its own repetition: captions differ from cell to cell."""

AROUND_PX = 9
LIGHT_SHARE = 0.06
"""Of the long side: the sigma of what is taken off as light and shade before steps are looked for."""

SWING_LEVELS = 64.0

FEWEST_CELLS = 8
"""In the photo: of fewer, each explains itself too well."""

Floats = NDArray[np.float32]


def without_own_patterns(found: list[Found], photo: RgbImage, *, size_wh: tuple[int, int]) -> list[Found]:
    """
    Leave out what is the picture's own pattern.

    Args:
        found: marks whose boxes are in pixels of a map of `size_wh`.
        photo: (H, W, 3) uint8: what the map was made of, at any size.
    """
    if not found:
        return found
    pixels = shrink_or_grow(photo, size_wh).astype(np.float32)
    shares = _explained(pixels)
    if shares is None:
        return found
    before, after = shares
    is_repetition = after.sum() <= (1 - EXPLAINED) * before.sum()
    least = PARTLY if is_repetition else EXPLAINED
    return [mark for mark in found if _explained_near(mark, before, after) < least]


def _explained_near(mark: Found, before: Floats, after: Floats) -> float:
    x, y, width, height = mark.region.bbox_xywh
    top, left = max(0, y - AROUND_PX), max(0, x - AROUND_PX)
    part = slice(top, y + height + AROUND_PX), slice(left, x + width + AROUND_PX)
    strokes = np.zeros(before[part].shape, np.uint8)
    strokes[y - top : y - top + height, x - left : x - left + width] = mark.strokes
    near = cv2.dilate(strokes, np.ones((AROUND_PX, AROUND_PX), np.uint8)) > 0
    return 1 - float(after[part][near].sum()) / max(1.0, float(before[part][near].sum()))


def _explained(pixels: Floats) -> tuple[Floats, Floats] | None:
    """(H, W) each: the photo's squared swing around its local mean, and what its cells leave of it; None without steps."""
    swing = _swing(pixels, LIGHT_SHARE * max(pixels.shape[:2]))
    grey = np.clip(swing.mean(2) / (2 * SWING_LEVELS) + 0.5, 0, 1)
    lattice = find_lattice(np.asarray(grey, np.float32))
    if lattice is None or grey.size < FEWEST_CELLS * lattice.cell_px:
        return None
    swing = _swing(pixels, max(3.0, 0.5 * float(np.sqrt(lattice.cell_px))))
    left = swing - seen_together(swing, lattice)
    return np.asarray((swing**2).sum(2), np.float32), np.asarray((left**2).sum(2), np.float32)


def _swing(pixels: Floats, sigma_px: float) -> Floats:
    return np.asarray(pixels - cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.float32)
