"""
From a map of strokes to marks: letters that belong together, their box, how sure, and what they look like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.types import BoxXywh, Mask
from ml.watermark.finder import Sight

Kind = Literal["text", "logo", "tiled"]

SURE, SWING = 0.5, 0.35
"""The score from which on a mark is reported at sensitivity 0.5; at 1 it is lower by `SWING`, at 0 higher by as much."""

MOST_SURE = 0.97

GATE_ODDS, GATE_ODDS_IF_MARKED = 30.0, 6.0
"""The network saw marks on half of its photos, customers send far fewer: its gate's odds are divided by this, and by less
once one mark is sure. Chosen on validation and on drawn patterns, at which false alarms weigh more than marks that are missed;
the curve is in `ml/weights/watermark.md`."""

NEAR_SHARE = 0.22
"""Of the score that a mark must reach: what each of its strokes must. A mark is judged by all of it, not by its best part."""

STROKE = 0.43
"""The shape from which on a pixel is a stroke, at sensitivity 0.5."""

GAP_SHARE = 0.02
"""Of the photo's long side: strokes closer than that belong together."""

MIN_AREA_PX, MIN_AREA_SHARE = 12, 4e-5
FEWEST_TILES, TILE_SPREAD = 5, 0.45
"""Marks of like size that are at least so many and span so much of both sides are one that repeats."""

FEWEST_LETTERS, TEXT_PROPORTION = 4, 1.8


@dataclass(frozen=True, slots=True)
class Region:
    """A mark that was found: its box in pixels, how sure of it (0..1), and what it looks like."""

    bbox_xywh: BoxXywh
    score: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Found:
    """A mark, and where in its box strokes are: (h, w) bool."""

    region: Region
    strokes: Mask


def find_marks(sight: Sight, *, sensitivity: float) -> list[Found]:
    """
    Find the marks in what the network said.

    Args:
        sight: (H, W): the network's maps, of a photo or a part of one.
        sensitivity: 0..1.

    Returns:
        The marks, the surest first; boxes in the map's pixels. A mark that repeats is one.
    """
    least = min(MOST_SURE, SURE + SWING * (1 - 2 * sensitivity))
    stroke = STROKE * (1.5 - sensitivity)
    marks = _marks_of(sight, least=least, stroke=stroke)
    if not marks or _as_if_alone(marks[0].region.score) < least:
        return []
    is_one = sight.is_tiled or _repeats(marks, sight.shape.shape)
    return _as_one(marks, sight.shape.shape) if is_one else marks


def _as_if_alone(score: float) -> float:
    """A mark's score where no other is sure."""
    return score / (score + GATE_ODDS / GATE_ODDS_IF_MARKED * (1 - score))


def _marks_of(sight: Sight, *, least: float, stroke: float) -> list[Found]:
    """Strokes that lie together, where they score at least `least`, the surest first."""
    shape, gate = sight.shape, sight.gate
    near = gate / (gate + GATE_ODDS_IF_MARKED * (1 - gate))
    strokes = (shape > stroke) & (near > NEAR_SHARE * least)
    if not strokes.any():
        return []
    gap = max(3, round(GAP_SHARE * max(shape.shape))) | 1
    joined = cv2.dilate(strokes.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap)))
    count, parts = cv2.connectedComponents(joined, connectivity=8)
    labels = np.where(strokes, parts, 0).astype(np.int32)
    marks = []
    for number, (rows, columns) in enumerate(_boxes(labels, count), start=1):
        own = labels[rows, columns] == number
        area = int(np.count_nonzero(own))
        if area < max(MIN_AREA_PX, MIN_AREA_SHARE * shape.size):
            continue
        score = float(np.quantile(near[rows, columns][own], 0.9))
        if score >= least:
            box = columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
            marks.append(Found(Region(box, min(1.0, score), _kind(own)), own))
    return sorted(marks, key=lambda mark: -mark.region.score)


def _boxes(labels: NDArray[np.int32], count: int) -> list[tuple[slice, slice]]:
    """The box around each label from 1 on; an empty one where nothing of it is left."""
    lefts, rights = np.full(count, labels.shape[1]), np.zeros(count, int)
    tops, bottoms = np.full(count, labels.shape[0]), np.zeros(count, int)
    y, x = np.nonzero(labels)
    number = labels[y, x]
    np.minimum.at(lefts, number, x)
    np.maximum.at(rights, number, x + 1)
    np.minimum.at(tops, number, y)
    np.maximum.at(bottoms, number, y + 1)
    return [
        (slice(top, max(top, bottom)), slice(left, max(left, right)))
        for top, bottom, left, right in zip(
            tops[1:].tolist(), bottoms[1:].tolist(), lefts[1:].tolist(), rights[1:].tolist(), strict=True
        )
    ]


def _kind(strokes: Mask) -> Kind:
    """Text is a row of several pieces, longer than high in its own direction."""
    pieces, _, facts, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    large = facts[1:, cv2.CC_STAT_AREA] >= 0.1 * facts[1:, cv2.CC_STAT_AREA].max()
    _, (width, height), _ = cv2.minAreaRect(np.argwhere(strokes).astype(np.float32))
    proportion = max(width, height) / max(1.0, min(width, height))
    is_text = pieces > FEWEST_LETTERS and int(large.sum()) >= FEWEST_LETTERS - 1 and proportion >= TEXT_PROPORTION
    return "text" if is_text else "logo"


def _repeats(marks: list[Found], shape_hw: tuple[int, ...]) -> bool:
    if len(marks) < FEWEST_TILES:
        return False
    areas = np.array([np.count_nonzero(mark.strokes) for mark in marks])
    alike = (areas > 0.4 * np.median(areas)) & (areas < 2.5 * np.median(areas))
    boxes = np.array([mark.region.bbox_xywh for mark in marks])[alike]
    if len(boxes) < FEWEST_TILES or alike.mean() < 0.5:
        return False
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    spans = np.ptp(centres, axis=0) / np.array(shape_hw[1::-1])
    return bool((spans > TILE_SPREAD).all())


def _as_one(marks: list[Found], shape_hw: tuple[int, ...]) -> list[Found]:
    strokes = np.zeros(shape_hw, bool)
    for mark in marks:
        x, y, width, height = mark.region.bbox_xywh
        strokes[y : y + height, x : x + width] |= mark.strokes
    x, y, width, height = cv2.boundingRect(strokes.astype(np.uint8))
    region = Region((x, y, width, height), marks[0].region.score, "tiled")
    return [Found(region, strokes[y : y + height, x : x + width])]
