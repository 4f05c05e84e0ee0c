"""
Repair a photo by the maps of the repairing network: un-blend where the photo shines through, paint where it doesn't.

The maps are smooth and may come from a smaller copy; the un-blending happens in the photo's own pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from ml.models.repair import RepairMaps
from ml.types import Mask, Matte, RgbImage

LEAST_LEFT = 0.1
"""Of the photo: where less shines through, un-blending counts as if so much did."""

REACH_FROM, REACH_PX = 0.1, 4
"""The mask's value that counts, and how far beyond it something may be changed."""

SEEN_LEVELS = 2.0
"""A change of fewer levels is none."""


def within_reach(mask: Matte) -> Mask:
    """(H, W) bool: what may be changed for the sake of a mask."""
    near = cv2.dilate((mask > REACH_FROM).astype(np.uint8), np.ones((2 * REACH_PX + 1,) * 2, np.uint8))
    return near > 0


def changed_by(image: RgbImage, mask: Matte, maps: RepairMaps) -> Mask:
    """(H, W) bool: what is changed indeed, and a pixel around it."""
    difference = cv2.absdiff(image, repaired(image, maps)).max(2) >= SEEN_LEVELS
    return (cv2.dilate(difference.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & within_reach(mask)


def repaired(image: RgbImage, maps: RepairMaps) -> RgbImage:
    """
    The photo by the maps, as if everything were within reach.

    Args:
        image: (H, W, 3) uint8; the maps have its size.
    """
    alpha, trust = maps.blend[..., 3:], maps.paint[..., 3:]
    pixels = image.astype(np.float32) / 255
    unblended = (pixels - alpha * maps.blend[..., :3]) / np.maximum(1 - alpha, LEAST_LEFT)
    restored = trust * unblended + (1 - trust) * maps.paint[..., :3]
    return np.asarray(np.clip(255 * restored + 0.5, 0, 255), np.uint8)
