"""
Decide what to do about a mark (un-blend, inpaint or leave it alone), and do it at any size of photo.

The decision is made on a copy of about a megapixel: opacity and colour do not depend on scale. The work itself is done
in tiles of the photo's own pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from ml.inpainting import inpaint
from ml.types import AlphaChannel, Mask, Matte, RgbImage
from ml.unblending import (
    CHANGED,
    Ink,
    Pixels,
    agreement,
    fit_colour,
    fit_ink,
    look_around,
    restore,
    shows_through,
    spread,
    unblend,
)

Way = Literal["unblend", "inpaint", "leave"]

OPAQUE = 0.8
"""The opacity from which on nothing of the photo shines through that is worth having."""

INPAINT_FROM = 0.6
"""The opacity from which on a mark that no photo is seen through is inpainted; fainter ones aren't: it would be worse."""

HINT_REACH, LEAST_HINT = 0.3, 0.03
GOOD_CHECK = 0.92
"""Un-blending stands where strokes lie off their surroundings by at most this share of before."""

TILE_PX, TILE_MARGIN_PX = 1024, 48
HOLE = 0.25
"""The shape from which on, and one pixel around, an opaque mark is cut out: each pixel more costs half a decibel."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to do about one mark.

    Attributes:
        way: how.
        shape: (h, w) float32, 0..1, at the size at which it was planned.
        ink: what the strokes are drawn with, where they are un-blended.
        check: how far strokes lie off what is beside them afterwards, as a share of before.
    """

    way: Way
    shape: Matte
    ink: Ink | None
    check: float


def make_plan(image: RgbImage, shape: Matte, *, opacity_hint: float | None = None) -> Plan:
    """
    Decide about the strokes of one mark.

    Args:
        image: (H, W, 3) uint8: the photo or its copy.
        shape: (H, W) float32, 0..1: the strokes as a network, a smear or a template tells them.
        opacity_hint: 0..1: what the network thinks; fits far from it are not believed.
    """
    pixels, shape = image.astype(np.float32), _whole(shape)
    ink = fit_ink(pixels, shape)
    if ink is None or (opacity_hint is not None and abs(ink.opacity - opacity_hint) > HINT_REACH):
        ink = _hinted(pixels, shape, opacity_hint)
    if ink is None:
        return Plan("leave" if (opacity_hint or 1.0) < INPAINT_FROM else "inpaint", shape, None, 1.0)
    plan = unblend_plan(pixels, shape, ink)
    opacity = ink.opacity if opacity_hint is None else (ink.opacity + opacity_hint) / 2
    is_hidden = opacity > INPAINT_FROM and not shows_through(pixels, shape, ink)
    if opacity > OPAQUE or is_hidden:
        return replace(plan, way="inpaint")
    return plan if plan.check <= GOOD_CHECK else replace(plan, way="leave")


def _whole(shape: Matte) -> Matte:
    """Stretched so that the surest strokes are whole: an unsure network means the same strokes, less loudly."""
    highest = float(shape.max())
    if highest <= CHANGED:
        return shape
    sure = float(np.quantile(shape[shape > 0.5 * highest], 0.8))
    return shape if sure >= 1 else np.asarray(np.minimum(shape / sure, 1), np.float32)


def _hinted(pixels: Pixels, shape: Matte, opacity: float | None) -> Ink | None:
    return fit_colour(pixels, shape, opacity) if opacity is not None and opacity > LEAST_HINT else None


def unblend_plan(pixels: Pixels, shape: Matte, ink: Ink) -> Plan:
    """The plan to un-blend strokes of a known ink, and how well that goes."""
    after = unblend(pixels, shape, ink.opacity, spread(pixels, shape, ink, look_around(pixels, shape)))
    return Plan("unblend", shape, ink, agreement(pixels, after, shape))


