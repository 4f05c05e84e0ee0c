"""
Look for marks: the whole photo at about a megapixel, then closely at the corners and at what was found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import AlphaChannel, BoxXywh, BoxXyxy, Mask, Matte, RgbImage
from ml.watermark.finder import Sight
from ml.watermark.own_patterns import without_own_patterns
from ml.watermark.regions import Region, find_marks
from ml.watermark.repairing import Repairer
from ml.watermark.repetition import as_repeated
from ml.watermark.restoration import PLANNED_PIXELS, Plan, carry_out, cut, half_width, make_plan, planned_size
from ml.watermark.unblending import is_tinted

GLANCE_PIXELS, LOOK_PIXELS = PLANNED_PIXELS, 700_000
CLOSE_ENOUGH = 0.7
"""Photo pixels for one of the glance, from which on nothing is looked at again."""

CORNER_SHARE = 0.34, 0.2
"""Of the photo's width and height: the corners that are looked at closely."""

MOST_LOOKS = 6
MARGIN_PX = 32
"""Around a mark, in pixels of the sight: what is clean there tells what lies under the mark."""

SMEAR_EDGE_PX = 0.5
"""A stroke's edge is softer than the smear's that was drawn along it (sigma; .8 px are .1 dB worse on validation)."""

SMEAR_SEEN, SMEAR_THIN_PX = 0.3, 6.0
"""The mean of the gate under a smear from which on a mark is what was smeared over, and the half width below which it is one
anyway: so thin are letters. Measured on validation: 91 % of the marks have such a gate, and 21 % of things pasted in."""

GAP_SHARE, MOST_PARTS = 0.01, 64
"""Of a smear: parts closer than that share of the long side are one, and so many are looked at each by itself."""


class Network(Protocol):
    """What sees marks: `ml.watermark.finder.WatermarkNetwork`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def look(self, image: RgbImage, *, most_pixels: int) -> Sight:
        """Look at a picture, shrunk where it has more than `most_pixels`."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """
    What is to be done in one part of the photo.

    Attributes:
        regions: for the answer: the mark, or several that are removed together.
        box_xyxy: the part of the photo to work in.
        plan: what to do there.
    """

    regions: tuple[Region, ...]
    box_xyxy: BoxXyxy
    plan: Plan

    def carry_out(self, image: RgbImage, out: RgbImage | None, mask: AlphaChannel) -> None:
        """Remove it: `out` and `mask` are written; without `out` the mask alone."""
        x0, y0, x1, y1 = self.box_xyxy
        part = slice(y0, y1), slice(x0, x1)
        carry_out(self.plan, image[part], None if out is None else out[part], mask[part])


@dataclass(frozen=True, slots=True)
class Seen:
    """
    A mark that was seen.

    Attributes:
        region: for the answer.
        box_xyxy: the part of the photo that it lies in, with some room around it.
        shape: (h, w) float32, 0..1: the strokes in that part, at any scale.
    """

    region: Region
    box_xyxy: BoxXyxy
    shape: Matte


def find(network: Network, repairer: Repairer, image: RgbImage, *, sensitivity: float) -> list[Job]:
    """
    Find the marks of a photo.

    Args:
        image: (H, W, 3) uint8.
        sensitivity: 0..1.

    Returns:
        One job a mark, the surest first; marks that nothing would be changed about are none.
    """
    height, width = image.shape[:2]
    glance = as_repeated(network.look(image, most_pixels=GLANCE_PIXELS))
    marks = _seen(glance, image, (0, 0, width, height), sensitivity)
    marks = _closer(network, image, marks, sensitivity=sensitivity)
    jobs = [_planned(repairer, image, mark) for mark in marks]
    return [job for job in jobs if job.plan.is_worth_doing]


def _planned(repairer: Repairer, image: RgbImage, mark: Seen) -> Job:
    x0, y0, x1, y1 = mark.box_xyxy
    small = shrink_or_grow(np.ascontiguousarray(image[y0:y1, x0:x1]), mark.shape.shape[::-1])
    return Job((mark.region,), mark.box_xyxy, make_plan(repairer, small, mark.shape))


def _closer(network: Network, image: RgbImage, marks: list[Seen], *, sensitivity: float) -> list[Seen]:
    """What a closer look at corners and marks changes, in photos that the glance saw much smaller."""
    height, width = image.shape[:2]
    if math.sqrt(GLANCE_PIXELS / (height * width)) >= CLOSE_ENOUGH or any(m.region.kind == "tiled" for m in marks):
        return marks
    for box in _closer_boxes(marks, (width, height)):
        part = np.ascontiguousarray(image[box[1] : box[3], box[0] : box[2]])
        for mark in _seen(network.look(part, most_pixels=LOOK_PIXELS), part, box, sensitivity):
            marks = [old for old in marks if _overlap(old.region, mark.region) < 0.5]
            marks.append(mark)
    return sorted(marks, key=lambda mark: -mark.region.score)


def likelihood(network: Network, image: RgbImage) -> float:
    """How sure the network is that there is any mark in the photo, 0..1."""
    sight = network.look(image, most_pixels=GLANCE_PIXELS)
    return float(sight.gate.max())


def _closer_boxes(marks: list[Seen], size_wh: tuple[int, int]) -> list[BoxXyxy]:
    width, height = size_wh
    across, down = round(CORNER_SHARE[0] * width), round(CORNER_SHARE[1] * height)
    boxes = [(x, y, x + across, y + down) for y in (height - down, 0) for x in (width - across, 0)]
    for mark in marks[: MOST_LOOKS - len(boxes)]:
        x, y, w, h = mark.region.bbox_xywh
        pad = round(0.15 * max(w, h))
        box = max(0, x - pad), max(0, y - pad), min(width, x + w + pad), min(height, y + h + pad)
        is_in_corner = any(b[0] <= x and b[1] <= y and b[2] >= x + w and b[3] >= y + h for b in boxes)
        if not is_in_corner and (box[2] - box[0]) * (box[3] - box[1]) < 0.4 * width * height:
            boxes.append(box)
    return boxes


def _overlap(one: Region, other: Region) -> float:
    """The common area, as a share of the smaller box."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = one.bbox_xywh, other.bbox_xywh
    across, down = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
    return max(0, across) * max(0, down) / max(1, min(aw * ah, bw * bh))


