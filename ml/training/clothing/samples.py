"""Training batches: photos cropped, turned, scaled, flipped and re-lit by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.clothing.garments import GARMENTS
from ml.picture.types import RgbImage
from ml.training.clothing.labels import BACKGROUND, IGNORED
from ml.training.clothing.photos import LabelledPhoto

STREET_SHAPES = ((512, 192), (480, 224), (416, 256), (352, 288))
PAIR_SHAPE = (352, 128)
FLAT_SHAPES = ((384, 320), (320, 320), (384, 256), (288, 352))
PAIRS, CLOSE_UPS, MOVED = 0.08, 0.2, 0.12
"""Shares of batches, and of samples."""

BARE_OF_EIGHT = 2
RARE = frozenset(GARMENTS.index(name) for name in ("bag", "hat"))
MARGIN = 0.06
"""Around the box, of its own sides; what the locator leaves too."""

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sources:
    """What batches are drawn from: people in streets, garments on floors, and photos without any clothes."""

    street: Sequence[LabelledPhoto]
    flat: Sequence[LabelledPhoto]
    bare: Sequence[RgbImage]


@dataclass(frozen=True, slots=True)
class Manner:
    """
    `size` scales the sides of views, `variety` how often people are seen close, in pairs or moved elsewhere;
    `recoloured` is the share of views in which a garment is dyed, `rare` how much oftener photos with hats or bags come.
    """

    size: float = 1.0
    variety: float = 1.0
    recoloured: float = 0.0
    rare: float = 1.0


def draw_street(sources: Sources, rng: np.random.Generator, batch: int, manner: Manner) -> tuple[Floats, Labels]:
    """
    A batch of street photos: some are two people side by side, some people were put before another background.

    Returns:
        (N, 3, H, W) float32 as the encoder sees it, (N, H / 2, W / 2) uint8 labels.
    """
    photos = sources.street
    if rng.random() < manner.variety * PAIRS:
        chosen = [photos[i] for i in rng.choice(len(photos), 2 * batch, replace=False)]
        halves = [_view(photo, _sized(PAIR_SHAPE, manner.size), rng) for photo in chosen]
        views = [
            (np.hstack([left[0], right[0]]), np.hstack([left[1], right[1]]))
            for left, right in zip(halves[::2], halves[1::2], strict=True)
        ]
        return _stack(views, rng)
    shape_hw = _sized(STREET_SHAPES[rng.choice(len(STREET_SHAPES), p=(0.55, 0.2, 0.15, 0.1))], manner.size)
    views = []
    for i in rng.choice(len(photos), batch, replace=False, p=_chances(photos, manner.rare)):
        is_moved = len(sources.bare) and rng.random() < manner.variety * MOVED
        views.append(
            _moved(photos[i], sources, shape_hw, rng)
            if is_moved
            else _view(photos[i], shape_hw, rng, variety=manner.variety)
        )
    return _stack([_dyed(*view, rng, manner.recoloured) for view in views], rng)


def _chances(photos: Sequence[LabelledPhoto], rare: float) -> Floats | None:
    """How likely each photo is drawn; those with a hat or a bag `rare` times as likely."""
    if rare == 1:
        return None
    chances = np.array([rare if photo.kinds & RARE else 1.0 for photo in photos])
    return chances / chances.sum()


def draw_flat(sources: Sources, rng: np.random.Generator, batch: int, manner: Manner) -> tuple[Floats, Labels]:
    """A batch of flat-lays and some photos without clothes, as `draw_street` gives it."""
    shape_hw = _sized(FLAT_SHAPES[rng.integers(len(FLAT_SHAPES))], manner.size)
    bare = min(BARE_OF_EIGHT * batch // 8, len(sources.bare))
    chosen = [sources.flat[i] for i in rng.choice(len(sources.flat), batch - bare, replace=False)]
    views = [_dyed(*_view(photo, shape_hw, rng, turns_deg=25.0), rng, manner.recoloured) for photo in chosen]
    return _stack(views + [_without_clothes(sources, shape_hw, rng) for _ in range(bare)], rng)


def _sized(shape_hw: tuple[int, int], size: float) -> tuple[int, int]:
    height, width = (round(side * size / 32) * 32 for side in shape_hw)
    return height, width


def _without_clothes(sources: Sources, shape_hw: tuple[int, int], rng: np.random.Generator) -> tuple[Labels, Labels]:
    height, width = shape_hw
    image = sources.bare[int(rng.integers(len(sources.bare)))]
    scale = max(height / image.shape[0], width / image.shape[1])
    crop_h, crop_w = min(image.shape[0], int(height / scale)), min(image.shape[1], int(width / scale))
    top, left = rng.integers(image.shape[0] - crop_h + 1), rng.integers(image.shape[1] - crop_w + 1)
    seen = cv2.resize(image[top : top + crop_h, left : left + crop_w], (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        seen = seen[:, ::-1]
    return np.ascontiguousarray(seen), np.full((height // 2, width // 2), BACKGROUND, np.uint8)


def _moved(
    photo: LabelledPhoto, sources: Sources, shape_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[Labels, Labels]:
    """The person alone, often smaller, before a photo without clothes."""
    image, labels = _without_clothes(sources, shape_hw, rng)
    image, labels = image.copy(), labels.copy()
    person, his = _view(photo, shape_hw, rng, zoom=float(rng.uniform(0.4, 1.0)))
    inside = (his != BACKGROUND).astype(np.uint8)
    matte = cv2.resize(inside * 255, shape_hw[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)[..., None] / 255
    image[:] = np.rint(person * matte + image * (1 - matte))
    np.copyto(labels, his, where=inside.astype(bool))
    return image, labels


def _view(
    photo: LabelledPhoto,
    shape_hw: tuple[int, int],
    rng: np.random.Generator,
    *,
    turns_deg: float = 8.0,
    zoom: float | None = None,
    variety: float = 1.0,
) -> tuple[Labels, Labels]:
    """One crop of the photo's box, and its labels. `zoom`: of the scale at which the box fits; by chance without."""
    height, width = shape_hw
    x0, y0, x1, y1 = photo.box_xyxy
    box_wh = np.array([x1 - x0, y1 - y0]) * (1 + 2 * MARGIN)
    scale = min(height / box_wh[1], width / box_wh[0]) * (np.exp(rng.uniform(-0.25, 0.2)) if zoom is None else zoom)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + rng.uniform(-0.06, 0.06, 2) * box_wh
    if zoom is not None:
        centre += rng.uniform(-0.5, 0.5, 2) * np.maximum(0, np.array([width, height]) / scale - box_wh)
    elif rng.random() < variety * CLOSE_UPS:  # shoes, a hat, a bag from nearby
        scale *= rng.uniform(1.2, 2.0)
        room = np.maximum(0, box_wh - np.array([width, height]) / scale) / 2
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + rng.uniform(-1, 1, 2) * room
    angle, stretch = np.deg2rad(rng.normal(0, turns_deg / 2)), np.exp(rng.uniform(-0.08, 0.08))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([scale * stretch, scale / stretch])
    if rng.random() < 0.5:
        linear = np.diag([-1.0, 1.0]) @ linear
    matrix = np.hstack([linear, (np.array([width / 2, height / 2]) - linear @ centre)[:, None]])
    half = np.diag([0.5, 0.5]) @ matrix
    half[:, 2] -= 0.25  # pixel centres of the half grid
    image = cv2.warpAffine(photo.image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(127, 127, 127))
    size_wh = (width // 2, height // 2)
    labels = cv2.warpAffine(photo.labels, half, size_wh, flags=cv2.INTER_NEAREST, borderValue=BACKGROUND)
    return np.asarray(image, np.uint8), np.asarray(labels, np.uint8)


def _dyed(image: Labels, labels: Labels, rng: np.random.Generator, chance: float) -> tuple[Labels, Labels]:
    """By chance one garment's colour is changed: what it is does not hang on it."""
    kinds = np.unique(labels[labels < len(GARMENTS)])
    if not kinds.size or rng.random() >= chance:
        return image, labels
    inside = (labels == rng.choice(kinds)).astype(np.float32)
    matte = cv2.GaussianBlur(cv2.resize(inside, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), (0, 0), 1.0)
    turned = image[..., rng.permutation(3)].astype(np.float32)
    dyed = np.clip(turned * rng.uniform(0.5, 1.5, 3) + rng.uniform(-30, 30), 0, 255)
    mixed = image + (dyed - image) * matte[..., None]
    return np.rint(mixed).astype(np.uint8), labels


def _stack(views: list[tuple[Labels, Labels]], rng: np.random.Generator) -> tuple[Floats, Labels]:
    images = np.stack([_relight(image.astype(np.float32), rng) for image, _ in views])
    return np.ascontiguousarray(((images - 127) / 128).transpose(0, 3, 1, 2), np.float32), np.stack(
        [labels for _, labels in views]
    )


def _relight(photo: Floats, rng: np.random.Generator) -> Floats:
    grey = photo.mean(axis=2, keepdims=True)
    photo = grey + (photo - grey) * np.float32(rng.uniform(0.5, 1.4) if rng.random() < 0.92 else 0.0)
    photo = (photo - 127) * np.float32(rng.uniform(0.7, 1.3)) + 127 + np.float32(rng.uniform(-30, 30))
    photo = photo * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    if rng.random() < 0.15:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 1.5)).astype(np.float32)
    return np.clip(photo, 0, 255)


def class_weights(photos: Sequence[LabelledPhoto], classes: int, *, evenness: float) -> Floats:
    """1 / frequency ** evenness, scaled to the mean class and kept within 0.25..3: (classes,) float32."""
    counts = np.zeros(256)
    for photo in photos:
        counts += np.bincount(photo.labels.ravel(), minlength=256)
    counts[IGNORED] = 0
    shares = counts[:classes] / counts.sum()
    weights = np.maximum(shares, 1e-6) ** -evenness
    return np.clip(weights / np.median(weights), 0.25, 3.0).astype(np.float32)
