"""
Scenes for what the labelled photos do not show: products with shadows and reflections, white things on white, people
before animals and things, and textures with nothing in them. Made of labelled photos, so the truth is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
BoxXyxy = tuple[int, int, int, int]

STUDIO_SIZES_HW = ((480, 480), (420, 560), (560, 420))


@dataclass(frozen=True, slots=True)
class Cutting:
    """Something cut out of a photo: (H, W, 3) float32 0..255 and (H, W) float32 0..1, cropped to it."""

    colour: Floats
    alpha: Floats


def cut(image: Bytes, truth: Floats, *, feather_px: float = 0.8) -> Cutting:
    """Cut the largest thing out of an (H, W, 3) uint8 photo by its (H, W) float32 truth."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats((truth > 0.5).astype(np.uint8))
    largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    left, top, width, height = (int(v) for v in facts[largest, :4])
    box = slice(top, top + height), slice(left, left + width)
    alpha = cv2.GaussianBlur((labels == largest).astype(np.float32)[box], (0, 0), feather_px)
    return Cutting(image[box].astype(np.float32), np.asarray(alpha, np.float32))


def stands_free(truth: Floats) -> bool:
    """Is a truth's subject large enough and whole, away from every border?"""
    ys, xs = np.nonzero(truth > 0.5)
    height, width = truth.shape
    if not len(ys) or len(ys) < 0.06 * truth.size:
        return False
    return bool(ys.min() >= 3 and xs.min() >= 3 and ys.max() < height - 3 and xs.max() < width - 3)


