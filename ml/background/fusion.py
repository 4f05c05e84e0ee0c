"""
Where the judge and the main network agree, the main network's fine detail; where they do not, the judge.

IS-Net draws strands and spokes on a grid of 1024 but may miss the object or keep the wrong one; the judge knows what
to keep, on a grid of 320. Its edges are brought to the finer grid by the photo itself (guided filter: K. He, J. Sun,
X. Tang, "Guided Image Filtering", TPAMI 2013).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import resize_matte, shrink_or_grow
from ml.picture.types import Matte, RgbImage

AGREE_BELOW, DISAGREE_FROM = 0.15, 0.45
"""Difference of the two maps, averaged over a small window, at which the judge begins to count and wins."""

WINDOW_PX = 5
"""Of that average, on the judge's grid: wider than the difference that two drawings of one edge make."""

REACH_PX = 7
"""How far around a disagreement the judge's edge is taken too."""

GUIDE_RADIUS_PX = 10
GUIDE_EPS = 1e-3


def fuse(main: Matte, judged: Matte, square: RgbImage) -> Matte:
    """
    Combine the two maps.

    Args:
        main: (S, S) float32, 0..1: the main network's map.
        judged: (J, J) float32, 0..1: the judge's, J at most S.
        square: (S, S, 3) uint8, sRGB: the photo squeezed to the same square.

    Returns:
        (S, S) float32, 0..1.
    """
    side = main.shape[0]
    weight = _disagreement(shrink_or_grow(main, (judged.shape[1], judged.shape[0])), judged)
    if not weight.any():
        return main
    weight = resize_matte(weight, (side, side))
    left, top, width, height = cv2.boundingRect((weight > 0).view(np.uint8))
    reach_px = 2 * GUIDE_RADIUS_PX
    around = (
        slice(max(0, top - reach_px), top + height + reach_px),
        slice(max(0, left - reach_px), left + width + reach_px),
    )
    drawn = sharpen(resize_matte(judged, (side, side))[around], square[around])
    fused = main.copy()
    fused[around] += weight[around] * (drawn - main[around])
    return np.clip(fused, 0.0, 1.0)


def sharpen(matte: Matte, guide: RgbImage) -> Matte:
    """
    Bring a soft matte's edges to where the photo has edges.

    Args:
        matte: (H, W) float32, 0..1.
        guide: (H, W, 3) uint8.

    Returns:
        (H, W) float32, 0..1.
    """
    filtered = cv2.ximgproc.guidedFilter(
        np.ascontiguousarray(guide), np.ascontiguousarray(matte), GUIDE_RADIUS_PX, GUIDE_EPS * 255**2
    )
    return np.clip(filtered, 0.0, 1.0)


def _disagreement(main: Matte, judged: Matte) -> NDArray[np.float32]:
    difference = np.abs(cv2.blur(judged - main, (WINDOW_PX, WINDOW_PX)))
    spread = cv2.dilate(difference, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH_PX + 1,) * 2))
    ramp = np.clip((spread - AGREE_BELOW) / (DISAGREE_FROM - AGREE_BELOW), 0.0, 1.0)
    return np.asarray(cv2.blur(ramp, (WINDOW_PX, WINDOW_PX)), np.float32)
