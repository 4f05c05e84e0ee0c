"""One mark by itself, before it is laid over a photo: text, a logo or both, with what lies under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.evaluation.watermark.fonts import Part, chinese_font, find_fonts, font_of
from ml.evaluation.watermark.logos import TEST, TRAIN, Logo, draw_logo
from ml.evaluation.watermark.words import CHINESE, NAMES, PHRASES, WORDS, of_part, write

Content = Literal["text", "logo"]
Under = Literal["nothing", "shadow", "outline", "box"]
Layers = NDArray[np.uint8]
"""(H, W, 2) uint8: how much the strokes cover, 0..255, and how much what lies under them does, beside the strokes."""

UNDERS: tuple[Under, ...] = ("nothing", "shadow", "outline", "box")
MAX_WIDTH_PX = 1600
"""Text longer than this is drawn smaller: no more of it would be seen."""


@dataclass(frozen=True, slots=True)
class Assets:
    """What marks are made of; those of the two parts share nothing."""

    fonts: tuple[Path, ...]
    logos: tuple[Logo, ...]
    words: tuple[str, ...]
    names: tuple[str, ...]
    phrases: tuple[str, ...]
    chinese: tuple[str, ...]


def read_assets(part: Part) -> Assets:
    """
    Fonts, logos and words of one part.

    Raises:
        SystemExit: a font's package is missing.
    """
    logos = TEST if part == "test" else TRAIN
    words = (of_part(items, part) for items in (WORDS, NAMES, PHRASES, CHINESE))
    return Assets(find_fonts(part), logos, *words)


def draw_text(
    rng: np.random.Generator, assets: Assets, *, height_px: int, lines: int = 1, hollow: bool = False
) -> Layers:
    """One mark of text whose letters are about `height_px` tall; `hollow` letters are outlines alone."""
    if rng.random() < 0.05:
        file, texts = chinese_font(), _some(rng, assets.chinese, lines)
    else:
        file = assets.fonts[rng.integers(len(assets.fonts))]
        texts = [write(rng, assets.words, assets.names, assets.phrases) for _ in range(lines)]
    size = max(8, round(1.3 * height_px))
    longest = max(len(text) for text in texts)
    size = min(size, max(8, round(MAX_WIDTH_PX / (0.5 * longest))))
    font, text = font_of(file, size), "\n".join(texts)
    line_px = max(1, round(size * rng.uniform(0.03, 0.06))) if hollow else 0
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), text, font, align="center", stroke_width=line_px
    )
    canvas = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    draw, at = ImageDraw.Draw(canvas), (1 - left, 1 - top)
    draw.multiline_text(at, text, 255, font, align="center", stroke_width=line_px)
    strokes = np.asarray(canvas, np.uint8)
    if hollow:
        inner = Image.new("L", canvas.size)
        ImageDraw.Draw(inner).multiline_text(at, text, 255, font, align="center")
        strokes = strokes - np.minimum(strokes, np.asarray(inner, np.uint8))
    return _alone(strokes)


def draw_logo_mark(rng: np.random.Generator, assets: Assets, *, side_px: int) -> Layers:
    """One logo; under half of them a line of text."""
    logo = draw_logo(assets.logos[rng.integers(len(assets.logos))], rng, max(12, side_px))
    if rng.random() < 0.5:
        return _alone(logo)
    text = draw_text(rng, assets, height_px=max(8, round(side_px * rng.uniform(0.15, 0.4))))[..., 0]
    gap = max(2, side_px // 10)
    if rng.random() < 0.5:
        width = max(logo.shape[1], text.shape[1])
        rows = [_centred(logo, width, 1), np.zeros((gap, width), np.uint8), _centred(text, width, 1)]
        return _alone(np.concatenate(rows))
    height = max(logo.shape[0], text.shape[0])
    columns = [_centred(logo, height, 0), np.zeros((height, gap), np.uint8), _centred(text, height, 0)]
    return _alone(np.concatenate(columns, 1))


def put_under(mark: Layers, under: Under, rng: np.random.Generator) -> Layers:
    """Give a mark a shadow, an outline or a box, in the second layer."""
    if under == "nothing":
        return mark
    height = mark.shape[0]
    reach = max(2, min(12, height // 8)) + 2
    strokes = cv2.copyMakeBorder(mark[..., 0], reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    if under == "shadow":
        away = max(1, reach // 3)
        below = np.roll(strokes, (rng.integers(0, away + 1), rng.choice((-away, away))), (0, 1))
        below = cv2.GaussianBlur(below, (0, 0), rng.uniform(0.5, max(0.6, reach / 4)))
    elif under == "outline":
        width = max(1, min(4, round(height * rng.uniform(0.02, 0.06))))
        below = cv2.dilate(strokes, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1)))
    else:
        pad = max(2, round(height * rng.uniform(0.1, 0.4)))
        strokes = cv2.copyMakeBorder(strokes, pad, pad, 2 * pad, 2 * pad, cv2.BORDER_CONSTANT, value=0)
        below = np.full_like(strokes, 255)
        below[[0, -1]] = 0
        below[:, [0, -1]] = 0
    return np.dstack([strokes, cv2.min(below, 255 - strokes)])


def _alone(strokes: NDArray[np.uint8]) -> Layers:
    return np.dstack([strokes, np.zeros_like(strokes)])


def _some(rng: np.random.Generator, items: Sequence[str], count: int) -> list[str]:
    return [items[int(rng.integers(len(items)))] for _ in range(count)]


def _centred(picture: NDArray[np.uint8], length: int, axis: int) -> NDArray[np.uint8]:
    room = length - picture.shape[axis]
    before = room // 2
    pads = ((0, 0), (before, room - before)) if axis else ((before, room - before), (0, 0))
    return np.pad(picture, pads)
