"""Logos, drawn: each is a family of shapes with chances of its own. A third of the families is for tests."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Coverage = NDArray[np.uint8]
Logo = Callable[[np.random.Generator], list[NDArray[np.float64]]]
"""Gives closed outlines, each (N, 2) within -1..1; where two lie over each other there is a hole."""

_ROUND = 40
_SHIFT = 4


def draw_logo(logo: Logo, rng: np.random.Generator, side_px: int) -> Coverage:
    """(side_px, side_px) uint8: 255 inside the logo, smooth at its edges."""
    canvas = np.zeros((2 * side_px, 2 * side_px), np.uint8)
    outlines = [np.rint((line * 0.96 + 1) * side_px * (1 << _SHIFT)).astype(np.int32) for line in logo(rng)]
    cv2.fillPoly(canvas, outlines, 255, cv2.LINE_AA, _SHIFT)
    return np.asarray(cv2.resize(canvas, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def _circle(radius: float, x: float = 0.0, y: float = 0.0) -> NDArray[np.float64]:
    return _polygon(_ROUND, radius, x=x, y=y)


def _polygon(corners: int, radius: float, *, turn: float = 0.0, x: float = 0.0, y: float = 0.0) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn - np.pi / 2
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def _box(x0: float, y0: float, x1: float, y1: float) -> NDArray[np.float64]:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ring(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Circles within circles."""
    width = rng.uniform(0.06, 0.2)
    radii = [1.0, 1.0 - width]
    if rng.random() < 0.7:
        radii += [radii[-1] - rng.uniform(0.1, 0.3)]
        radii += [radii[-1] - width]
    return [_circle(radius) for radius in radii if radius > 0.05]


def star(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A star, in a ring at times."""
    points, inner = int(rng.integers(4, 9)), rng.uniform(0.3, 0.6)
    outline = _polygon(2 * points, 1.0)
    outline[1::2] *= inner
    if rng.random() < 0.4:
        return [_circle(1.0), _circle(0.9), outline * 0.8]
    return [outline]


def hexagon(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Polygons within polygons."""
    corners, turn = int(rng.integers(5, 9)), rng.uniform(0, 1)
    radii = (1.0, rng.uniform(0.75, 0.9), rng.uniform(0.3, 0.6))
    return [_polygon(corners, radius, turn=turn) for radius in radii]


def camera(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A body, a lens, a finder."""
    top = rng.uniform(-0.6, -0.45)
    lens = rng.uniform(0.35, 0.5)
    return [
        _box(-1, top, 1, 0.7), _circle(lens, y=0.12), _circle(lens * 0.6, y=0.12), _box(-0.3, top - 0.22, 0.3, top),
    ]  # fmt: skip


def mountains(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Peaks, and a sun."""
    left, right = rng.uniform(-0.6, -0.2), rng.uniform(0.2, 0.6)
    peaks = np.array([(-1, 0.8), (left, rng.uniform(-0.6, 0)), (0, 0.3), (right, rng.uniform(-0.9, -0.2)), (1, 0.8)])
    return [peaks, _circle(rng.uniform(0.12, 0.25), x=-0.1, y=-0.6)]


def shield(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A coat of arms with a band."""
    y = np.linspace(0, 1, 12)
    side = np.stack([0.85 * np.sqrt(1 - y**2), y * 0.95], 1)
    outline = np.concatenate([[(-0.85, -0.9), (0.85, -0.9)], side, side[::-1] * (-1, 1)])
    if rng.random() < 0.5:
        return [outline, outline * 0.82, _box(-0.5, -0.2, 0.5, rng.uniform(0, 0.3))]
    return [outline, _polygon(10, 0.5) * np.where(np.arange(10) % 2, 0.45, 1)[:, None]]


def petals(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A flower."""
    count, depth = int(rng.integers(3, 9)), rng.uniform(0.3, 0.6)
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    radius = 1 - depth + depth * np.cos(count * angle)
    return [np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), _circle(rng.uniform(0.1, 0.2))]


def bars(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Upright bars of different heights."""
    count = int(rng.integers(3, 7))
    width = 2 / count
    return [_box(-1 + i * width, -rng.uniform(-0.4, 0.9), -1 + (i + 0.7) * width, 0.9) for i in range(count)]


def cross(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A cross with arms of one width, upright or turned."""
    w = rng.uniform(0.12, 0.35)
    plus = np.array(
        [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w), (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w)]
    )
    angle = rng.choice((0.0, np.pi / 4))
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return [plus @ turn.T]


def drop(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A drop or a leaf."""
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    power = rng.uniform(1.0, 2.5)
    outline = np.stack([np.sin(t) * np.sin(t / 2) ** power * 0.9, -np.cos(t)], 1)
    return [outline, outline * rng.uniform(0.3, 0.75) + (0, 0.15)]


def heart(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A heart, filled or hollow."""
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 17
    outline = np.stack([16 * np.sin(t) ** 3 / 17, y], 1)
    return [outline] if rng.random() < 0.4 else [outline, outline * rng.uniform(0.7, 0.88)]


def spiral(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A band that winds inwards."""
    t = np.linspace(0, rng.uniform(3, 5) * np.pi, 120)
    width, radius = rng.uniform(0.05, 0.1), 1 - t / t[-1] * 0.85
    path = np.stack([np.cos(t), np.sin(t)], 1)
    return [np.concatenate([path * radius[:, None], (path * np.maximum(radius - width, 0)[:, None])[::-1]])]


def letter_box(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A frame with strokes like a monogram's."""
    w = rng.uniform(0.12, 0.2)
    left, right = _box(-0.6, -0.6, -0.6 + w, 0.6), _box(0.6 - w, -0.6, 0.6, 0.6)
    slant = np.array([(-0.6 + w, -0.6), (-0.6 + 2 * w, -0.6), (0.6 - w, 0.6), (0.6 - 2 * w, 0.6)])
    return [_box(-1, -1, 1, 1), _box(-0.88, -0.88, 0.88, 0.88), left, right, slant]


def waves(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Wavy bands below one another."""
    x = np.linspace(-1, 1, 40)
    count, height = int(rng.integers(2, 5)), rng.uniform(0.06, 0.14)
    lines = []
    for i in range(count):
        y = -0.7 + 1.4 * i / (count - 1) + 0.12 * np.sin(x * rng.uniform(5, 9))
        lines.append(np.concatenate([np.stack([x, y - height], 1), np.stack([x, y + height], 1)[::-1]]))
    return lines


def wheel(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A cog."""
    teeth = int(rng.integers(7, 14))
    outline = _polygon(4 * teeth, 1.0)
    outline[(np.arange(4 * teeth) // 2) % 2 == 1] *= 0.8
    return [outline, _circle(rng.uniform(0.25, 0.55))]


TRAIN: tuple[Logo, ...] = (ring, star, camera, mountains, petals, bars, cross, heart, letter_box, wheel)
TEST: tuple[Logo, ...] = (hexagon, shield, drop, spiral, waves)
