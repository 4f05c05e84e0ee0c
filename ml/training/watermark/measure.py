"""How well strokes are found: IoU, recall and precision of each kind, and how often something is seen where nothing is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.sets import is_held_out
from ml.evaluation.watermark.marks import JPEG_QUALITY, KINDS, Marked, draw_mark, save_as_jpeg
from ml.evaluation.watermark.photos import CleanPhoto
from ml.evaluation.watermark.strokes import Assets
from ml.picture.types import Mask, RgbImage
from ml.watermark.finder import Sight, WatermarkNetwork
from ml.watermark.own_patterns import without_own_patterns
from ml.watermark.regions import find_marks
from ml.watermark.repetition import as_repeated
from ml.watermark.search import GLANCE_PIXELS

Maps = NDArray[np.float32]
"""(H, W, 3) float32, 0..1: strokes, opacity, whether a mark is near."""

Predict = Callable[[RgbImage], Maps]

TRUE_SHAPE = 0.5
"""Strokes of the truth: where at least half of the full opacity is."""

VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True, slots=True)
class Score:
    """Means over photos, 0..1."""

    iou: float
    recall: float
    precision: float


def of_purpose(photos: Sequence[CleanPhoto], purpose: str) -> list[CleanPhoto]:
    """The held-out photos on which settings are chosen (a third of them by hash), or the others."""
    return [photo for photo in photos if is_held_out(f"{photo.stem} {VALIDATION}") == (purpose == VALIDATION)]


def draw_marked(photos: Sequence[CleanPhoto], assets: Assets, *, count: int, seed: int) -> list[Marked]:
    """`count` marked photos, a third of each kind, whole; a photo comes once unless there are too few."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(photos))
    return [draw_mark(photos[order[i % len(order)]].image, rng, kind=KINDS[i % 3], assets=assets) for i in range(count)]


def draw_clean(photos: Sequence[CleanPhoto], *, count: int, seed: int, lossless: bool = False) -> list[RgbImage]:
    """`count` unmarked photos, saved as JPEG once more as marked ones are, or with `lossless` the same as they are."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(photos))[:count]
    if lossless:
        return [photos[i].image for i in order]
    return [save_as_jpeg(photos[i].image, int(rng.integers(*JPEG_QUALITY))) for i in order]


def seen_by(network: WatermarkNetwork) -> Predict:
    """A function from (H, W, 3) uint8 to the (H, W, 3) float32 maps that the service sees, 0..1."""

    def predict(image: RgbImage) -> Maps:
        sight = network.look(image, most_pixels=GLANCE_PIXELS)
        return np.dstack([sight.shape, sight.alpha, sight.gate])

    return predict


def score_one(found: Mask, one: Marked) -> tuple[float, float, float]:
    """IoU, recall, precision of one photo."""
    truth = one.shape >= TRUE_SHAPE
    shared = float((found & truth).sum())
    return (
        shared / max(1, (found | truth).sum()),
        shared / max(1, truth.sum()),
        shared / found.sum() if found.any() else float(not truth.any()),
    )


def scores(found: Sequence[Mask], marked: Sequence[Marked]) -> dict[str, Score]:
    """The means of each kind, and over `all`."""
    figures = np.array([score_one(mask, one) for mask, one in zip(found, marked, strict=True)])
    kinds = np.array([one.kind for one in marked])
    parts: dict[str, NDArray[np.float64]] = {kind: figures[kinds == kind] for kind in KINDS if (kinds == kind).any()}
    parts["all"] = figures
    return {name: Score(*part.mean(0).tolist()) for name, part in parts.items()}


def found_strokes(maps: Maps, photo: RgbImage, sensitivity: float = 0.5) -> Mask:
    """(H, W) bool: the strokes of the marks that the service would report, seen at the photo's own size."""
    strokes = np.zeros(maps.shape[:2], bool)
    found = find_marks(as_repeated(Sight(*np.moveaxis(maps, 2, 0))), sensitivity=sensitivity)
    for mark in without_own_patterns(found, photo, size_wh=(maps.shape[1], maps.shape[0])):
        left, top, width, height = mark.region.bbox_xywh
        strokes[top : top + height, left : left + width] |= mark.strokes
    return strokes


def image_score(maps: Maps) -> float:
    """How sure it is that a photo is marked, 0..1. On validation its AUC is .957, that of strokes times gate .937."""
    return float(maps[..., 2].max())


def auc(marked: Sequence[float], clean: Sequence[float]) -> float:
    """The chance that a marked photo has a higher score than a clean one, 0..1."""
    difference = np.subtract.outer(np.asarray(marked), np.asarray(clean))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
