"""
From a matte to a picture: solid core, clean edge colours, cut-outs, boxes and masks.

A photo of 100 MP passes through here, so floats exist only for a strip or a tile at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.errors import ShapeError
from ml.picture.foreground import estimate_foreground
from ml.picture.tiles import for_each_tile
from ml.picture.transforms import require_alpha, require_rgb, shrink_or_grow
from ml.picture.types import AlphaChannel, BoxXywh, Matte, RgbaImage, RgbImage

__all__ = [
    "binary_mask",
    "bounding_box",
    "crisp",
    "crop",
    "cut_out",
    "estimate_foreground",
    "fitting_margins",
    "over_colour",
    "remove_specks",
    "solidify",
]

STRIP_PIXELS = 1 << 20
"""A strip's pixels: some megabytes of floats, whatever the photo's size."""

MIXED_PIXELS = 1 << 18
"""Those of a strip that is mixed with a colour: some megabytes of 16 bits, which stay in the processor's cache."""

SOLID_FROM, CLEAR_UNTO = 0.95, 0.05
WIDE_CLEAR_SOLID = (0.15, 0.45)
"""In wide grey areas: networks call too little rather than too much there, so the cut lies below a half."""

WIDE_RADIUS_SHARE = 8 / 1024
"""Of the matte's side: a disc of this radius fits into a wide area, but not into an edge."""

CRISP_CLEAR_SOLID = (0.25, 0.75)
LONGEST_SIDE_PX = 16_383
"""What a WebP holds."""

BOX_FROM_ALPHA = 26
MASK_FROM_ALPHA = 128
SPECK_SHARE = 0.0002
FAINT_SPECK_SHARE = 0.01
REACH_SHARE = 4 / 1024
SPECK_SEARCH_SIDE_PX = 2048


def solidify(matte: Matte) -> Matte:
    """
    Make nearly solid solid, nearly clear clear, and a wide grey area mostly one of the two; edges stay soft.

    Networks answer "perhaps" over whole objects (a pot beside the person, a dark sweater), which would show as a veil.
    An edge is narrow, such an area is wide. Measured on 80 ECSSD photos, 56 flat-lays and 13 true alphas: IoU .881 to
    .885, .977 to .979, .824 to .848; mean absolute error .031 to .026, .0125 to .010, .087 to .076.

    Args:
        matte: (H, W) float32, 0..1, as the network gave it: the width of an edge is that of its own grid.

    Returns:
        (H, W) float32, 0..1: 1 from 0.95 on, 0 up to 0.05, straight between; in wide areas 0 up to 0.15, 1 from 0.45.
    """
    edges = _stretch(matte, CLEAR_UNTO, SOLID_FROM)
    radius_px = max(2, round(WIDE_RADIUS_SHARE * max(matte.shape)))
    grey = ((matte > CLEAR_UNTO) & (matte < SOLID_FROM)).view(np.uint8)
    # The square inside the disc is quick to look for, and where it finds no place the disc doesn't either.
    square = np.ones((2 * int(radius_px / math.sqrt(2)) + 1,) * 2, np.uint8)
    left, top, width, height = cv2.boundingRect(cv2.erode(grey, square))
    if not width:
        return edges
    reach_px = 3 * radius_px + 1  # of the disc's opening and of the blur: beyond it nothing changes
    around = (
        slice(max(0, top - reach_px), top + height + reach_px),
        slice(max(0, left - reach_px), left + width + reach_px),
    )
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2)
    wide = cv2.morphologyEx(grey[around], cv2.MORPH_OPEN, disc)
    weight = cv2.GaussianBlur(np.asarray(wide, np.float32), (0, 0), radius_px / 3)
    edges[around] += weight * (_stretch(matte[around], *WIDE_CLEAR_SOLID) - edges[around])
    return edges


def crisp(matte: Matte) -> Matte:
    """
    Give a hard thing a hard edge: solidify, then let only the middle of the slope be soft.

    Args:
        matte: (H, W) float32, 0..1, as the network gave it.

    Returns:
        (H, W) float32, 0..1.
    """
    return _stretch(solidify(matte), *CRISP_CLEAR_SOLID)


def _stretch(matte: Matte, clear_unto: float, solid_from: float) -> Matte:
    stretched = matte - np.float32(clear_unto)
    stretched /= np.float32(solid_from - clear_unto)
    return np.clip(stretched, 0.0, 1.0, out=stretched)


