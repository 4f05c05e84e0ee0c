"""
Fill holes from what is around them.

`smooth_fill` is the guess that un-blending measures against: each hole pixel takes a mean of clean pixels, the nearer
the heavier, from a pyramid (S. Gortler et al., "The Lumigraph", SIGGRAPH 1996, pull-push), in a time that does not
depend on the hole's size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.types import Mask, RgbImage

Pixels = NDArray[np.float32]


def smooth_fill(pixels: Pixels, is_clean: Mask) -> Pixels:
    """
    Fill smoothly.

    Args:
        pixels: (H, W, C) float32.
        is_clean: (H, W) bool: what is kept. Where nothing is clean, the result is 0.

    Returns:
        (H, W, C) float32: `pixels` where they are clean, else the fill.
    """
    filled, _ = _pull_push(pixels, is_clean.astype(np.float32))
    return np.where(is_clean[..., None], pixels, filled)


def _pull_push(pixels: Pixels, weight: NDArray[np.float32]) -> tuple[Pixels, NDArray[np.float32]]:
    height, width = weight.shape
    if min(height, width) <= 2 or weight.min() >= 1:
        share = weight.sum()
        mean = (pixels * weight[..., None]).sum((0, 1)) / max(share, 1e-6)
        lacking = (1 - np.minimum(weight, 1))[..., None]
        return np.asarray(pixels * (1 - lacking) + mean * lacking, np.float32), weight
    half_wh = (width + 1) // 2, (height + 1) // 2
    half_weight = _half(weight, half_wh)
    mean = _half(pixels * weight[..., None], half_wh).reshape(*half_weight.shape, -1)
    half = np.asarray(mean / np.maximum(half_weight, 1e-6)[..., None], np.float32)
    coarse, _ = _pull_push(half, np.minimum(half_weight * 2, 1))
    up = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(pixels.shape)
    kept = weight[..., None]
    return np.asarray(pixels * kept + up * (1 - kept), np.float32), weight


def _half(pixels: NDArray[np.float32], half_wh: tuple[int, int]) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(pixels, (5, 5), 1.0, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(blurred, half_wh, interpolation=cv2.INTER_LINEAR), np.float32)


RADIUS_PX = 3


def inpaint(image: RgbImage, hole: Mask) -> RgbImage:
    """
    Fill a hole so that it is seen as little as may be: the mean of the smooth fill and of one that carries edges inward
    (M. Bertalmio et al., "Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting", CVPR 2001).

    Args:
        image: (H, W, 3) uint8, 0..255.
        hole: (H, W) bool.

    Returns:
        (H, W, 3) uint8; outside of the hole it is the input.
    """
    if not hole.any() or hole.all():
        return image
    smooth = smooth_fill(image.astype(np.float32), ~hole)
    carried = cv2.inpaint(image, hole.astype(np.uint8), RADIUS_PX, cv2.INPAINT_NS)
    mean = np.asarray(cv2.addWeighted(smooth, 0.5, carried.astype(np.float32), 0.5, 0.5))
    return np.where(hole[..., None], np.clip(mean, 0, 255).astype(np.uint8), image)
