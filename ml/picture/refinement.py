"""
The edge at the photo's own resolution.

Networks draw on a grid of 1024; enlarged to 12 MP their edge is four pixels of blur beside the true one. In tiles that
hold soft pixels, and there alone, a guided filter (K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013) brings
the matte's edge to where the photo's is. Solid and clear pixels stay what they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ml.picture.tiles import for_each_tile
from ml.picture.transforms import require_alpha, require_rgb
from ml.picture.types import AlphaChannel, RgbImage

logger = logging.getLogger(__name__)

RADIUS_SHARE = 4 / 1024
"""Of the filter's window, of the photo's long side: as wide as a soft edge of the networks. Wider ones leak."""

MIN_RADIUS_PX = 2
EPS = 1e-4 * 255**2
"""Variance (levels squared) under which the photo counts as smooth: below it the matte is only averaged."""

MIN_SIDE_PX = 256
"""In smaller photos the networks' edge is a fraction of a pixel wide already."""

CRISP_RADIUS_SHARE = 2 / 1024

TILE_PX, LARGEST_TILE_PX = 128, 384
"""At least twenty times the window's radius, up to the latter: else most of the work is what lies around a tile."""

MAX_TILE_PIXELS = 24_000_000
"""Pixels that are filtered at most (about two seconds of one core); what is beyond keeps the enlarged edge."""

FULL_RADIUS_PX = 12
"""Wider windows are computed on a smaller copy (the fast guided filter); the result is the same to the eye."""

CLEAR_UNTO, SOLID_FROM = 6.0, 249.0


def refine_edges(image: RgbImage, alpha: AlphaChannel, *, is_crisp: bool = False) -> AlphaChannel:
    """
    Bring the soft edges of a matte to the photo's edges.

    Args:
        image: (H, W, 3) uint8, sRGB, 0..255.
        alpha: (H, W) uint8, 0..255: the matte, enlarged to the photo's size.
        is_crisp: edges of a hard thing: a narrower window.

    Returns:
        (H, W) uint8, 0..255. Pixels of alpha 0 and 255 are the input's. The input itself where nothing is soft, or
        where OpenCV cannot filter it (said in the log): a coarser edge is better than no picture.

    Raises:
        ShapeError: the two do not fit.
    """
    height, width = require_rgb(image).shape[:2]
    require_alpha(alpha, (height, width))
    if max(height, width) < MIN_SIDE_PX:
        return alpha
    share = CRISP_RADIUS_SHARE if is_crisp else RADIUS_SHARE
    radius_px = max(MIN_RADIUS_PX, round(share * max(height, width)))
    out = alpha.copy()

    def refine(tile: tuple[slice, slice]) -> None:
        _refine_tile(image, alpha, out, tile, radius_px)

    try:
        tile_px = min(LARGEST_TILE_PX, max(TILE_PX, 20 * radius_px))
        for_each_tile(_affordable(_soft_tiles(alpha, tile_px)), refine, picture_pixels=alpha.size)
    except (cv2.error, MemoryError):
        logger.exception("edges were not refined")
        return alpha
    return out


def _affordable(tiles: Iterable[tuple[slice, slice]]) -> Iterator[tuple[slice, slice]]:
    """The first of them, up to `MAX_TILE_PIXELS` together."""
    left_over = MAX_TILE_PIXELS
    for rows, columns in tiles:
        left_over -= (rows.stop - rows.start) * (columns.stop - columns.start)
        if left_over < 0:
            return
        yield rows, columns


def _refine_tile(
    image: RgbImage, alpha: AlphaChannel, out: AlphaChannel, tile: tuple[slice, slice], radius_px: int
) -> None:
    rows, columns = tile
    pad_px = 2 * radius_px
    top, left = max(0, rows.start - pad_px), max(0, columns.start - pad_px)
    around = slice(top, rows.stop + pad_px), slice(left, columns.stop + pad_px)
    scale = min(1.0, FULL_RADIUS_PX / radius_px)
    filtered = cv2.ximgproc.guidedFilter(
        np.ascontiguousarray(image[around]), alpha[around].astype(np.float32), radius_px, EPS, scale=scale
    )
    core = filtered[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if not np.isfinite(core).all():  # a window without any contrast can divide by nothing
        return
    stretched = (core - CLEAR_UNTO) * (255 / (SOLID_FROM - CLEAR_UNTO))
    refined = np.asarray(np.clip(stretched + 0.5, 0, 255), np.uint8)
    cv2.copyTo(refined, np.asarray(cv2.inRange(alpha[tile], 1, 254), np.uint8), out[tile])


def _soft_tiles(alpha: AlphaChannel, tile_px: int) -> Iterator[tuple[slice, slice]]:
    """Yield the box around the soft pixels of each tile that has some."""
    height, width = alpha.shape
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            soft = np.asarray(cv2.inRange(alpha[top : top + tile_px, left : left + tile_px], 1, 254), np.uint8)
            x, y, box_width, box_height = cv2.boundingRect(soft)
            if box_width:
                yield slice(top + y, top + y + box_height), slice(left + x, left + x + box_width)
