"""
Look for marks: the whole photo at about a megapixel, then closely at the corners and at what was found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from ml.mark_regions import Region, find_marks
from ml.models.watermark import Sight
from ml.repetition import as_repeated
from ml.restoration import Plan, carry_out, cut, make_plan, unblend_plan
from ml.transforms import shrink_or_grow
from ml.types import AlphaChannel, BoxXyxy, Mask, Matte, RgbImage
from ml.unblending import Ink

GLANCE_PIXELS, LOOK_PIXELS = 1_200_000, 700_000
CLOSE_ENOUGH = 0.7
"""Photo pixels for one of the glance, from which on nothing is looked at again."""

CORNER_SHARE = 0.34, 0.2
"""Of the photo's width and height: the corners that are looked at closely."""

MOST_LOOKS = 6
MARGIN_PX = 32
"""Around a mark, in pixels of the sight: what is clean there tells what lies under the mark."""

GAP_SHARE, MOST_PARTS = 0.01, 64
"""Of a smear: parts closer than that share of the long side are one, and so many are looked at."""

SEEN_SHARE, SMEAR_CHECK = 0.05, 0.6
"""How much of a smear the network must see to be asked about it, and the check below which a part's own fit stands."""

OWN_INSTEAD = 0.6
"""Of the common ink's check: a part's own fit must be so much better to be taken instead."""


