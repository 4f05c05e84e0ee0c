"""
Pictures that are made of repetition and carry no mark: cloth, walls, floors, fences. A third of the families is for tests.

Each family is drawn flat at any size; `as_photographed` then tilts, lights and blurs it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.evaluation.watermark.logos import draw_logo
from ml.evaluation.watermark.strokes import Assets
from ml.picture.types import RgbImage

Family = Callable[[np.random.Generator, tuple[int, int], Assets], RgbImage]
"""From (height, width) to a picture (H, W, 3) uint8."""

Grid = NDArray[np.float32]
Bools = NDArray[np.bool_]
_SHIFT = 4


def colours(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """(count, 3): greys, near white and black, and any others; two in a row differ by 25 levels at least."""
    chosen = [_colour(rng)]
    while len(chosen) < count:
        other = _colour(rng)
        if np.abs(other.astype(int) - chosen[-1]).max() >= 25:
            chosen.append(other)
    return np.array(chosen, np.uint8)


def _colour(rng: np.random.Generator) -> NDArray[np.uint8]:
    chance = rng.random()
    if chance < 0.3:
        return (255 - rng.integers(0, 25) - rng.integers(0, 8, 3)).astype(np.uint8)
    if chance < 0.42:
        return (rng.integers(0, 50) + rng.integers(0, 8, 3)).astype(np.uint8)
    if chance < 0.55:
        return np.full(3, rng.integers(30, 230), np.uint8)
    return rng.integers(0, 256, 3).astype(np.uint8)


def _plane(shape_hw: tuple[int, int], turn_deg: float = 0.0) -> tuple[Grid, Grid]:
    """Across and down in pixels, turned."""
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]].astype(np.float32)
    cos, sin = np.float32(np.cos(np.radians(turn_deg))), np.float32(np.sin(np.radians(turn_deg)))
    return x * cos + y * sin, y * cos - x * sin


def _period(rng: np.random.Generator, shape_hw: tuple[int, int]) -> float:
    """Of a repetition: 6 px to a third of the shorter side."""
    return float(np.exp(rng.uniform(np.log(6), np.log(max(12, min(shape_hw) / 3)))))


def _turn(rng: np.random.Generator) -> float:
    return float(rng.choice((0.0, 45.0, -45.0, rng.uniform(-90, 90)), p=(0.55, 0.1, 0.1, 0.25)))


def _painted(where: Bools, ground: NDArray[np.uint8], colour: NDArray[np.uint8]) -> RgbImage:
    return np.where(where[..., None], colour, ground).astype(np.uint8)


def dots(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Round dots in rows, every other one shifted at times."""
    x, y = _plane(shape_hw, _turn(rng))
    step, radius, shift = _period(rng, shape_hw), rng.uniform(0.12, 0.48), float(rng.choice((0, 0.5)))
    row = np.floor(y / step)
    u = (x / step + shift * (row % 2)) % 1 - 0.5
    ground, colour = colours(rng, 2)
    return _painted(np.hypot(u, y / step % 1 - 0.5) < radius, ground, colour)


