"""
Pages, screens, labels and codes: letters that belong to the picture, and no mark over it. A third of the kinds is for tests.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ml.evaluation.watermark.fonts import font_of
from ml.evaluation.watermark.logos import draw_logo
from ml.evaluation.watermark.strokes import Assets
from ml.evaluation.watermark.words import write
from ml.picture.types import RgbImage
from ml.training.watermark.patterns import Family, colours

Ink = tuple[int, int, int]
SIGNS = "=", "(", "):", "if", "return", "0", "->", "{"


def _canvas(shape_hw: tuple[int, int], ground: NDArray[np.uint8]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", shape_hw[::-1], _ink(ground))
    return image, ImageDraw.Draw(image)


def _ink(colour: NDArray[np.uint8]) -> Ink:
    red, green, blue = (int(part) for part in colour)
    return red, green, blue


def _line(rng: np.random.Generator, assets: Assets, letters: int) -> str:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < letters:
        words.append(str(assets.words[rng.integers(len(assets.words))]))
    return " ".join(words)


def _contrast(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A ground and an ink that can be read on it."""
    while True:
        ground, ink = colours(rng, 2)
        if abs(int(ground.mean()) - int(ink.mean())) > 60:
            return ground, ink


def _paper(
    rng: np.random.Generator, shape_hw: tuple[int, int]
) -> tuple[Image.Image, ImageDraw.ImageDraw, NDArray[np.uint8], NDArray[np.uint8]]:
    """What is written on: the image, what draws on it, its ground and an ink that can be read there."""
    ground, ink = _contrast(rng)
    return *_canvas(shape_hw, ground), ground, ink


def _font(rng: np.random.Generator, assets: Assets, size: int) -> ImageFont.FreeTypeFont:
    return font_of(assets.fonts[rng.integers(len(assets.fonts))], size)


def _type(rng: np.random.Generator, assets: Assets, least: int, under: int) -> tuple[int, ImageFont.FreeTypeFont]:
    """A size in pixels, and some font at that size."""
    size = int(rng.integers(least, under))
    return size, _font(rng, assets, size)


