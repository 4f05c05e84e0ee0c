"""
Plan what becomes of a mark, or of whatever else a mask covers, and carry it out at any size of photo.

It is planned on a copy of about a megapixel: what the repairing network says does not depend on scale. The work itself is
done in tiles of the photo's own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import AlphaChannel, Mask, Matte, RgbImage
from ml.watermark.inpainting import inpaint
from ml.watermark.repair_network import RepairMaps
from ml.watermark.repairing import REACH_PX, Repairer, changed_by, repaired
from ml.watermark.unblending import CHANGED, Ink, agreement, fit_ink, look_around, restore, shows_through, unblend

WHOLE_FROM, WHOLE_QUANTILE = 0.5, 0.8
"""Of a mask's highest value: among pixels above it, this quantile counts as whole."""

THICK_PX = 24
"""Half the width from which on a mask is looked at smaller: the network has learnt on strokes, not on lakes."""
LEAST_SIDE_PX = 48

OPAQUE, HIDDEN, GOOD_CHECK, SURE_CHECK = 0.8, 0.6, 0.92, 0.6
"""An ink is believed below that opacity; above the second if the photo is seen to shine through; where strokes lie off their
surroundings by at most that share of before, and by less where nothing else says that it is a mark."""

NETWORK_SHARE = 0.65
"""Of the mean of the repairing network and un-blending by one ink (72 smears of validation: .35 +9.3 dB, .5 +9.5, .65 +9.6)."""

HOLE = 0.25
"""The shape from which on, and one pixel around, what is no mark is cut out: each pixel more costs half a decibel."""

TILE_PX, MARGIN_PX = 1024, 48

PLANNED_PIXELS = 1_200_000
"""Of the copy on which is planned, at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is to be done about one mark.

    Attributes:
        changed: (h, w) float32, 0 or 1, at the size at which it was planned: where the photo is changed.
        shape: (h, w) float32, 0..1: the strokes.
        maps: (h, w): what the repairing network says of a mark.
        ink: what the strokes are drawn with, where the photo shines through them and one ink explains it.

    With both, their mean is taken: they err in different ways. With neither, the hole is filled from around.
    """

    changed: Matte
    shape: Matte
    maps: RepairMaps | None
    ink: Ink | None

    @property
    def is_worth_doing(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.changed.any())

    def within(self, area: Mask) -> Plan:
        """The same, for one of several marks: `area` is (H, W) bool, at any size, and may be left by some pixels."""
        own = cv2.resize(area.astype(np.float32), self.changed.shape[::-1], interpolation=cv2.INTER_AREA)
        near = cv2.dilate(own, np.ones((2 * REACH_PX + 1,) * 2, np.uint8)) > 0
        return replace(self, changed=np.where(near, self.changed, 0))


def make_plan(repairer: Repairer, image: RgbImage, mask: Matte, *, edge_px: float = 0.0, is_mark: bool = True) -> Plan:
    """
    Decide about what a mask covers.

    Args:
        image: (H, W, 3) uint8: the photo or its copy.
        mask: (H, W) float32, 0..1: the strokes as a network sees them, or a smear.
        edge_px: the sigma of its strokes' edges, where the mask itself has hard ones.
        is_mark: or anything else, which the repairing network doesn't know.
    """
    shape = np.asarray(cv2.GaussianBlur(mask, (0, 0), edge_px), np.float32) if edge_px else mask
    mask = louder(mask)
    ink = _ink_of(image, shape, GOOD_CHECK if is_mark else SURE_CHECK)
    if not is_mark:
        area = shape > CHANGED if ink is not None else cv2.dilate((shape > HOLE).astype(np.uint8), np.ones((3, 3))) > 0
        return Plan(area.astype(np.float32), shape, None, ink)
    share = min(1.0, max(THICK_PX / max(half_width(mask), 1.0), LEAST_SIDE_PX / min(mask.shape)))
    if share == 1:
        maps = repairer.maps(image, mask)
    else:
        size_wh = max(1, round(mask.shape[1] * share)), max(1, round(mask.shape[0] * share))
        small = repairer.maps(shrink_or_grow(image, size_wh), shrink_or_grow(mask, size_wh))
        whole, own_wh = (0.0, 0.0, float(size_wh[0]), float(size_wh[1])), mask.shape[::-1]
        maps = RepairMaps(cut(small.blend, whole, own_wh), cut(small.paint, whole, own_wh))
    return Plan(changed_by(image, mask, maps).astype(np.float32), shape, maps, ink)


def _ink_of(image: RgbImage, shape: Matte, most_check: float) -> Ink | None:
    """The strokes' ink, where un-blending by it makes them like what is beside them."""
    pixels = image.astype(np.float32)
    ink = fit_ink(pixels, shape)
    if ink is None or ink.opacity > OPAQUE or (ink.opacity > HIDDEN and not shows_through(pixels, shape, ink)):
        return None
    check = agreement(pixels, unblend(pixels, shape, ink.opacity, ink.colour), shape)
    return ink if check <= most_check else None


def half_width(mask: Matte) -> float:
    """How far the innermost pixel of a mask's thickest part is from its edge, in pixels."""
    return float(cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5).max(initial=0))