def remove_specks(alpha: AlphaChannel) -> AlphaChannel:
    """
    Keep what belongs to a subject, clear the dust around it.

    A piece is what hangs together at 10 % opacity (26) and more. Dust is a piece smaller than 0.02 % of the picture, or
    under half opaque on average and smaller than 1 % of the largest piece. What lies close to a kept piece stays (hair
    in strands); all else goes, the haze under 10 % too.

    Args:
        alpha: (H, W) uint8, 0..255.

    Returns:
        (H, W) uint8, 0..255: a copy.
    """
    height, width = alpha.shape
    scale = min(1.0, SPECK_SEARCH_SIDE_PX / max(height, width))
    small = (
        alpha if scale == 1 else shrink_or_grow(alpha, (max(1, round(width * scale)), max(1, round(height * scale))))
    )
    reach_px = max(2, round(REACH_SHARE * max(small.shape)))
    visible = np.greater_equal(small, BOX_FROM_ALPHA).view(np.uint8)
    left, top, box_width, box_height = cv2.boundingRect(visible)
    around = (
        slice(max(0, top - reach_px), top + box_height + reach_px),
        slice(max(0, left - reach_px), left + box_width + reach_px),
    )
    near = np.zeros_like(visible)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1,) * 2)
    cv2.dilate(_without_dust(visible[around], small[around], small.size), disc, dst=near[around])
    if scale < 1:
        near = np.asarray(cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    clean = np.zeros_like(alpha)
    cv2.copyTo(alpha, near, clean)
    return clean


def _without_dust(visible: NDArray[np.uint8], alpha: AlphaChannel, picture_pixels: int) -> NDArray[np.uint8]:
    """
    Clear the pieces that are dust; `remove_specks` says which.

    Args:
        visible: (H, W) uint8, 0 or 1.
        alpha: (H, W) uint8, 0..255: the opacity of the same pixels.
        picture_pixels: of the whole picture.
    """
    _, labels, facts, _ = cv2.connectedComponentsWithStats(visible, connectivity=8, ltype=cv2.CV_32S)
    areas = facts[:, cv2.CC_STAT_AREA]
    is_dust = areas < SPECK_SHARE * picture_pixels
    is_dust[0] = False
    small = ~is_dust & (areas < FAINT_SPECK_SHARE * areas[1:].max(initial=0))
    for piece in np.flatnonzero(small[1:]) + 1:  # at most some thousands, of boxes of a few pixels
        left, top, width, height, area = facts[piece]
        box = slice(top, top + height), slice(left, left + width)
        is_dust[piece] = alpha[box][labels[box] == piece].sum() / area < MASK_FROM_ALPHA
    if not is_dust.any():
        return visible
    return visible & np.take(~is_dust, np.asarray(labels))


def binary_mask(alpha: AlphaChannel) -> AlphaChannel:
    """
    Decide every pixel: 255 from half opacity (128) on, else 0; specks removed.

    Args:
        alpha: (H, W) uint8, 0..255.

    Returns:
        (H, W) uint8, 0 or 255.
    """
    _, mask = cv2.threshold(alpha, MASK_FROM_ALPHA - 1, 255, cv2.THRESH_BINARY)
    return remove_specks(np.asarray(mask, np.uint8))


def bounding_box(alpha: AlphaChannel) -> BoxXywh | None:
    """
    Find the smallest box around everything that is visible: 10 % opaque (26) and more.

    Args:
        alpha: (H, W) uint8, 0..255.

    Returns:
        Left, top, width, height in pixels, or None where nothing is visible.
    """
    visible = np.greater_equal(alpha, BOX_FROM_ALPHA).view(np.uint8)
    left, top, width, height = cv2.boundingRect(visible)
    return (left, top, width, height) if width and height else None


def crop(
    picture: NDArray[np.uint8],
    box_xywh: BoxXywh,
    *,
    margin_x_px: int = 0,
    margin_y_px: int = 0,
) -> NDArray[np.uint8]:
    """
    Cut to a box with a margin around it, also where the margin leaves the picture.

    Args:
        picture: (H, W) or (H, W, C) uint8.
        box_xywh: inside the picture, in pixels.
        margin_x_px, margin_y_px: left and right, above and below, at least 0.

    Returns:
        (height + 2 margin_y_px, width + 2 margin_x_px[, C]) uint8, a copy; 0 outside the picture.

    Raises:
        ShapeError: the box does not lie inside the picture, or is empty.
    """
    left, top, width, height = box_xywh
    if (
        left < 0
        or top < 0
        or width < 1
        or height < 1
        or left + width > picture.shape[1]
        or top + height > picture.shape[0]
    ):
        raise ShapeError(f"box {box_xywh} does not lie inside a {picture.shape} picture")
    shape = (height + 2 * margin_y_px, width + 2 * margin_x_px, *picture.shape[2:])
    out = np.zeros(shape, np.uint8)
    x0, y0 = max(0, left - margin_x_px), max(0, top - margin_y_px)
    source = picture[y0 : top + height + margin_y_px, x0 : left + width + margin_x_px]
    to_x, to_y = x0 - (left - margin_x_px), y0 - (top - margin_y_px)
    out[to_y : to_y + source.shape[0], to_x : to_x + source.shape[1]] = source
    return out


def fitting_margins(size_wh: tuple[int, int], margin_xy_px: tuple[int, int], *, max_pixels: int) -> tuple[int, int]:
    """
    Make margins narrower, both by the same share, until the picture keeps within a size.

    Args:
        size_wh: the box without them, in pixels.
        margin_xy_px: wished left and right, above and below, at least 0.
        max_pixels: of the whole; the longer side is `LONGEST_SIDE_PX` at most, too.

    Returns:
        The margins, none wider than wished; 0 where the box alone is too large.
    """
    (width, height), (x, y) = size_wh, margin_xy_px
    shares = [1.0]
    if x:
        shares.append((LONGEST_SIDE_PX - width) / (2 * x))
    if y:
        shares.append((LONGEST_SIDE_PX - height) / (2 * y))
    if (x or y) and (width + 2 * x) * (height + 2 * y) > max_pixels:  # 4xy s^2 + 2(xh + yw) s + wh = max_pixels
        square, line, rest = 4 * x * y, 2 * (x * height + y * width), max_pixels - width * height
        shares.append(2 * rest / (line + math.sqrt(max(0.0, line * line + 4 * square * rest))))
    share = max(0.0, min(shares))
    return int(x * share), int(y * share)


def cut_out(image: RgbImage, alpha: AlphaChannel) -> RgbaImage:
    """
    Put an alpha channel on a photo. Where it is 0 the colour is 0 too: nothing of the background travels along.

    Args:
        image: (H, W, 3) uint8, 0..255: the foreground's colours (`estimate_foreground`).
        alpha: (H, W) uint8, 0..255.

    Returns:
        (H, W, 4) uint8, straight alpha.

    Raises:
        ShapeError: the two do not fit.
    """
    height, width = require_rgb(image).shape[:2]
    require_alpha(alpha, (height, width))
    out = np.empty((height, width, 4), np.uint8)

    def fill(rows: slice) -> None:
        seen = cv2.copyTo(image[rows], alpha[rows])  # 0 where alpha is
        cv2.mixChannels([seen, alpha[rows]], [out[rows]], [0, 0, 1, 1, 2, 2, 3, 3])

    for_each_tile(_strips(height, width), fill, picture_pixels=alpha.size)
    return out


def over_colour(image: RgbImage, alpha: AlphaChannel, colour_rgb: tuple[int, int, int]) -> RgbImage:
    """
    Lay a photo over one colour.

    Args:
        image: (H, W, 3) uint8, 0..255: the foreground's colours (`estimate_foreground`).
        alpha: (H, W) uint8, 0..255.
        colour_rgb: 0..255 each.

    Returns:
        (H, W, 3) uint8: exactly the colour where alpha is 0, exactly the photo where it is 255.

    Raises:
        ShapeError: the two do not fit.
    """
    height, width = require_rgb(image).shape[:2]
    require_alpha(alpha, (height, width))
    out = np.empty_like(image)
    # What the colour adds under each alpha, and a half: (x + 128 + ((x + 128) >> 8)) >> 8 is x / 255 rounded, for every x up
    # to 255 * 255. OpenCV's tables and products take a third of the time of numpy's (0.6 s for 100 megapixels).
    added = [np.arange(255, -1, -1, dtype=np.uint16) * np.uint16(level) + np.uint16(128) for level in colour_rgb]
    for rows in _strips(height, width, pixels=MIXED_PIXELS):
        opacity = alpha[rows]
        ground = cv2.merge([cv2.LUT(opacity, table) for table in added])
        mixed: Any = cv2.multiply(image[rows], cv2.merge([opacity] * 3), dtype=cv2.CV_16U)
        mixed += ground
        mixed += mixed >> 8
        mixed >>= 8
        out[rows] = mixed
    return out


def _strips(height: int, width: int, *, pixels: int = STRIP_PIXELS) -> Iterator[slice]:
    rows = max(1, pixels // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