def page(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """Lines of text in one or two columns, a heading, a picture at times."""
    image, draw, _, ink = _paper(rng, shape_hw)
    height, width = shape_hw
    size, font = _type(rng, assets, 7, max(9, min(26, height // 8)))
    columns, margin, y = int(rng.choice((1, 1, 2))), rng.uniform(0.02, 0.1) * width, rng.uniform(0, 0.1) * height
    if rng.random() < 0.5:
        big = _font(rng, assets, 2 * size)
        draw.text((margin, y), _line(rng, assets, 14).title(), _ink(ink), big)
        y += 3 * size
    pitch = size * rng.uniform(1.15, 1.8)
    across = (width - 2 * margin) / columns
    while y < height:
        for column in range(columns):
            if rng.random() < 0.93:
                letters = int(across / (0.5 * size) * (0.85 if rng.random() < 0.9 else rng.uniform(0.2, 0.8)))
                draw.text((margin + column * across, y), _line(rng, assets, max(3, letters - 4)), _ink(ink), font)
        y += pitch
    return np.asarray(image, np.uint8)


def table(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """A spreadsheet or price list: cells with numbers and words, ruled or banded."""
    image, draw, _, ink = _paper(rng, shape_hw)
    height, width = shape_hw
    size, font = _type(rng, assets, 7, 18)
    down, across = size * rng.uniform(1.5, 2.4), size * rng.uniform(4, 9)
    rule, has_bands, has_rules = _ink(colours(rng, 1)[0]), rng.random() < 0.4, rng.random() < 0.8
    for row in range(int(height / down) + 1):
        if has_bands and row % 2:
            draw.rectangle((0, row * down, width, (row + 1) * down), rule)
        for column in range(int(width / across) + 1):
            text = f"{rng.integers(0, 9999) / 100:.2f}" if column else _line(rng, assets, 4)[:7]
            if rng.random() < 0.9:
                draw.text((column * across + 3, row * down + 2), text, _ink(ink), font)
            if has_rules and row == 0:
                draw.line((column * across, 0, column * across, height), rule)
        if has_rules:
            draw.line((0, row * down, width, row * down), rule)
    return np.asarray(image, np.uint8)


def code(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """Indented lines of short words in several colours, light on dark or dark on light."""
    image, draw, ground, ink = _paper(rng, shape_hw)
    inks = [ink] + [c for c in colours(rng, 5) if abs(int(c.mean()) - int(ground.mean())) > 45]
    size, font = _type(rng, assets, 8, 18)
    for number, y in enumerate(np.arange(4, shape_hw[0], size * rng.uniform(1.2, 1.6))):
        draw.text((2, y), str(number + 1), _ink(inks[-1]), font)
        x = size * (2 + 2 * float(rng.integers(0, 4)))
        for _ in range(int(rng.integers(0, 7))):
            word = str(rng.choice(SIGNS)) if rng.random() < 0.4 else _line(rng, assets, 2)
            draw.text((x, y), word, _ink(inks[rng.integers(len(inks))]), font)
            x += draw.textlength(word + " ", font)
    return np.asarray(image, np.uint8)


def screen(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """An app: bars, cards, buttons, icons, short texts."""
    image, draw, _, ink = _paper(rng, shape_hw)
    height, width = shape_hw
    size, font = _type(rng, assets, 8, 20)
    tints = colours(rng, 4)
    across, down = rng.uniform(0.2, 0.9) * width, size * rng.uniform(2, 6)
    x0, y = rng.uniform(0, 0.1, 2) * width
    while y < height:
        x = x0
        while x < width:
            box = x, y, x + 0.92 * across, y + 0.85 * down
            draw.rounded_rectangle(box, size // 2, _ink(tints[rng.integers(4)]))
            draw.text((x + size, y + size / 2), _line(rng, assets, int(rng.integers(3, 16))), _ink(ink), font)
            if rng.random() < 0.4:
                draw.ellipse((x + 2, y + size, x + size, y + 2 * size - 2), _ink(tints[rng.integers(4)]))
            x += across
        y += down
    return np.asarray(image, np.uint8)


def keys(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """A keyboard, a calculator, app icons: rounded fields in rows with a letter or a shape each."""
    ground, field, ink = colours(rng, 3)
    image, draw = _canvas(shape_hw, ground)
    side = float(rng.uniform(18, max(24, min(shape_hw) / 3)))
    font = font_of(assets.fonts[rng.integers(len(assets.fonts))], max(8, round(side * rng.uniform(0.25, 0.55))))
    gap, shift = side * rng.uniform(0.06, 0.3), side * float(rng.choice((0, 0.25, 0.5)))
    for row in range(int(shape_hw[0] / side) + 1):
        for column in range(-1, int(shape_hw[1] / side) + 1):
            x, y = column * side + row * shift % side, row * side
            draw.rounded_rectangle((x, y, x + side - gap, y + side - gap), side * 0.12, _ink(field))
            text = chr(int(rng.integers(33, 91)))
            draw.text((x + 0.2 * side, y + 0.12 * side), text, _ink(ink), font)
    return np.asarray(image, np.uint8)


def goods(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """A catalogue: things in rows, each with a caption."""
    image, draw, _, ink = _paper(rng, shape_hw)
    across, down = (float(rng.uniform(0.18, 0.5)) * side for side in shape_hw[::-1])
    size = int(max(7, min(across, down) * rng.uniform(0.06, 0.14)))
    font = _font(rng, assets, size)
    tints, shape = colours(rng, 5), int(rng.integers(3))
    for row in range(int(shape_hw[0] / down) + 1):
        for column in range(int(shape_hw[1] / across) + 1):
            x, y = column * across, row * down
            box = x + 0.15 * across, y + 0.1 * down, x + 0.8 * across, y + 0.7 * down
            (draw.ellipse, draw.rectangle, draw.rounded_rectangle)[shape](box, fill=_ink(tints[(row + column) % 5]))
            caption = f"No. {rng.integers(1, 999)}" if rng.random() < 0.5 else _line(rng, assets, 8)
            draw.text((x + 0.2 * across, y + 0.75 * down), caption, _ink(ink), font)
    return np.asarray(image, np.uint8)


def label(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """A package's front, a poster, a sign: large words, a logo, small print, fields of colour."""
    ground, field = colours(rng, 2)
    image, draw = _canvas(shape_hw, ground)
    height, width = shape_hw
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.2, 0.9, 2) * (width, height)
        right, bottom = x + rng.uniform(0.2, 1) * width, y + rng.uniform(0.1, 0.6) * height
        draw.rectangle((x, y, right, bottom), _ink(colours(rng, 1)[0]))
    if rng.random() < 0.6:
        side = int(rng.uniform(0.2, 0.5) * min(shape_hw))
        cover = Image.fromarray(draw_logo(assets.logos[rng.integers(len(assets.logos))], rng, side))
        at = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        image.paste(_ink(field), (*at, at[0] + side, at[1] + side), cover)
    for _ in range(int(rng.integers(2, 7))):
        size = int(np.exp(rng.uniform(np.log(8), np.log(max(12, height / 4)))))
        font = _font(rng, assets, size)
        is_plain = rng.random() < 0.7
        text = (
            _line(rng, assets, 3 + 60 // size) if is_plain else write(rng, assets.words, assets.names, assets.phrases)
        )
        place = rng.uniform(-0.05, 0.6) * width, rng.uniform(0, 0.95) * height
        draw.text(place, text.upper() if rng.random() < 0.5 else text, _ink(colours(rng, 1)[0]), font)
    return np.asarray(image, np.uint8)


def bars(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Barcodes and square codes."""
    height, width = shape_hw
    unit = int(rng.integers(2, 10))
    modules = rng.random((height // unit + 1, width // unit + 1)) < 0.5
    if rng.random() < 0.5:
        modules[:] = modules[:1]
    ground, ink = _contrast(rng)
    large = np.kron(modules, np.ones((unit, unit), bool))[:height, :width]
    picture = np.where(large[..., None], ink, ground).astype(np.uint8)
    y, x = (int(side * rng.uniform(0, 0.3)) for side in shape_hw)
    picture[:y], picture[height - y :], picture[:, :x], picture[:, width - x :] = (ground,) * 4
    return picture


def streets(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """A map: lines that cross, fields, names."""
    ground, ink = _contrast(rng)
    picture = np.empty((*shape_hw, 3), np.uint8)
    picture[:] = ground
    for _ in range(int(rng.integers(2, 7))):
        centre = rng.uniform(0, 1, 2) * shape_hw[::-1]
        outline = centre + rng.normal(0, 0.15, (7, 2)) * shape_hw[::-1]
        hull = cv2.convexHull(outline.astype(np.float32)).astype(np.int32)
        cv2.fillPoly(picture, [hull], _ink(colours(rng, 1)[0]), cv2.LINE_AA)
    for _ in range(int(rng.integers(8, 40))):
        one, other = (rng.uniform(-0.1, 1.1, (2, 2)) * shape_hw[::-1]).astype(int).tolist()
        cv2.line(picture, one, other, _ink(colours(rng, 1)[0]), int(rng.integers(1, 7)), cv2.LINE_AA)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    font = font_of(assets.fonts[rng.integers(len(assets.fonts))], int(rng.integers(7, 16)))
    for _ in range(int(rng.integers(3, 16))):
        draw.text(tuple(rng.uniform(0, 0.9, 2) * shape_hw[::-1]), _line(rng, assets, 5).title(), _ink(ink), font)
    return np.asarray(image, np.uint8)


TRAIN: tuple[Family, ...] = page, table, code, screen, keys, goods, label
TEST: tuple[Family, ...] = bars, streets