def carry_out(plan: Plan, image: RgbImage, out: RgbImage | None, mask: AlphaChannel) -> None:
    """
    Restore what the plan says.

    Args:
        image: (H, W, 3) uint8: the photo.
        out, mask: the restored photo and the changed pixels so far (255 = changed); both are written. Without `out`
            the mask alone is, which takes much less time.
    """
    if plan.way == "leave":
        return
    for tile, inner in _tiles(plan.shape, image.shape[:2]):
        shape = _shape_of(plan.shape, image.shape[:2], tile)
        rows, columns = (
            slice(tile[0].start + inner[0].start, tile[0].start + inner[0].stop),
            slice(tile[1].start + inner[1].start, tile[1].start + inner[1].stop),
        )
        ink = plan.ink if plan.way == "unblend" else None
        changed = shape > CHANGED if ink is not None else _hole(shape)
        mask[rows, columns][changed[inner]] = 255
        if out is not None:
            restored = inpaint(image[tile], changed) if ink is None else _unblended(image[tile], shape, ink)
            out[rows, columns][changed[inner]] = restored[inner][changed[inner]]


def _unblended(image: RgbImage, shape: Matte, ink: Ink) -> RgbImage:
    pixels = image.astype(np.float32)
    restored = restore(pixels, shape, ink, look_around(pixels, shape))
    return np.asarray(np.clip(restored + 0.5, 0, 255), np.uint8)


def _hole(shape: Matte) -> Mask:
    return cv2.dilate((shape > HOLE).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _shape_of(shape: Matte, photo_hw: tuple[int, int], tile: tuple[slice, slice]) -> Matte:
    """A tile of the shape, at the photo's size."""
    if shape.shape == photo_hw:
        return np.asarray(shape[tile], np.float32)
    rows, columns = tile
    down, across = shape.shape[0] / photo_hw[0], shape.shape[1] / photo_hw[1]
    box = columns.start * across, rows.start * down, columns.stop * across, rows.stop * down
    return cut(shape, box, (columns.stop - columns.start, rows.stop - rows.start))


def cut(pixels: Matte, box_xyxy: tuple[float, float, float, float], size_wh: tuple[int, int]) -> Matte:
    """A part of a map at another size; the box may lie between its pixels. Returns (height, width) float32, 0..1."""
    x0, y0, x1, y1 = box_xyxy
    across, down = (x1 - x0) / size_wh[0], (y1 - y0) / size_wh[1]
    matrix = np.array([[across, 0, x0 + across / 2 - 0.5], [0, down, y0 + down / 2 - 0.5]], np.float64)
    flags = (cv2.INTER_CUBIC if across < 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    grown = cv2.warpAffine(pixels, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(grown, 0, 1), np.float32)


def _tiles(shape: Matte, photo_hw: tuple[int, int]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield each tile that holds strokes, with its margin, and the tile without its margin inside of that."""
    height, width = photo_hw
    down, across = shape.shape[0] / height, shape.shape[1] / width
    x, y, box_width, box_height = cv2.boundingRect((shape > CHANGED).astype(np.uint8))
    if not box_width:
        return
    pad = 1 + TILE_MARGIN_PX
    x0, y0 = max(0, int(x / across) - pad), max(0, int(y / down) - pad)
    x1, y1 = min(width, int((x + box_width) / across) + pad), min(height, int((y + box_height) / down) + pad)
    for top in range(y0, y1, TILE_PX):
        for left in range(x0, x1, TILE_PX):
            bottom, right = min(y1, top + TILE_PX), min(x1, left + TILE_PX)
            seen = shape[int(top * down) : int(bottom * down) + 1, int(left * across) : int(right * across) + 1]
            if not (seen > CHANGED).any():
                continue
            tile = (
                slice(max(0, top - TILE_MARGIN_PX), min(height, bottom + TILE_MARGIN_PX)),
                slice(max(0, left - TILE_MARGIN_PX), min(width, right + TILE_MARGIN_PX)),
            )
            inner = (
                slice(top - tile[0].start, bottom - tile[0].start),
                slice(left - tile[1].start, right - tile[1].start),
            )
            yield tile, inner