class Network(Protocol):
    """What sees marks: `ml.models.watermark.WatermarkNetwork`, or a test's fake."""

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
    A mark to be removed.

    Attributes:
        region: for the answer.
        box_xyxy: the part of the photo to work in.
        shape: (h, w) float32, 0..1: the strokes in that part, at any scale.
        opacity: 0..1: what the network thinks of it.
        decided: what to do about it, if that is known.
    """

    region: Region
    box_xyxy: BoxXyxy
    shape: Matte
    opacity: float | None = None
    decided: Plan | None = None

    def plan(self, image: RgbImage) -> Plan:
        """Decide what to do about it; `image` is the whole photo."""
        if self.decided is not None:
            return self.decided
        x0, y0, x1, y1 = self.box_xyxy
        seen = shrink_or_grow(image[y0:y1, x0:x1], self.shape.shape[::-1])
        return make_plan(seen, self.shape, opacity_hint=self.opacity)

    def carry_out(self, image: RgbImage, out: RgbImage | None, mask: AlphaChannel) -> None:
        """Remove it: `out` and `mask` are written; without `out` the mask alone."""
        x0, y0, x1, y1 = self.box_xyxy
        part = slice(y0, y1), slice(x0, x1)
        carry_out(self.plan(image), image[part], None if out is None else out[part], mask[part])


def find(network: Network, image: RgbImage, *, sensitivity: float) -> list[Job]:
    """
    Find the marks of a photo.

    Args:
        image: (H, W, 3) uint8.
        sensitivity: 0..1.

    Returns:
        One job a mark, the surest first.
    """
    height, width = image.shape[:2]
    glance = as_repeated(network.look(image, most_pixels=GLANCE_PIXELS))
    jobs = _seen(glance, (0, 0, width, height), sensitivity)
    return _worth_doing(image, _closer(network, image, jobs, sensitivity=sensitivity))


def _worth_doing(image: RgbImage, jobs: list[Job]) -> list[Job]:
    """Without what would be left alone: the photo itself says that no mark is there, or none that can be removed."""
    decided = [replace(job, decided=job.plan(image)) for job in jobs]
    return [job for job in decided if job.decided is not None and job.decided.way != "leave"]


def _closer(network: Network, image: RgbImage, jobs: list[Job], *, sensitivity: float) -> list[Job]:
    """What a closer look at corners and marks changes, in photos that the glance saw much smaller."""
    height, width = image.shape[:2]
    if math.sqrt(GLANCE_PIXELS / (height * width)) >= CLOSE_ENOUGH or any(j.region.kind == "tiled" for j in jobs):
        return jobs
    for box in _closer_boxes(jobs, (width, height)):
        part = np.ascontiguousarray(image[box[1] : box[3], box[0] : box[2]])
        for job in _seen(network.look(part, most_pixels=LOOK_PIXELS), box, sensitivity):
            jobs = [old for old in jobs if _overlap(old.region, job.region) < 0.5]
            jobs.append(job)
    return sorted(jobs, key=lambda job: -job.region.score)


def likelihood(network: Network, image: RgbImage) -> float:
    """How sure the network is that there is any mark in the photo, 0..1."""
    sight = network.look(image, most_pixels=GLANCE_PIXELS)
    return float((cv2.blur(sight.shape, (5, 5)) * sight.gate).max())


def _closer_boxes(jobs: list[Job], size_wh: tuple[int, int]) -> list[BoxXyxy]:
    width, height = size_wh
    across, down = round(CORNER_SHARE[0] * width), round(CORNER_SHARE[1] * height)
    boxes = [(x, y, x + across, y + down) for y in (height - down, 0) for x in (width - across, 0)]
    for job in jobs[: MOST_LOOKS - len(boxes)]:
        x, y, w, h = job.region.bbox_xywh
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


def _seen(sight: Sight, box: BoxXyxy, sensitivity: float) -> list[Job]:
    """The marks in one part of the photo."""
    jobs = []
    for mark in find_marks(sight, sensitivity=sensitivity):
        left, top, width, height = mark.region.bbox_xywh
        own = np.zeros(sight.shape.shape, np.uint8)
        own[top : top + height, left : left + width] = mark.strokes
        shape = np.where(cv2.dilate(own, np.ones((7, 7), np.uint8)) > 0, sight.shape, 0)
        strong = shape > 0.6 * shape.max()
        opacity = float(np.clip(np.median(sight.alpha[strong]), 0, 1))
        jobs.append(_job(mark.region, np.asarray(shape, np.float32), opacity, box))
    return jobs


def _job(region: Region, shape: Matte, opacity: float, box: BoxXyxy) -> Job:
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
    return Job(replace(region, bbox_xywh=bbox), part, cut(shape, seen, size_wh), opacity)


def under_smear(network: Network, image: RgbImage, smear: Mask) -> list[Job]:
    """
    Find out what was smeared over: a mark that the network sees there, strokes drawn to the pixel, or anything else.

    Returns:
        A job for each part of the smear, the largest first.
    """
    height, width = smear.shape
    gap = max(3, round(GAP_SHARE * max(height, width))) | 1
    joined = cv2.dilate(smear.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap)))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    ink = _common_ink(image, smear) if count > 2 else None
    jobs = []
    for number in (1 + np.argsort(-facts[1:, cv2.CC_STAT_AREA]))[:MOST_PARTS] if count > 1 else ():
        x, y, across, down = (int(value) for value in facts[number, :4])
        pad = MARGIN_PX + round(0.1 * max(across, down))
        box = max(0, x - pad), max(0, y - pad), min(width, x + across + pad), min(height, y + down + pad)
        part = slice(box[1], box[3]), slice(box[0], box[2])
        jobs.append(_smeared(network, image, smear[part] & (labels[part] == number), box, ink))
    return jobs


def _common_ink(image: RgbImage, smear: Mask) -> Ink | None:
    """
    What all of the smear is drawn with, if it is one: parts of a mark are too small to tell opacity from colour alone.
    """
    x, y, width, height = cv2.boundingRect(smear.astype(np.uint8))
    box = max(0, x - MARGIN_PX), max(0, y - MARGIN_PX), x + width + MARGIN_PX, y + height + MARGIN_PX
    part = slice(box[1], box[3]), slice(box[0], box[2])
    strokes = _strokes_of(smear[part])
    share = min(1.0, math.sqrt(GLANCE_PIXELS / strokes.size))
    size_wh = max(1, round(strokes.shape[1] * share)), max(1, round(strokes.shape[0] * share))
    plan = make_plan(shrink_or_grow(np.ascontiguousarray(image[part]), size_wh), shrink_or_grow(strokes, size_wh))
    return plan.ink if plan.way == "unblend" else None


def _strokes_of(smear: Mask) -> Matte:
    """A stroke's edge is softer than the smear's that was drawn along it."""
    return np.asarray(cv2.GaussianBlur(smear.astype(np.float32), (0, 0), 0.8), np.float32)


def _smeared(network: Network, image: RgbImage, smear: Mask, box: BoxXyxy, ink: Ink | None) -> Job:
    photo = np.ascontiguousarray(image[box[1] : box[3], box[0] : box[2]])
    sight = network.look(photo, most_pixels=GLANCE_PIXELS)
    size_wh = sight.shape.shape[::-1]
    strokes = cut(_strokes_of(smear), (0, 0, smear.shape[1], smear.shape[0]), size_wh)
    x, y, width, height = cv2.boundingRect(smear.astype(np.uint8))
    region = Region((box[0] + x, box[1] + y, width, height), 1.0, "logo")
    seen = np.where(strokes > 0.1, sight.shape, 0).astype(np.float32)
    small = shrink_or_grow(photo, size_wh)
    plans = [make_plan(small, strokes)]
    if np.count_nonzero(seen > 0.5) > SEEN_SHARE * np.count_nonzero(strokes > 0.5):
        hint = float(np.median(sight.alpha[seen > 0.5]))
        plans.append(make_plan(small, seen, opacity_hint=hint))
    good = [plan for plan in plans if plan.way == "unblend" and plan.check < SMEAR_CHECK]
    if ink is not None:
        common = unblend_plan(small.astype(np.float32), strokes, ink)
        good = [common] + [plan for plan in good if plan.check < OWN_INSTEAD * common.check]
    best = min(good, key=lambda plan: plan.check, default=Plan("inpaint", strokes, None, 1.0))
    return Job(region, box, best.shape, decided=best)
