"""
Marks over clean photos, with the exact truth.

A mark is drawn by itself (`strokes.py`), laid over the photo once, in a corner or as tiles, and blended:
marked = clean (1 - alpha) + alpha colour, rounded, and then often saved as JPEG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.evaluation.watermark.strokes import UNDERS, Assets, Content, Layers, Under, draw_logo_mark, draw_text, put_under
from ml.picture.types import Matte, RgbImage

Kind = Literal["tiled", "large", "corner"]
KINDS: tuple[Kind, ...] = ("tiled", "large", "corner")

Colours = NDArray[np.float32]
Matrix = NDArray[np.float64]
"""(2, 3): from a mark to the picture, as cv2 wants it."""

JPEG_QUALITY = (70, 96)
JPEG_SHARE = 0.85
FAINTNESS: dict[Kind, float] = {"tiled": 1.7, "large": 1.5, "corner": 0.7}
"""Opacity is lowest + (highest - lowest) * u ** this, u even in 0..1: corner stamps are mostly strong."""


@dataclass(frozen=True, slots=True)
class Marked:
    """
    A marked photo and how it came about.

    Attributes:
        image: (H, W, 3) uint8: the marked photo, after JPEG where there was any.
        clean: (H, W, 3) uint8: the photo before.
        alpha: (H, W) float32, 0..1: the share of the mark's colour in each pixel, before JPEG.
        shape: (H, W) float32, 0..1: alpha / opacity, the strokes; soft at edges and in shadows.
        colour: (H, W, 3) float32, 0..255: what was blended in; means something where alpha is above 0.
        opacity: alpha where the mark is whole.
        is_exact: nothing was done to the photo after blending.
    """

    image: RgbImage
    clean: RgbImage
    alpha: Matte
    shape: Matte
    colour: Colours
    kind: Kind
    content: Content
    opacity: float
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a larger picture is seen: its corner (left, top) within `whole_wh`, in pixels."""

    left: int
    top: int
    whole_wh: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Paint:
    opacity: float
    colour: Colours
    under: Under
    under_colour: Colours
    under_share: float
    softness_px: float


def draw_mark(
    photo: RgbImage,
    rng: np.random.Generator,
    *,
    kind: Kind,
    assets: Assets,
    opacity_range: tuple[float, float] = (0.1, 1.0),
    window: Window | None = None,
    jpeg_share: float = JPEG_SHARE,
) -> Marked:
    """
    Lay one mark over a photo.

    Args:
        photo: (H, W, 3) uint8, sRGB.
        opacity_range: lowest and highest, 0..1.
        window: `photo` is only this part of the picture that the mark is laid over; a corner stamp then goes to the
            corner next to it.
        jpeg_share: how often the result is saved as JPEG, 0..1.
    """
    height, width = photo.shape[:2]
    window = window or Window(0, 0, (width, height))
    paint = _choose_paint(rng, kind, opacity_range)
    if kind == "tiled":
        layers, content = _tiled(rng, assets, paint, window, (width, height))
    elif kind == "large":
        layers, content = _large(rng, assets, paint, window, (width, height))
    else:
        layers, content = _corner(rng, assets, paint, window, (width, height))
    return _blend(photo, layers, paint, rng, kind=kind, content=content, jpeg_share=jpeg_share)


def _choose_paint(rng: np.random.Generator, kind: Kind, opacity_range: tuple[float, float]) -> _Paint:
    low, high = opacity_range
    opacity = low + (high - low) * rng.random() ** FAINTNESS[kind]
    colour = _colour(rng)
    shares = (0.55, 0.18, 0.15, 0.12) if kind == "corner" else (0.68, 0.17, 0.15, 0.0)
    under = UNDERS[rng.choice(len(UNDERS), p=shares)]
    dark_or_light = np.full(3, 0.0 if colour.mean() > 110 else 255.0, np.float32)
    under_colour = dark_or_light if rng.random() < 0.75 else _colour(rng)
    if np.abs(under_colour - colour).max() < 60:
        under_colour = 255 - colour
    share = {"nothing": 0.0, "shadow": rng.uniform(0.4, 0.9), "outline": 1.0, "box": rng.uniform(0.3, 1.0)}[under]
    softness = rng.uniform(0.4, 0.9) if rng.random() < 0.35 else 0.0
    return _Paint(float(opacity), colour, under, under_colour, share, softness)


def _colour(rng: np.random.Generator) -> Colours:
    """White, black, grey, or any colour: (3,) float32."""
    chance = rng.random()
    if chance < 0.45:
        grey = 255.0 - 12 * rng.random() * (rng.random() < 0.3)
    elif chance < 0.62:
        grey = 20 * rng.random() * (rng.random() < 0.5)
    elif chance < 0.76:
        grey = rng.uniform(40, 225)
    else:
        return rng.uniform(0, 256, 3).astype(np.float32).clip(0, 255) if rng.random() < 0.6 else _pure(rng)
    return np.full(3, grey, np.float32)