def repaired_alone(repairer: Repairer, image: RgbImage, strokes: Matte) -> RgbImage:
    """
    The photo as the repairing network alone would have it, for who has another opinion already.

    Args:
        image: (H, W, 3) uint8.
        strokes: (H, W) float32, 0..1.
    """
    size_wh = planned_size(strokes)
    strokes = shrink_or_grow(strokes, size_wh)
    maps = repairer.maps(shrink_or_grow(np.ascontiguousarray(image), size_wh), strokes)
    out = np.empty_like(image)
    plan = Plan(np.ones_like(strokes), strokes, maps, None)
    carry_out(plan, image, out, np.zeros(image.shape[:2], np.uint8))
    return out


def planned_size(strokes: Matte) -> tuple[int, int]:
    """Width and height of the copy on which is planned: the photo's, or smaller."""
    share = min(1.0, math.sqrt(PLANNED_PIXELS / strokes.size))
    return max(1, round(strokes.shape[1] * share)), max(1, round(strokes.shape[0] * share))


def louder(mask: Matte) -> Matte:
    """
    Stretched so that the surest strokes are whole, and lifted: an unsure network means the same strokes, less loudly.

    Measured on 50 marks of validation: see-through +7.6 to +7.8 dB, opaque +11.0 to +11.4.
    """
    highest = float(mask.max(initial=0))
    if highest <= 0:
        return mask
    whole = float(np.quantile(mask[mask > WHOLE_FROM * highest], WHOLE_QUANTILE))
    return np.asarray(np.sqrt(np.minimum(mask / whole, 1)), np.float32)


def carry_out(plan: Plan, image: RgbImage, out: RgbImage | None, mask: AlphaChannel) -> None:
    """
    Do what the plan says.

    Args:
        image: (H, W, 3) uint8: the photo.
        out, mask: the restored photo and the changed pixels so far (255 = changed); both are written. Without `out`
            the mask alone is, which takes much less time.
    """
    height, width = image.shape[:2]
    down, across = plan.changed.shape[0] / height, plan.changed.shape[1] / width
    for rows, columns in _tiles(plan.changed, (height, width)):
        box = columns.start * across, rows.start * down, columns.stop * across, rows.stop * down
        size_wh = columns.stop - columns.start, rows.stop - rows.start
        changed = cut(plan.changed, box, size_wh) > 0.5
        mask[rows, columns][changed] = 255
        if out is not None:
            ways = []
            if plan.maps is not None:
                maps = RepairMaps(cut(plan.maps.blend, box, size_wh), cut(plan.maps.paint, box, size_wh))
                ways.append(repaired(image[rows, columns], maps))
            if plan.ink is not None or plan.maps is None:
                ways.append(_by_surroundings(plan, image, (rows, columns)))
            restored = (
                ways[0] if len(ways) == 1 else cv2.addWeighted(ways[0], NETWORK_SHARE, ways[1], 1 - NETWORK_SHARE, 0)
            )
            out[rows, columns][changed] = np.asarray(restored, np.uint8)[changed]


def _by_surroundings(plan: Plan, image: RgbImage, tile: tuple[slice, slice]) -> RgbImage:
    """One tile un-blended by its ink or filled, with some room around it to see what is clean."""
    shape = plan.shape if plan.ink is not None else plan.changed
    height, width = image.shape[:2]
    down, across = shape.shape[0] / height, shape.shape[1] / width
    y0, x0 = (max(0, part.start - MARGIN_PX) for part in tile)
    y1, x1 = min(height, tile[0].stop + MARGIN_PX), min(width, tile[1].stop + MARGIN_PX)
    own = cut(shape, (x0 * across, y0 * down, x1 * across, y1 * down), (x1 - x0, y1 - y0))
    inner = slice(tile[0].start - y0, tile[0].stop - y0), slice(tile[1].start - x0, tile[1].stop - x0)
    if plan.ink is None:
        return inpaint(image[y0:y1, x0:x1], own > 0.5)[inner]
    pixels = image[y0:y1, x0:x1].astype(np.float32)
    restored = restore(pixels, own, plan.ink, look_around(pixels, own))[inner]
    return np.asarray(np.clip(restored + 0.5, 0, 255), np.uint8)


def cut(pixels: Matte, box_xyxy: tuple[float, float, float, float], size_wh: tuple[int, int]) -> Matte:
    """
    A part of a map at another size; the box may lie between its pixels.

    Args:
        pixels: (h, w) or (h, w, up to 4) float32, 0..1.

    Returns:
        (height, width) or (height, width, C) float32, 0..1.
    """
    x0, y0, x1, y1 = box_xyxy
    across, down = (x1 - x0) / size_wh[0], (y1 - y0) / size_wh[1]
    matrix = np.array([[across, 0, x0 + across / 2 - 0.5], [0, down, y0 + down / 2 - 0.5]], np.float64)
    flags = (cv2.INTER_CUBIC if across < 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    grown = cv2.warpAffine(pixels, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(grown, 0, 1), np.float32)


def _tiles(changed: Matte, photo_hw: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield each tile of the photo in which something is changed."""
    height, width = photo_hw
    down, across = changed.shape[0] / height, changed.shape[1] / width
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            bottom, right = min(height, top + TILE_PX), min(width, left + TILE_PX)
            seen = changed[int(top * down) : int(bottom * down) + 1, int(left * across) : int(right * across) + 1]
            if seen.any():
                yield slice(top, bottom), slice(left, right)