def _seen(sight: Sight, part: RgbImage, box: BoxXyxy, sensitivity: float) -> list[Seen]:
    """The marks in one part of the photo."""
    marks = []
    found = find_marks(sight, sensitivity=sensitivity)
    for mark in without_own_patterns(found, part, size_wh=(sight.shape.shape[1], sight.shape.shape[0])):
        left, top, width, height = mark.region.bbox_xywh
        own = np.zeros(sight.shape.shape, np.uint8)
        own[top : top + height, left : left + width] = mark.strokes
        shape = np.where(cv2.dilate(own, np.ones((7, 7), np.uint8)) > 0, sight.shape, 0)
        marks.append(_in_photo(mark.region, np.asarray(shape, np.float32), box))
    return marks


def _in_photo(region: Region, shape: Matte, box: BoxXyxy) -> Seen:
    """Bring what was seen in a part of the photo to the photo's pixels, cut to the mark and its margin."""
    x0, y0, x1, y1 = box
    rows, columns = shape.shape
    across, down = (x1 - x0) / columns, (y1 - y0) / rows
    left, top, width, height = region.bbox_xywh
    part = (
        max(x0, int(x0 + (left - MARGIN_PX) * across)),
        max(y0, int(y0 + (top - MARGIN_PX) * down)),
        min(x1, math.ceil(x0 + (left + width + MARGIN_PX) * across)),
        min(y1, math.ceil(y0 + (top + height + MARGIN_PX) * down)),
    )
    size_wh = max(1, round((part[2] - part[0]) / across)), max(1, round((part[3] - part[1]) / down))
    seen = (part[0] - x0) / across, (part[1] - y0) / down, (part[2] - x0) / across, (part[3] - y0) / down
    corner = round(x0 + left * across), round(y0 + top * down)
    size = max(1, round(width * across)), max(1, round(height * down))
    bbox = *corner, min(size[0], x1 - corner[0]), min(size[1], y1 - corner[1])
    return Seen(replace(region, bbox_xywh=bbox), part, cut(shape, seen, size_wh))


