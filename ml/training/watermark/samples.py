"""
Training batches: parts of clean photos at some scale, and drawn patterns and pages; most with a mark over them.

Whether a view was saved as JPEG, before a mark came or after, says nothing about whether there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.evaluation.watermark.marks import KINDS, Window, draw_mark, save_as_jpeg
from ml.evaluation.watermark.photos import CleanPhoto
from ml.evaluation.watermark.strokes import Assets
from ml.picture.types import RgbImage
from ml.training.watermark import pages, patterns

UNMARKED_OF_EIGHT = 4
DRAWN_SHARE = 0.3, 0.1
"""Of unmarked and of marked views: those of drawn patterns and pages instead of photos."""

JPEG_SHARE, JPEG_BEFORE_SHARE, JPEG_QUALITY = 0.6, 0.3, (60, 97)
""""Before": the photo was a JPEG when the mark was laid over it."""

SHARPENED_SHARE, BLURRED_SHARE = 0.2, 0.2
WHOLE_SHARE = 0.35
"""Of views that show a whole photo made smaller; the others are parts."""

SCALES = (0.6, 1.4)
"""Of parts; larger where a photo would not fill the view."""

ON_WHITE_SHARE = 0.12
"""Of views that are set small before white, as shops show their goods."""

HARD_SHARE = 0.6
"""Of unmarked views that are drawn by how much was found in them before."""

MIN_SEEN_LEVELS = 6.0
"""Strokes that change a pixel by less than this teach less: white on white can't be seen."""
MIN_WEIGHT = 0.25

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Views, packed as they are drawn: what is a share of one is kept as 0..255.

    Attributes:
        photo, clean: (N, H, W, 3) uint8: with the mark, and before it.
        shape, alpha: (N, H, W) uint8: the strokes, and how opaque they are.
        weight: (N, H, W) uint8: how much each pixel teaches.
        numbers: (N,) which photo each view is of.
        is_marked: (N,) bool; the unmarked come first.
    """

    photo: Bytes
    clean: Bytes
    shape: Bytes
    alpha: Bytes
    weight: Bytes
    numbers: NDArray[np.int64]
    is_marked: NDArray[np.bool_]


def draw_batch(
    photos: Sequence[CleanPhoto],
    assets: Assets,
    rng: np.random.Generator,
    *,
    batch: int,
    side_px: int,
    lowest_opacity: float,
    hardness: Floats,
    unmarked_of_eight: int = UNMARKED_OF_EIGHT,
) -> Batch:
    """
    Args:
        hardness: (len(photos),) float32, at least 0: how much was found on each when it was unmarked.
    """
    unmarked = unmarked_of_eight * batch // 8
    chances = (hardness + 1e-3) / (hardness + 1e-3).sum()
    views, numbers = [], []
    for index in range(batch):
        is_hard = index < unmarked and rng.random() < HARD_SHARE
        number = int(rng.choice(len(photos), p=chances) if is_hard else rng.integers(len(photos)))
        numbers.append(number)
        if index < unmarked:
            views.append(_unmarked(photos[number].image, rng, side_px, assets))
        else:
            kind = KINDS[int(rng.integers(3))]
            if rng.random() < DRAWN_SHARE[1]:
                seen, window = _drawn(rng, side_px, assets), Window(0, 0, (side_px, side_px))
            else:
                seen, window = _view(photos[number].image, rng, side_px, at_corner=kind == "corner")
            opacity_range = lowest_opacity, 1.0
            marked = draw_mark(
                seen, rng, kind=kind, assets=assets, opacity_range=opacity_range, window=window, jpeg_share=JPEG_SHARE
            )
            change = cv2.absdiff(np.asarray(marked.colour, np.float32), marked.clean.astype(np.float32))
            change = np.maximum(np.maximum(change[..., 0], change[..., 1]), change[..., 2]) * marked.alpha
            weight = np.where(marked.shape > 0.05, np.clip(change / MIN_SEEN_LEVELS, MIN_WEIGHT, 1), 1)
            views.append((marked.image, seen, _packed(marked.shape), _packed(marked.alpha), _packed(weight)))
    image, clean, shape, alpha, weight = (np.stack(part) for part in zip(*views, strict=True))
    return Batch(image, clean, shape, alpha, weight, np.array(numbers), np.arange(batch) >= unmarked)


def _packed(part: Floats) -> Bytes:
    return (255 * part + 0.5).astype(np.uint8)


def _unmarked(
    photo: RgbImage, rng: np.random.Generator, side_px: int, assets: Assets
) -> tuple[RgbImage, RgbImage, Bytes, Bytes, Bytes]:
    if rng.random() < DRAWN_SHARE[0]:
        clean = _drawn(rng, side_px, assets)
    else:
        clean, _ = _view(photo, rng, side_px, at_corner=rng.random() < 0.33)
    seen = save_as_jpeg(clean, int(rng.integers(*JPEG_QUALITY))) if rng.random() < JPEG_SHARE else clean
    nothing = np.zeros(seen.shape[:2], np.uint8)
    return seen, clean, nothing, nothing, np.full_like(nothing, 255)


def _drawn(rng: np.random.Generator, side_px: int, assets: Assets) -> RgbImage:
    """A pattern or a page, whole or in part, flat or as photographed."""
    families = patterns.TRAIN if rng.random() < 0.6 else pages.TRAIN
    side = round(side_px * rng.choice((1.0, rng.uniform(1, 2))))
    flat = families[int(rng.integers(len(families)))](rng, (side, side), assets)
    return _resaved(_resized(patterns.as_photographed(flat, rng), (side_px, side_px)), rng)


def _resaved(seen: RgbImage, rng: np.random.Generator) -> RgbImage:
    """As it was before anything came over it: sharpened, blurred, or from a JPEG."""
    chance = rng.random()
    if chance < SHARPENED_SHARE:
        soft = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.6, 1.5)))
        amount = float(rng.uniform(0.3, 1.2))
        seen = np.asarray(cv2.addWeighted(seen, 1 + amount, soft, -amount, 0), np.uint8)
    elif chance < SHARPENED_SHARE + BLURRED_SHARE:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.4, 1.5))), np.uint8)
    return save_as_jpeg(seen, int(rng.integers(*JPEG_QUALITY))) if rng.random() < JPEG_BEFORE_SHARE else seen


def _view(photo: RgbImage, rng: np.random.Generator, side_px: int, *, at_corner: bool) -> tuple[RgbImage, Window]:
    height, width = photo.shape[:2]
    if rng.random() < WHOLE_SHARE:
        size = np.array([width, height])
        cut = np.minimum(size, np.rint(size.min() * np.exp(rng.uniform(0, 0.4, 2))).astype(int))
        left, top = (int(rng.integers(room + 1)) for room in size - cut)
        part = photo[top : top + cut[1], left : left + cut[0]]
        return _relit(_resized(part, (side_px, side_px)), rng), Window(0, 0, (side_px, side_px))
    scale = max(float(rng.uniform(*SCALES)), side_px / min(height, width))
    whole_wh = max(side_px, round(width * scale)), max(side_px, round(height * scale))
    if at_corner:
        room = rng.integers(0, 12, 2)
        left, top = (
            int(min(space, whole - side_px) if rng.random() < 0.5 else max(0, whole - side_px - space))
            for space, whole in zip(room, whole_wh, strict=True)
        )
    else:
        left, top = (int(rng.integers(whole - side_px + 1)) for whole in whole_wh)
    side = round(side_px / scale)
    x, y = min(round(left / scale), width - side), min(round(top / scale), height - side)
    part = photo[max(0, y) : max(0, y) + side, max(0, x) : max(0, x) + side]
    return _relit(_resized(part, (side_px, side_px)), rng), Window(left, top, whole_wh)


def _resized(part: RgbImage, size_wh: tuple[int, int]) -> RgbImage:
    way = cv2.INTER_AREA if part.shape[0] > size_wh[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, size_wh, interpolation=way), np.uint8)


def _on_white(seen: RgbImage, rng: np.random.Generator) -> RgbImage:
    """The view as an oval or a rectangle before white or nearly so."""
    side = seen.shape[0]
    width, height = (int(side * share) for share in rng.uniform(0.45, 0.85, 2))
    left, top = (int((side - length) * rng.uniform(0.2, 0.8)) for length in (width, height))
    page = np.full_like(seen, rng.integers(240, 256))
    small = cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA)
    inside = np.full((height, width), 255, np.uint8)
    if rng.random() < 0.6:
        inside[:] = 0
        cv2.ellipse(inside, (width // 2, height // 2), (width // 2 - 1, height // 2 - 1), 0, 0, 360, 255, -1)
    np.copyto(page[top : top + height, left : left + width], small, where=inside[..., None] > 0)
    return page


def _turned(seen: RgbImage, rng: np.random.Generator) -> RgbImage:
    """A square view mirrored, at times upside down, on its side, or with its colours exchanged: before letters come."""
    if rng.random() < 0.5:
        seen = seen[:, ::-1]
    if rng.random() < 0.1:
        seen = seen[::-1]
    if rng.random() < 0.1:
        seen = seen.transpose(1, 0, 2)
    if rng.random() < 0.15:
        seen = seen[..., rng.permutation(3)]
    return np.ascontiguousarray(seen)


def _relit(seen: RgbImage, rng: np.random.Generator) -> RgbImage:
    if rng.random() < ON_WHITE_SHARE:
        seen = _on_white(seen, rng)
    seen = _turned(seen, rng)
    if rng.random() < 0.6:
        gain, shift = rng.uniform(0.75, 1.25), rng.uniform(-20, 20)
        seen = np.asarray(cv2.convertScaleAbs(seen, alpha=gain, beta=max(0.0, shift)), np.uint8)
    if rng.random() < 0.06:
        seen = np.asarray(cv2.cvtColor(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(1, 6), seen.shape)
        seen = np.clip(np.rint(seen + noise), 0, 255).astype(np.uint8)
    return _resaved(seen, rng)