def chequers(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """A chessboard, square or long, upright or on its corner."""
    x, y = _plane(shape_hw, _turn(rng))
    step, ratio = _period(rng, shape_hw), rng.choice((1.0, rng.uniform(0.5, 2)))
    ground, colour = colours(rng, 2)
    return _painted((np.floor(x / step) + np.floor(y / step / ratio)) % 2 == 0, ground, colour)


def stripes(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Two to five colours side by side; wavy at times."""
    x, y = _plane(shape_hw, _turn(rng))
    step, count = _period(rng, shape_hw), int(rng.integers(2, 6))
    if rng.random() < 0.25:
        x = x + step * rng.uniform(0.2, 1) * np.sin(2 * np.pi * y / (step * rng.uniform(1, 5)))
    edges = np.sort(rng.random(count - 1))
    return np.asarray(colours(rng, count)[np.searchsorted(edges, x / step % 1)], np.uint8)


def plaid(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Gingham and tartan: bands across bands, woven."""
    x, y = _plane(shape_hw, float(rng.choice((0.0, 45.0, rng.uniform(-20, 20)), p=(0.6, 0.2, 0.2))))
    step, count = max(10.0, _period(rng, shape_hw)), int(rng.integers(2, 6))
    edges, sett = np.sort(rng.random(count - 1)), colours(rng, count).astype(np.float32)
    warp, weft = (sett[np.searchsorted(edges, part / step % 1)] for part in (x, y))
    if rng.random() < 0.5:
        return np.asarray((warp + weft) / 2, np.uint8)
    over = (np.floor(x / 2) + np.floor(y / 2)) % 4 < 2
    return np.where(over[..., None], warp, weft).astype(np.uint8)


def bricks(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Bricks, tiles, paving, planks: joints around fields that differ a little."""
    x, y = _plane(shape_hw, float(rng.choice((0.0, 45.0, rng.uniform(-15, 15)), p=(0.75, 0.1, 0.15))))
    high = max(8.0, _period(rng, shape_hw))
    wide, joint = high * rng.choice((1, 2, 2.5, 5)), high * rng.uniform(0.04, 0.15)
    row = np.floor(y / high)
    x = x + wide * float(rng.choice((0, 0.5, 0.33))) * row
    column = np.floor(x / wide)
    field, seam = colours(rng, 2).astype(np.float32)
    shades = rng.normal(0, rng.uniform(0, 18), (64, 64)).astype(np.float32)
    shade = shades[row.astype(int) % 64, column.astype(int) % 64]
    filled = np.clip(field + shade[..., None], 0, 255)
    is_seam = (y % high < joint) | (x % wide < joint)
    return np.where(is_seam[..., None], seam, filled).astype(np.uint8)


def mosaic(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Small fields, each of one of some colours."""
    x, y = _plane(shape_hw, _turn(rng))
    step, count = max(6.0, _period(rng, shape_hw) / 2), int(rng.integers(3, 9))
    which = rng.integers(0, count, (97, 89))[np.floor(y / step).astype(int) % 97, np.floor(x / step).astype(int) % 89]
    picture = colours(rng, count)[which]
    is_seam = (x % step < 0.1 * step) | (y % step < 0.1 * step)
    return _painted(is_seam, picture, _colour(rng)) if rng.random() < 0.6 else np.asarray(picture, np.uint8)


def windows(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """A front with windows, shelves with boxes: panes in frames, some lit."""
    x, y = _plane(shape_hw)
    across, down = (max(14.0, _period(rng, shape_hw)) for _ in "xy")
    u, v = x / across % 1, y / down % 1
    left, top = rng.uniform(0.08, 0.3, 2)
    wall, frame, pane, lit = colours(rng, 4)
    inside = (u > left) & (u < 1 - left) & (v > top) & (v < 1 - top)
    edge = rng.uniform(0.02, 0.06)
    glass = (u > left + edge) & (u < 1 - left - edge) & (v > top + edge) & (v < 1 - top - edge)
    if rng.random() < 0.5:
        glass &= (np.abs(u - 0.5) > edge / 2) & (np.abs(v - 0.5) > edge / 2)
    on = rng.random((97, 89)) < rng.uniform(0, 0.5)
    is_lit = on[np.floor(y / down).astype(int) % 97, np.floor(x / across).astype(int) % 89]
    picture = _painted(inside, wall, frame)
    return _painted(glass & is_lit, _painted(glass, picture, pane), lit)


def mesh(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Fences, nets, graph paper, grilles: thin lines before a ground that may change."""
    x, y = _plane(shape_hw, float(rng.choice((0.0, 45.0, 30.0, rng.uniform(-45, 45)))))
    step, slant = max(8.0, _period(rng, shape_hw)), float(rng.choice((0, 0, 1, 0.58)))
    width = rng.uniform(0.04, 0.2)
    one, other = (x + slant * y) / step % 1, (y - slant * x if slant == 1 else y) / step % 1
    ground, colour, second = colours(rng, 3)
    slope = np.linspace(0, 1, shape_hw[0], dtype=np.float32)[:, None, None] * float(rng.random() < 0.4)
    behind = ground * (1 - slope) + second * slope + np.zeros((*shape_hw, 3), np.float32)
    return _painted((one < width) | (other < width), behind.astype(np.uint8), colour)


def knit(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Stitches, herringbone, wicker: short slanted strokes that lean one way and the other."""
    x, y = _plane(shape_hw, _turn(rng))
    step = max(6.0, _period(rng, shape_hw) / 2)
    lean = np.abs(x / step % 2 - 1) * rng.uniform(0.4, 1.5)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (y / step + lean))
    dark, light = colours(rng, 2).astype(np.float32)
    depth = (wave * rng.uniform(0.2, 1))[..., None].astype(np.float32)
    return (light + (dark - light) * depth).astype(np.uint8)


def halftone(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Dots whose size follows a picture's light."""
    x, y = _plane(shape_hw, 45.0)
    step = float(rng.uniform(4, 14))
    light = cv2.resize(rng.random((4, 5)).astype(np.float32), shape_hw[::-1], interpolation=cv2.INTER_CUBIC)
    ground, colour = colours(rng, 2)
    return _painted(np.hypot(x / step % 1 - 0.5, y / step % 1 - 0.5) < 0.65 * np.clip(light, 0.1, 1), ground, colour)


def motifs(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:
    """Wallpaper, wrapping paper, a printed cloth: one or two shapes again and again."""
    side = round(max(14.0, _period(rng, shape_hw)))
    room = round(side * rng.uniform(0.15, 1.2))
    ground, *inks = colours(rng, 3)
    cells = []
    for ink in inks:
        cover = draw_logo(assets.logos[rng.integers(len(assets.logos))], rng, side)[..., None] / 255
        cell = np.empty((side + room, side + room, 3), np.float32)
        cell[:] = ground
        cell[:side, :side] += (ink.astype(np.float32) - ground) * cover
        cells.append(cell)
    other = cells[int(rng.random() < 0.5)]
    rows = [np.hstack([cells[0], other]), np.hstack([other, cells[0]])]
    return _repeated(np.vstack(rows), shape_hw, rng)


def _repeated(cell: NDArray[np.float32], shape_hw: tuple[int, int], rng: np.random.Generator) -> RgbImage:
    matrix = cv2.getRotationMatrix2D((0, 0), _turn(rng), float(rng.uniform(0.8, 1.2)))
    matrix[:, 2] = rng.uniform(0, cell.shape[0], 2)
    return np.asarray(
        cv2.warpAffine(cell.astype(np.uint8), matrix, shape_hw[::-1], borderMode=cv2.BORDER_WRAP), np.uint8
    )


def honeycomb(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Six-sided cells with seams."""
    x, y = _plane(shape_hw, float(rng.choice((0.0, 30.0))))
    step = max(8.0, _period(rng, shape_hw))
    u, v = x / step, y / step
    nearest = []
    for shift in (0.0, 0.5):
        a, b = (u + shift) % 1 - 0.5, (v / np.sqrt(3) + shift) % 1 - 0.5
        nearest.append(np.maximum(np.abs(a), 0.5 * np.abs(a) + 1.5 * np.abs(b)))
    ground, colour = colours(rng, 2)
    return _painted(np.minimum(*nearest) > 0.5 - rng.uniform(0.03, 0.12), ground, colour)


def scales(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Roof tiles, fish scales: arcs over arcs."""
    x, y = _plane(shape_hw)
    step = max(10.0, _period(rng, shape_hw))
    row = np.floor(2 * y / step)
    u, v = (x / step + 0.5 * (row % 2)) % 1 - 0.5, 2 * y / step % 1
    ring = (np.hypot(u, 0.5 * (1 - v)) * rng.uniform(3, 9)) % 1 < rng.uniform(0.2, 0.6)
    ground, colour = colours(rng, 2)
    return _painted(ring, ground, colour)


def houndstooth(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Cloth of four threads light and four dark, over two and under two."""
    step = max(1.0, _period(rng, shape_hw) / 8)
    x, y = (np.floor(part / step).astype(int) for part in _plane(shape_hw))
    count = int(rng.choice((2, 4)))
    is_warp = (x + y) % 4 < 2
    dark = np.where(is_warp, x // count % 2, y // count % 2) == 0
    ground, colour = colours(rng, 2)
    return _painted(dark, ground, colour)


def argyle(rng: np.random.Generator, shape_hw: tuple[int, int], assets: Assets) -> RgbImage:  # noqa: ARG001
    """Diamonds with thin lines across."""
    x, y = _plane(shape_hw)
    step = max(12.0, _period(rng, shape_hw))
    one, other = (x + y / 1.5) / step, (x - y / 1.5) / step
    ground, colour, line = colours(rng, 3)
    picture = _painted((np.floor(one) + np.floor(other)) % 2 == 0, ground, colour)
    return _painted((np.abs((one + 0.5) % 1 - 0.5) < 0.03) | (np.abs((other + 0.5) % 1 - 0.5) < 0.03), picture, line)


TRAIN: tuple[Family, ...] = (
    dots, chequers, stripes, plaid, bricks, mosaic, windows, mesh, knit, halftone, motifs,
)  # fmt: skip
TEST: tuple[Family, ...] = (honeycomb, scales, houndstooth, argyle)


def as_photographed(flat: RgbImage, rng: np.random.Generator) -> RgbImage:
    """What a camera makes of a flat thing: tilted, bent, lit unevenly, soft, with grain; each at times."""
    size_wh = flat.shape[1], flat.shape[0]
    seen = flat
    if rng.random() < 0.35:
        seen = _tilted(seen, rng)
    if rng.random() < 0.2:
        y, x = np.mgrid[: size_wh[1], : size_wh[0]].astype(np.float32)
        bend = [_uneven(rng.normal(0, 0.03 * size_wh[0], (4, 4)), size_wh) for _ in "xy"]
        seen = np.asarray(
            cv2.remap(seen, x + bend[0], y + bend[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8
        )
    if rng.random() < 0.4:
        seen = np.clip(seen * _uneven(rng.uniform(0.55, 1.1, (3, 3)), size_wh)[..., None], 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.4, 1.3))), np.uint8)
    if rng.random() < 0.45:
        seen = np.clip(seen + rng.normal(0, rng.uniform(0.5, 6), seen.shape), 0, 255).astype(np.uint8)
    return seen


def _tilted(seen: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Its corners drawn outwards, each by up to a quarter of the side."""
    height, width = seen.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    out = np.abs(rng.uniform(-0.25, 0.02, (4, 2))) * (width, height)
    moved = corners - out * np.sign(np.array((width / 2, height / 2)) - corners)
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(cv2.warpPerspective(seen, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _uneven(values: NDArray[np.float64], size_wh: tuple[int, int]) -> Grid:
    return np.asarray(cv2.resize(values.astype(np.float32), size_wh, interpolation=cv2.INTER_CUBIC), np.float32)
