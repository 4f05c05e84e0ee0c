"""
Shadows for cut-outs: one on a wall behind the subject, and one on the ground that it stands on.

A shadow is soft, so it is drawn on a small copy and enlarged: the time does not depend on the picture's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.arrange import Margins
from ml.picture.types import AlphaChannel, BoxXywh

Floats = NDArray[np.float32]

SMALL_SIDE_PX = 512
"""Long side of the subject on the small copy."""

DROP_OFFSET_SHARE = 0.018
DROP_SOFTNESS_SHARE = 0.016
"""Of the square root of the box's area: the wall is near, the light comes from the upper left."""

FEET_SHARE = 0.12
CONTACT_SHARE = 0.06
"""How far above its lowest point, in its heights, a subject stands on the ground (far wheels, the other foot), and how far
it touches it."""

POOL_DEPTH_SHARE = 0.11
POOL_SOFTNESS_SHARE = 0.035
CONTACT_DEPTH_SHARE = 0.022
CONTACT_SOFTNESS_SHARE = 0.009
"""Of the width of what stands on the ground."""

POOL_STRENGTH, CONTACT_STRENGTH = 0.62, 1.6

LEAST_POOL_SOFTNESS_SHARE = 0.02
"""Of the square root of the box's area: a high subject on narrow feet stands in soft light too."""


def drop_shadow(alpha: AlphaChannel, box_xywh: BoxXywh, *, opacity: float) -> AlphaChannel:
    """
    Darken a wall close behind the subject.

    Args:
        alpha: (H, W) uint8, 0..255, the subject on its canvas.
        box_xywh: its box there.
        opacity: of the darkest place, 0..1.

    Returns:
        (H, W) uint8, 0..255: how dark.
    """
    small = _Small.of(alpha, box_xywh)
    offset, sigma = (share * small.unit_px for share in (DROP_OFFSET_SHARE, DROP_SOFTNESS_SHARE))
    height, width = small.alpha.shape
    shift = np.array([[1, 0, offset], [0, 1, offset * 1.4]], np.float64)
    moved = cv2.warpAffine(small.alpha, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(moved, (0, 0), max(sigma, 0.5), borderType=cv2.BORDER_REPLICATE)
    return _enlarge(np.asarray(soft, np.float32), alpha.shape, opacity)


def ground_shadow(alpha: AlphaChannel, box_xywh: BoxXywh, *, opacity: float) -> AlphaChannel:
    """
    Darken the ground under the subject: a wide soft pool, and a narrow dark line where it touches.

    Args, Returns: as of `drop_shadow`.
    """
    small = _Small.of(alpha, box_xywh)
    lowest = _lowest_rows(small.alpha)
    ground = float(lowest.max())
    columns = np.flatnonzero(lowest >= ground - FEET_SHARE * small.box_height)
    span = max(4.0, float(columns[-1] - columns[0] + 1))
    pool = _pool(small.alpha.shape, columns, lowest, depth=POOL_DEPTH_SHARE * span)
    pool = _blur(pool, max(1.0, POOL_SOFTNESS_SHARE * span, LEAST_POOL_SOFTNESS_SHARE * small.unit_px))
    touching = lowest >= ground - CONTACT_SHARE * small.box_height
    contact = _lines(small.alpha.shape, touching, lowest, depth=CONTACT_DEPTH_SHARE * span)
    contact = _blur(contact, max(0.7, CONTACT_SOFTNESS_SHARE * span))
    dark = 1 - (1 - POOL_STRENGTH * pool) * (1 - np.minimum(CONTACT_STRENGTH * contact, 1))
    return _enlarge(np.asarray(dark, np.float32), alpha.shape, opacity)


def room_for_drop(box_xywh: BoxXywh) -> Margins:
    """What a drop shadow needs around the subject's box, in pixels."""
    unit_px = (box_xywh[2] * box_xywh[3]) ** 0.5
    offset, reach = DROP_OFFSET_SHARE * unit_px, 2.5 * DROP_SOFTNESS_SHARE * unit_px
    near = max(0.0, reach - offset)
    return Margins(top=max(0.0, reach - 1.4 * offset), right=reach + offset, bottom=reach + 1.4 * offset, left=near)


def room_for_ground(box_xywh: BoxXywh) -> Margins:
    """What a ground shadow needs around the subject's box, in pixels."""
    unit_px = (box_xywh[2] * box_xywh[3]) ** 0.5
    reach = 2.5 * max(POOL_SOFTNESS_SHARE * box_xywh[2], LEAST_POOL_SOFTNESS_SHARE * unit_px)
    return Margins(right=reach, bottom=reach + POOL_DEPTH_SHARE * box_xywh[2] / 2, left=reach)


@dataclass(frozen=True, slots=True)
class _Small:
    """The canvas, scaled so that the subject's long side is SMALL_SIDE_PX at most: (h, w) float32, 0..1."""

    alpha: Floats
    box_height: float
    box_top: float
    unit_px: float

    @classmethod
    def of(cls, alpha: AlphaChannel, box_xywh: BoxXywh) -> _Small:
        _, top, width, height = box_xywh
        scale = min(1.0, SMALL_SIDE_PX / max(width, height))
        size_wh = max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale))
        small = cv2.resize(alpha, size_wh, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        return cls(np.asarray(small, np.float32), height * scale, top * scale, (width * height) ** 0.5 * scale)


def _lowest_rows(alpha: Floats) -> Floats:
    """(w,) float32: for each column its lowest visible row, -1 where there is none."""
    visible = alpha > 0.5
    lowest = alpha.shape[0] - 1 - np.argmax(visible[::-1], axis=0)
    return np.where(visible.any(axis=0), lowest, -1).astype(np.float32)


def _pool(shape_hw: tuple[int, ...], columns: NDArray[np.int_], lowest: Floats, *, depth: float) -> Floats:
    """An ellipse from the first foot to the last, as deep as they stand apart and `depth` more."""
    near, far = float(lowest[columns].max()), float(lowest[columns].min())
    middle = (float(columns[0] + columns[-1]) / 2, (near + far) / 2)
    axes = (float(columns[-1] - columns[0] + 1), near - far + depth)
    pool = np.zeros(shape_hw, np.float32)
    cv2.ellipse(pool, (middle, axes, 0.0), 1.0, cv2.FILLED)
    return pool


def _lines(shape_hw: tuple[int, ...], columns: NDArray[np.bool_], lowest: Floats, *, depth: float) -> Floats:
    """A line of this depth under the lowest row of each of the columns."""
    rows = np.arange(shape_hw[0], dtype=np.float32)[:, None]
    return np.asarray((np.abs(rows - lowest[None]) <= max(1.0, depth / 2)) & columns[None], np.float32)


def _blur(dark: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(dark, (0, 0), sigma), np.float32)


def _enlarge(dark: Floats, shape_hw: tuple[int, ...], opacity: float) -> AlphaChannel:
    small = np.clip(dark * (255 * opacity), 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(small, (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_CUBIC), np.uint8)