def _pure(rng: np.random.Generator) -> Colours:
    hue = np.array([[[rng.integers(180), rng.integers(170, 256), rng.integers(150, 256)]]], np.uint8)
    return cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def _one(
    rng: np.random.Generator, assets: Assets, paint: _Paint, size_px: float, logos: float
) -> tuple[Layers, Content]:
    """A mark by itself; letters are `size_px` tall, logos three to five times as tall."""
    if rng.random() < logos:
        mark, content = draw_logo_mark(rng, assets, side_px=round(size_px * rng.uniform(2.0, 4.5))), "logo"
    else:
        hollow = size_px > 24 and paint.under == "nothing" and rng.random() < 0.15
        lines = int(rng.choice((1, 2, 3), p=(0.82, 0.13, 0.05)))
        mark, content = draw_text(rng, assets, height_px=round(size_px), lines=lines, hollow=hollow), "text"
    mark = put_under(mark, paint.under, rng)
    if paint.softness_px:
        mark = np.pad(mark, ((2, 2), (2, 2), (0, 0)))
        mark = np.asarray(cv2.GaussianBlur(mark, (0, 0), paint.softness_px), np.uint8)
    return mark, "logo" if content == "logo" else "text"


def _tiled(
    rng: np.random.Generator, assets: Assets, paint: _Paint, window: Window, size_wh: tuple[int, int]
) -> tuple[Layers, Content]:
    shorter = min(window.whole_wh)
    size_px = np.clip(shorter * np.exp(rng.uniform(np.log(0.022), np.log(0.1))), 9, 120)
    mark, content = _one(rng, assets, paint, size_px, logos=0.3)
    width = mark.shape[1]
    gap_x, gap_y = (round(rng.uniform(0.4, 2.5) * size_px * k) for k in (1.5, 1.8))
    cell = np.pad(mark, ((1, gap_y), (1, gap_x), (0, 0)))
    if rng.random() < 0.6:  # every other row is shifted
        cell = np.concatenate([cell, np.roll(cell, round((width + gap_x) * rng.choice((0.5, 0.33))), 1)])
    if content == "logo" and rng.random() < 0.3:
        _lattice(cell, rng)
    angle = rng.choice((0.0, -45.0, 45.0, -30.0, 30.0, float(rng.uniform(-90, 90))), p=(0.2, 0.1, 0.1, 0.15, 0.15, 0.3))
    matrix: Matrix = np.asarray(cv2.getRotationMatrix2D((0, 0), float(angle), 1.0))
    matrix[:, 2] = (rng.uniform(0, cell.shape[1]) - window.left, rng.uniform(0, cell.shape[0]) - window.top)
    return _warp(cell, matrix, size_wh, cv2.BORDER_WRAP), content


def _lattice(cell: Layers, rng: np.random.Generator) -> None:
    """Thin lines along the edges of the cell, as picture agencies have."""
    width = int(rng.integers(1, 3))
    cell[:width, :, 0] = 255
    cell[:, :width, 0] = 255
    cell[..., 1] = np.minimum(cell[..., 1], 255 - cell[..., 0])


def _large(
    rng: np.random.Generator, assets: Assets, paint: _Paint, window: Window, size_wh: tuple[int, int]
) -> tuple[Layers, Content]:
    whole_w, whole_h = window.whole_wh
    shorter = min(whole_w, whole_h)
    mark, content = _one(rng, assets, paint, float(np.clip(shorter * rng.uniform(0.08, 0.22), 14, 160)), logos=0.35)
    height, width = mark.shape[:2]
    angle = float(rng.choice((0.0, 1.0, -1.0, 2.0), p=(0.45, 0.15, 0.15, 0.25)))
    angle = float(rng.uniform(-60, 60)) if angle == 2.0 else angle * np.degrees(np.arctan2(whole_h, whole_w))
    turned = np.abs([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    span = np.array([width * turned[0] + height * turned[1], width * turned[1] + height * turned[0]])
    scale = float(rng.uniform(0.45, 1.05) * np.min(np.array([whole_w, whole_h]) / span))
    if content == "logo":
        scale = min(scale, 0.7 * shorter / height)
    shift = rng.uniform(-0.12, 0.12, 2) * (whole_w, whole_h)
    matrix: Matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale))
    matrix[:, 2] += np.array([whole_w, whole_h]) / 2 + shift - (width / 2, height / 2) - (window.left, window.top)
    if scale < 0.6:  # no finer than what can be drawn
        mark = np.asarray(cv2.GaussianBlur(mark, (0, 0), 0.4 / scale), np.uint8)
    layers = _warp(mark, matrix, size_wh, cv2.BORDER_CONSTANT)
    if rng.random() < 0.18:
        _add_lines(layers, rng, window)
    return layers, content


