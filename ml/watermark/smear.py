"""
What a smear mask asks for.

Strokes may have any colour but pure black and pure white; those two mean "unchanged". Masks come as JPEG too, where
pure black and white carry noise and strokes ring, so "pure" has a tolerance; only a dense dark or pale patch, which
noise never makes, counts as a stroke inside of it. A brush that lets the photo shine through counts in its own colour.
"""

from __future__ import annotations

import cv2
import numpy as np

from ml.errors import SmearEmptyError, SmearSizeError, SmearTooLargeError
from ml.picture.transforms import require_alpha, require_rgb
from ml.picture.types import AlphaChannel, Mask, RgbImage

TOLERANCE = 32
"""Levels from pure black or white. A red stroke on black rings by 25 levels at JPEG quality 60."""

DENSE_TOLERANCE, DENSE_SIDE_PX = 4, 7
"""Flat black may come back as (2, 2, 2) from JPEG. Ringing exceeds that, but never over a whole 7x7 patch."""

SPECK_PX = 6
"""Connected pixels below which it is noise, not a stroke."""

MOST_COVERED = 0.6

STROKE_FROM_ALPHA = 26
"""A tenth of full opacity: brushes that show the photo under them are set to a quarter or a half, rarely to less."""


def read_smear(image: RgbImage, *, size_wh: tuple[int, int], opacity: AlphaChannel | None = None) -> Mask:
    """
    Read the strokes of a smear mask.

    Args:
        image: (H, W, 3) uint8, sRGB, 0..255: the mask as it was sent.
        size_wh: the photo's width and height in pixels.
        opacity: (H, W) uint8, 0..255: its alpha channel, if it has one. A stroke counts from `STROKE_FROM_ALPHA` on; the
            colours below are whatever the file holds.

    Returns:
        (H, W) bool: what shall be restored.

    Raises:
        ShapeError: `image` is not (H, W, 3) uint8, or `opacity` has another size.
        SmearSizeError: it is not of the photo's size.
        SmearEmptyError: it holds no stroke.
        SmearTooLargeError: strokes cover more than `MOST_COVERED` of it.
    """
    height, width = require_rgb(image).shape[:2]
    if (width, height) != size_wh:
        raise SmearSizeError(
            f"The smear mask is {width}x{height} px, the image is {size_wh[0]}x{size_wh[1]} px; send them at the same size."
        )
    if opacity is not None:
        is_seen = np.greater_equal(require_alpha(opacity, (height, width)), STROKE_FROM_ALPHA).view(np.uint8)
        image = np.asarray(cv2.copyTo(image, is_seen), np.uint8)
    strokes = _without_specks(_strokes(image))
    covered = cv2.countNonZero(strokes) / strokes.size
    if covered == 0:
        raise SmearEmptyError(
            "The smear mask has no stroke: paint over the watermark in any colour but pure black and pure white."
        )
    if covered > MOST_COVERED:
        raise SmearTooLargeError(
            f"The smear mask covers {covered:.0%} of the image; at most {MOST_COVERED:.0%} can be restored from the rest."
        )
    return strokes.astype(bool)


def _strokes(image: RgbImage) -> np.ndarray:
    """(H, W) uint8, 0 or 1."""
    red, green, blue = cv2.split(image)
    highest, lowest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    from_pure = cv2.min(highest, cv2.bitwise_not(lowest))
    clear = (np.asarray(from_pure) > TOLERANCE).astype(np.uint8)
    kernel = np.ones((DENSE_SIDE_PX, DENSE_SIDE_PX), np.uint8)
    dense = cv2.morphologyEx((np.asarray(from_pure) > DENSE_TOLERANCE).astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return clear | np.asarray(dense, np.uint8)


def _without_specks(strokes: np.ndarray) -> np.ndarray:
    _, labels, facts, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    is_kept = facts[:, cv2.CC_STAT_AREA] >= SPECK_PX
    is_kept[0] = False
    return np.asarray(is_kept[labels], np.uint8)