def studio(thing: Cutting, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """
    A product photo: one thing on white, a gradient or a table, with a cast shadow, a drop shadow or a reflection.

    Returns:
        (H, W, 3) uint8 and its truth (H, W) uint8: the thing without what it throws.
    """
    height, width = STUDIO_SIZES_HW[rng.integers(3)]
    scale = min(
        height * rng.uniform(0.45, 0.8) / thing.alpha.shape[0], width * rng.uniform(0.45, 0.8) / thing.alpha.shape[1]
    )
    colour, alpha = _scaled(thing, scale)
    kind = str(rng.choice(["white", "gradient", "table"]))
    if rng.random() < 0.3:
        colour, kind = _whitened(colour, rng), str(rng.choice(["white", "white", "gradient"]))
    top = int((height - alpha.shape[0]) * rng.uniform(0.3, 0.75))
    left = int((width - alpha.shape[1]) * rng.uniform(0.25, 0.75))
    place = slice(top, top + alpha.shape[0]), slice(left, left + alpha.shape[1])
    matte = np.zeros((height, width), np.float32)
    front = np.zeros((height, width, 3), np.float32)
    matte[place], front[place] = alpha, colour
    behind = _backdrop(height, width, kind, rng)
    foot_xy = left + alpha.shape[1] / 2, top + alpha.shape[0]
    chance = rng.random()
    if chance < 0.75:
        shadow = _cast(matte, foot_xy, rng) if chance < 0.55 else _dropped(matte, rng)
        behind = behind * (1 - rng.uniform(0.2, 0.65) * shadow[..., None])
    elif chance < 0.92:
        behind = _reflected(behind, front, matte, place, rng)
    return _blend(front, matte, behind), (matte * 255).astype(np.uint8)


def crowd(people: list[Cutting], photo: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """
    People pasted into a photo of something else, half as large again.

    Returns:
        (H, W, 3) uint8 and (H, W) uint8: the people alone.
    """
    scene = cv2.resize(photo, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    height, width = scene.shape[:2]
    matte = np.zeros((height, width), np.float32)
    usual = rng.uniform(0.35, 0.95)
    for person in people:
        share = float(np.clip(usual * rng.uniform(0.6, 1.1), 0.2, 1.15))
        colour, alpha = _scaled(person, min(1.6, height * share / person.alpha.shape[0]))
        if rng.random() < 0.5:
            colour, alpha = colour[:, ::-1], alpha[:, ::-1]
        mean = colour.mean()
        colour = (colour - mean) * rng.uniform(0.8, 1.1) + mean * rng.uniform(0.75, 1.1) + rng.uniform(-8, 8, 3)
        left = int(rng.uniform(-0.1 * alpha.shape[1], max(1.0, width - 0.9 * alpha.shape[1])))
        top = int(height - alpha.shape[0] - rng.uniform(-0.15, 0.25) * height)
        _paste(scene, matte, np.clip(colour, 0, 255).astype(np.float32), alpha, (left, top))
    noisy = scene + rng.normal(0, 2, scene.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), (matte * 255).astype(np.uint8)


def texture(image: Bytes, truth: Floats) -> Bytes | None:
    """A quarter of a photo in which nothing of its subject lies, twice as large; None where there is none."""
    half_h, half_w = truth.shape[0] // 2, truth.shape[1] // 2
    for top in (0, half_h):
        for left in (0, half_w):
            quarter = slice(top, top + half_h), slice(left, left + half_w)
            if truth[quarter].max() < 0.2:
                return np.asarray(cv2.resize(image[quarter], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    return None


def _scaled(thing: Cutting, scale: float) -> tuple[Floats, Floats]:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    colour = cv2.resize(thing.colour, None, fx=scale, fy=scale, interpolation=method)
    alpha = cv2.resize(thing.alpha, (colour.shape[1], colour.shape[0]), interpolation=method)
    return np.asarray(colour, np.float32), np.clip(alpha, 0, 1)


def _whitened(colour: Floats, rng: np.random.Generator) -> Floats:
    grey = colour.mean(axis=2, keepdims=True)
    white = np.clip(235 + (grey - grey.mean()) * 0.35 + rng.uniform(-12, 6), 0, 255)
    return np.repeat(white, 3, axis=2).astype(np.float32)


def _backdrop(height: int, width: int, kind: str, rng: np.random.Generator) -> Floats:
    if kind == "white":
        base = np.full((height, width, 3), rng.uniform(238, 255))
    elif kind == "gradient":
        one, other = rng.uniform(120, 250, 3), rng.uniform(120, 250, 3)
        if rng.random() < 0.6:
            one = np.full(3, rng.uniform(150, 250))
            other = np.clip(one + rng.uniform(-60, 30), 60, 255)
        down = np.linspace(0, 1, height)[:, None, None]
        base = np.broadcast_to(one * (1 - down) + other * down, (height, width, 3)).copy()
    else:
        base = np.empty((height, width, 3))
        horizon = int(height * rng.uniform(0.45, 0.7))
        base[:horizon] = rng.uniform(170, 250) + rng.uniform(-12, 12, 3)
        base[horizon:] = rng.uniform(90, 220) + rng.uniform(-25, 25, 3)
        base = cv2.GaussianBlur(base, (0, 0), rng.uniform(1, 20))
    base = base + rng.normal(0, rng.uniform(0.5, 3), (height, width, 1))
    ys, xs = np.mgrid[0:height, 0:width]
    falloff = 1 - rng.uniform(0, 0.36) * ((xs / width - 0.5) ** 2 + (ys / height - 0.5) ** 2)
    return np.clip(base * falloff[..., None], 0, 255).astype(np.float32)


def _cast(matte: Floats, foot_xy: tuple[float, float], rng: np.random.Generator) -> Floats:
    lean, flat = rng.uniform(-0.7, 0.7), rng.uniform(0.15, 0.9)
    matrix = np.array([[1, lean, -lean * foot_xy[1]], [0, flat, foot_xy[1] * (1 - flat)]], np.float32)
    return _soft(cv2.warpAffine(matte, matrix, matte.shape[::-1]), rng.uniform(2, 14))


def _dropped(matte: Floats, rng: np.random.Generator) -> Floats:
    matrix = np.array([[1, 0, rng.uniform(-18, 18)], [0, 1, rng.uniform(2, 22)]], np.float32)
    return _soft(cv2.warpAffine(matte, matrix, matte.shape[::-1]), rng.uniform(4, 20))


def _reflected(
    behind: Floats, front: Floats, matte: Floats, place: tuple[slice, slice], rng: np.random.Generator
) -> Floats:
    foot = place[0].stop
    rows = min(foot - place[0].start, matte.shape[0] - foot)
    if rows < 4:
        return behind
    mirrored = slice(foot - rows, foot)
    strength = np.linspace(rng.uniform(0.25, 0.6), 0, rows, dtype=np.float32)[:, None]
    opacity = (matte[mirrored][::-1] * strength)[..., None]
    out = behind.copy()
    out[foot : foot + rows] = behind[foot : foot + rows] * (1 - opacity) + front[mirrored][::-1] * opacity
    return out


def _soft(matte: Any, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(matte, (0, 0), sigma), np.float32)


def _blend(front: Floats, matte: Floats, behind: Floats) -> Bytes:
    mixed = front * matte[..., None] + behind * (1 - matte[..., None])
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _paste(scene: Floats, matte: Floats, colour: Floats, alpha: Floats, at_xy: tuple[int, int]) -> None:
    """Lay a cutting into a scene, in place, as far as it lies inside."""
    left, top = at_xy
    height, width = matte.shape
    y0, y1, x0, x1 = max(0, top), min(height, top + alpha.shape[0]), max(0, left), min(width, left + alpha.shape[1])
    if y1 - y0 < 20 or x1 - x0 < 10:
        return
    inner = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    outer = slice(y0, y1), slice(x0, x1)
    opacity = alpha[inner][..., None]
    scene[outer] = colour[inner] * opacity + scene[outer] * (1 - opacity)
    matte[outer] = np.maximum(matte[outer], alpha[inner])