def _add_lines(layers: Layers, rng: np.random.Generator, window: Window) -> None:
    """Diagonals through the whole picture, or a frame of lines, up to the mark's box."""
    whole_w, whole_h = window.whole_wh
    strokes = np.zeros(layers.shape[:2], np.uint8)
    width = int(rng.integers(1, max(2, round(min(whole_w, whole_h) * 0.012)) + 1))
    if rng.random() < 0.6:
        ends = np.array([(0, 0, whole_w, whole_h), (whole_w, 0, 0, whole_h)], float)
    else:
        x, y = whole_w * rng.uniform(0.2, 0.8), whole_h * rng.uniform(0.2, 0.8)
        ends = np.array([(x, 0, x, whole_h), (0, y, whole_w, y)])
    ends -= (window.left, window.top) * 2
    for x0, y0, x1, y1 in np.rint(16 * ends).astype(int).tolist():
        cv2.line(strokes, (x0, y0), (x1, y1), 255, width, cv2.LINE_AA, 4)
    layers[..., 0] = np.maximum(layers[..., 0], strokes)
    layers[..., 1] = np.minimum(layers[..., 1], 255 - layers[..., 0])


def _corner(
    rng: np.random.Generator, assets: Assets, paint: _Paint, window: Window, size_wh: tuple[int, int]
) -> tuple[Layers, Content]:
    whole_w, whole_h = window.whole_wh
    shorter = min(whole_w, whole_h)
    size_px = float(np.clip(shorter * np.exp(rng.uniform(np.log(0.022), np.log(0.075))), 8, 90))
    mark, content = _one(rng, assets, paint, size_px, logos=0.3)
    scale = min(1.0, 0.8 * whole_w / mark.shape[1], 0.35 * whole_h / mark.shape[0])
    if scale < 1:
        mark = np.asarray(cv2.resize(mark, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    is_banner = paint.under == "box" and rng.random() < 0.35
    if is_banner:  # the box reaches over the whole width
        side = max(0, whole_w - mark.shape[1])
        mark = np.pad(mark[:, 1:-1], ((0, 0), (side // 2 + 1, side - side // 2 + 1), (0, 0)), mode="edge")
    left, top = _beside_corner(rng, window, size_wh, mark.shape[:2], touches=paint.under == "box")
    fraction = rng.random(2) if rng.random() < 0.3 else np.zeros(2)
    offset = np.rint((0.0 if is_banner else left, top)) - (window.left, window.top) + fraction
    matrix = np.hstack([np.eye(2), offset[:, None]])
    return _warp(mark, matrix, size_wh, cv2.BORDER_CONSTANT), content


def _beside_corner(
    rng: np.random.Generator,
    window: Window,
    size_wh: tuple[int, int],
    mark_hw: tuple[int, ...],
    *,
    touches: bool,
) -> tuple[float, float]:
    """Left and top of a mark in the whole picture: below right most often, or in the corner next to the window."""
    whole_w, whole_h = window.whole_wh
    margin_x, margin_y = rng.uniform(0.0 if touches else 0.008, 0.06, 2) * min(whole_w, whole_h)
    height, width = mark_hw[:2]
    is_whole = size_wh == window.whole_wh
    at_left, at_top = rng.random() < 0.4, rng.random() < 0.3
    if not is_whole:
        at_left, at_top = window.left + size_wh[0] / 2 < whole_w / 2, window.top + size_wh[1] / 2 < whole_h / 2
    left = margin_x if at_left else whole_w - width - margin_x
    if is_whole and rng.random() < 0.15:
        left = (whole_w - width) / 2
    return left, margin_y if at_top else whole_h - height - margin_y


def _warp(mark: Layers, matrix: Matrix, size_wh: tuple[int, int], border: int) -> Layers:
    warped = cv2.warpAffine(mark, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(0, 0))
    return np.asarray(warped, np.uint8)


def _blend(
    photo: RgbImage,
    layers: Layers,
    paint: _Paint,
    rng: np.random.Generator,
    *,
    kind: Kind,
    content: Content,
    jpeg_share: float,
) -> Marked:
    amounts = layers.astype(np.float32)
    shares = np.array([[1.0, paint.under_share]]) * paint.opacity / 255
    alpha = np.asarray(cv2.transform(amounts, shares), np.float32).reshape(photo.shape[:2])
    parts = np.asarray(cv2.transform(amounts, shares * np.stack([paint.colour, paint.under_colour], 1)), np.float32)
    colour = np.broadcast_to(paint.colour, photo.shape)
    if paint.under_share:
        colour = np.where(alpha[..., None] > 0, parts / np.maximum(alpha, 1e-6)[..., None], colour)
    shining_through = cv2.multiply(photo, cv2.merge([1 - alpha] * 3), dtype=cv2.CV_32F)
    marked = np.asarray(cv2.add(shining_through, parts, dtype=cv2.CV_8U), np.uint8)
    is_saved = rng.random() < jpeg_share
    opacity = paint.opacity * (paint.under_share if paint.under == "box" else 1.0)
    shape = np.minimum(alpha / opacity, 1)
    image = save_as_jpeg(marked, int(rng.integers(*JPEG_QUALITY))) if is_saved else marked
    return Marked(
        image, photo, alpha, shape, colour, kind, content, float(opacity), not is_saved
    )  # fmt: skip


def save_as_jpeg(image: RgbImage, quality: int) -> RgbImage:
    """What is left of (H, W, 3) uint8 RGB after JPEG of this quality, 1..100."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
