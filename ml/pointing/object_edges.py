"""
The soft edge of an object whose mask is coarse: from a background network's matte where it has an edge, else from the photo.

A mask of SAM is drawn on a grid of 256 and its edge is off by some pixels of 1024, so only a band around it is undecided.
Inside the band a matte counts where it is solid on the object's side and clear on the other: there it knows hair and
holes. Where it is not (the object is no subject of its own, or stands against another), the mask's edge is drawn to the
photo's edges by a guided filter (K. He, J. Sun, X. Tang, "Guided Image Filtering", ECCV 2010).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import require_alpha, require_rgb
from ml.picture.types import AlphaChannel, Mask, RgbImage

Floats = NDArray[np.float32]

BAND_SHARE = 5 / 1024
"""Of the long side: how far SAM's edge may be off, to either side."""

HAIR_SHARE = 16 / 1024
"""How far beyond SAM's edge the matte's wisps may reach."""

GUIDE_EPS = (0.02 * 255) ** 2
"""Of the guided filter, in squared levels: smaller steps than this in the photo are no edge."""

AGREES_FROM, AGREES_FULLY = 0.5, 0.8
"""The matte's drop from inside to outside, between not trusted and trusted."""


def soften(image: RgbImage, mask: Mask, matte: AlphaChannel) -> AlphaChannel:
    """
    Give a mask the edge that the object has.

    Args:
        image: (H, W, 3) uint8, sRGB, 0..255.
        mask: (H, W) bool: the object, its edge off by up to BAND_SHARE.
        matte: (H, W) uint8, 0..255: what a background network takes for the photo's subject, whatever that is.

    Returns:
        (H, W) uint8, 0..255: 255 well inside, 0 well outside.

    Raises:
        ShapeError: the three do not fit.
    """
    height, width = require_rgb(image).shape[:2]
    require_alpha(matte, (height, width))
    out = np.zeros((height, width), np.uint8)
    left, top, box_width, box_height = cv2.boundingRect(mask.view(np.uint8))
    if not box_width:
        return out
    band_px, hair_px = (max(2, round(share * max(height, width))) for share in (BAND_SHARE, HAIR_SHARE))
    reach = 3 * hair_px
    around = (
        slice(max(0, top - reach), top + box_height + reach),
        slice(max(0, left - reach), left + box_width + reach),
    )
    out[around] = _soften(image[around], mask[around], matte[around], band_px, hair_px)
    return out


def _soften(image: RgbImage, mask: Mask, matte: AlphaChannel, band_px: int, hair_px: int) -> AlphaChannel:
    solid = mask.view(np.uint8)
    core = _eroded(solid, band_px)
    near, far = _dilated(solid, band_px), _dilated(solid, hair_px)
    guided = _guided(image, solid, band_px)
    guided = np.where(core > 0, np.float32(1), np.where(near > 0, guided, np.float32(0)))
    soft: Floats = np.asarray(matte / np.float32(255), np.float32)
    inside = _mean_where(soft, core if core.any() else solid, 2 * hair_px)
    # Both reach across the whole band: what has neither side near it is never trusted.
    outside = _mean_where(soft, 1 - far, 2 * hair_px)
    trust = np.clip((inside - outside - AGREES_FROM) / (AGREES_FULLY - AGREES_FROM), 0, 1)
    known = np.where(core > 0, np.float32(1), np.where(far > 0, soft, np.float32(0)))
    alpha = guided + trust * (known - guided)
    return np.asarray(np.round(alpha * 255), np.uint8)


def _guided(image: RgbImage, solid: NDArray[np.uint8], radius_px: int) -> Floats:
    filtered: Any = cv2.ximgproc.guidedFilter(image, np.asarray(solid, np.float32), radius_px, GUIDE_EPS, scale=0.5)
    return np.asarray(np.clip((filtered - 0.1) / 0.8, 0, 1), np.float32)  # its tails are a veil


def _mean_where(values: Floats, where: NDArray[np.uint8], radius_px: int) -> Floats:
    """The mean of the values around each pixel, of those alone that count; 0 where none does."""
    size = (2 * radius_px + 1,) * 2
    weight = np.asarray(where, np.float32)
    total = cv2.blur(values * weight, size, borderType=cv2.BORDER_CONSTANT)
    count = cv2.blur(weight, size, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total / np.maximum(count, 1e-6), np.float32)


def _disc(radius_px: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2), np.uint8)


def _eroded(solid: NDArray[np.uint8], radius_px: int) -> NDArray[np.uint8]:
    """The picture's border is no edge of the object."""
    return np.asarray(cv2.erode(solid, _disc(radius_px), borderValue=1), np.uint8)


def _dilated(solid: NDArray[np.uint8], radius_px: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.dilate(solid, _disc(radius_px)), np.uint8)
