"""
Where the judge and the main network agree, the main network's fine detail; where they do not, the judge.

IS-Net draws strands and spokes on a grid of 1024 but may miss the object or keep the wrong one; the judge knows what
to keep, on a grid of 320. Its edges are brought to the finer grid by the photo itself (guided filter: K. He, J. Sun,
X. Tang, "Guided Image Filtering", TPAMI 2013).
"""

from __future__ import annotations

from collections.abc import Iterator

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
REACH_OF_GUIDE_PX = 2 * GUIDE_RADIUS_PX
"""From so far away the photo has a say in a pixel."""

TILE_PX = 192
FLAT = 1 / 512
"""Of a map's range: half a level of the alpha that it ends as."""


def fuse(main: Matte, judged: Matte, square: RgbImage, *, coarse: Matte | None = None) -> Matte:
    """
    Combine the two maps.

    Args:
        main: (S, S) float32, 0..1: the main network's map.
        judged: (J, J) float32, 0..1: the judge's, J at most S.
        square: (S, S, 3) uint8, sRGB: the photo squeezed to the same square.
        coarse: `main` at the judge's size, for who has it already.

    Returns:
        (S, S) float32, 0..1.
    """
    side = main.shape[0]
    if coarse is None:
        coarse = shrink_or_grow(main, judged.shape[::-1])
    weight = _disagreement(coarse, judged)
    if not weight.any():
        return main
    weight = resize_matte(weight, (side, side))
    drawn = resize_matte(judged, (side, side))
    fused = main.copy()
    for rows, columns in _tiles(weight):
        top, left = max(0, rows.start - REACH_OF_GUIDE_PX), max(0, columns.start - REACH_OF_GUIDE_PX)
        around = slice(top, rows.stop + REACH_OF_GUIDE_PX), slice(left, columns.stop + REACH_OF_GUIDE_PX)
        edges = drawn[around]
        if np.ptp(edges) > FLAT:  # else there is no edge to bring anywhere
            edges = sharpen(edges, square[around])
        part = fused[rows, columns]
        judges = edges[rows.start - top :, columns.start - left :][: part.shape[0], : part.shape[1]]
        part += weight[rows, columns] * (judges - part)
        np.clip(part, 0.0, 1.0, out=part)
    return fused


def _tiles(weight: NDArray[np.float32]) -> Iterator[tuple[slice, slice]]:
    """Yield the box around what counts in each tile that has some: seldom is it much of the picture."""
    for top in range(0, weight.shape[0], TILE_PX):
        for left in range(0, weight.shape[1], TILE_PX):
            counts = (weight[top : top + TILE_PX, left : left + TILE_PX] > 0).view(np.uint8)
            x, y, width, height = cv2.boundingRect(counts)
            if width:
                yield slice(top + y, top + y + height), slice(left + x, left + x + width)


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