def under_smear(network: Network, repairer: Repairer, image: RgbImage, smear: Mask) -> list[Job]:
    """
    Say what is to be done under a smear: about a mark that the network sees there, or about anything else.

    The letters of a mark are looked at together where they lie within about a megapixel: they have one opacity and colour.

    Returns:
        One job where they do; else one for each part of the smear, the largest first, and one for all beyond `MOST_PARTS`.
    """
    height, width = smear.shape
    gap = max(3, round(GAP_SHARE * max(height, width))) | 1
    joined = cv2.dilate(smear.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap)))
    count, found, facts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    labels = np.asarray(found, np.int32)
    if count == 1:
        return []
    around = _wider(_box_xyxy(np.array(cv2.boundingRect(joined))), MARGIN_PX, (width, height))
    asked = network, repairer
    by_area = 1 + np.argsort(-facts[1:, cv2.CC_STAT_AREA])
    rest = np.isin(labels, by_area[MOST_PARTS:]) if len(by_area) > MOST_PARTS else None
    boxes = [_box_xyxy(facts[number]) for number in by_area[:MOST_PARTS]]
    regions = [_region(smear, labels, number, box) for number, box in zip(by_area, boxes, strict=False)]
    if rest is not None:
        regions.append(Region(_box_of(smear & rest), 1.0, "logo"))
    if _area(around) <= GLANCE_PIXELS:
        return [Job(tuple(regions), around, _plan_smear(asked, image, smear, around))]
    jobs = []
    for number, box, region in zip(by_area, boxes, regions, strict=False):
        pad = MARGIN_PX + round(0.1 * max(box[2] - box[0], box[3] - box[1]))
        wider = _wider(box, pad, (width, height))
        own = labels[wider[1] : wider[3], wider[0] : wider[2]] == number
        jobs.append(Job((region,), wider, _plan_smear(asked, image, smear, wider).within(own)))
    if rest is not None:
        plan = _plan_smear(asked, image, smear & rest, around)
        own = rest[around[1] : around[3], around[0] : around[2]]
        jobs.append(Job((regions[-1],), around, plan.within(own)))
    return jobs


def _box_xyxy(facts: NDArray[np.int32]) -> BoxXyxy:
    x, y, across, down = (int(value) for value in facts[:4])
    return x, y, x + across, y + down


def _region(smear: Mask, labels: NDArray[np.integer], number: int, box: BoxXyxy) -> Region:
    rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
    x, y, across, down = _box_of(smear[rows, columns] & (labels[rows, columns] == number))
    return Region((box[0] + x, box[1] + y, across, down), 1.0, "logo")


def _box_of(mask: Mask) -> BoxXywh:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, width, height


def _plan_smear(asked: tuple[Network, Repairer], image: RgbImage, smear: Mask, box: BoxXyxy) -> Plan:
    part = slice(box[1], box[3]), slice(box[0], box[2])
    strokes = smear[part].astype(np.float32)
    size_wh = planned_size(strokes)
    photo = np.ascontiguousarray(image[part])
    photo, strokes = shrink_or_grow(photo, size_wh), shrink_or_grow(strokes, size_wh)
    network, repairer = asked
    sight = network.look(photo, most_pixels=photo.shape[0] * photo.shape[1])
    is_mark = (
        half_width(strokes) < SMEAR_THIN_PX
        or (sight.gate * strokes).sum() > SMEAR_SEEN * strokes.sum()
        or is_tinted(photo.astype(np.float32), np.asarray(cv2.GaussianBlur(strokes, (0, 0), SMEAR_EDGE_PX), np.float32))
    )
    return make_plan(repairer, photo, strokes, edge_px=SMEAR_EDGE_PX, is_mark=bool(is_mark))


def _wider(box: BoxXyxy, pad: int, size_wh: tuple[int, int]) -> BoxXyxy:
    return max(0, box[0] - pad), max(0, box[1] - pad), min(size_wh[0], box[2] + pad), min(size_wh[1], box[3] + pad)


def _area(box: BoxXyxy) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
