"""
Marks that repeat: find the two steps after which a pattern comes again, and see all its repetitions as one.

What a network sees of a faint tile differs from tile to tile, as the photo under it does; the tile does not. So the map
of strokes is folded into one cell and unfolded again: each pixel then says what all its repetitions say together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.types import Matte
from ml.watermark.finder import Sight

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

SEARCH_SIDE_PX = 512
"""The long side of the map in which steps are looked for."""

MIN_STEP_PX, MAX_STEP_SHARE = 10, 0.62
"""A step's length at that size, and as a share of the map's sides."""

LEAST_LIKENESS = 0.25
"""The correlation of the map with itself, one step further, from which on something repeats."""

AS_GOOD = 0.75
"""Of the best correlation: a shorter step with as much is taken instead, since two steps are one too."""

MIN_ANGLE_SIN = 0.35
FINE_STEPS = 3
"""How many steps around the middle fix the two to fractions of a pixel."""

FEWEST_CELLS = 4
"""Of a lattice, in the photo: fewer say little more than one."""

WORTH_SEEING = 0.2
"""The strokes' highest value from which on it is looked whether they repeat."""

LEAST_TOGETHER, WHOLE_QUANTILE = 0.25, 0.995
"""What the surest strokes must still reach when all cells speak together; a photo's own pattern seldom does. Measured on
validation, 150 marked and 150 clean photos: recall of tiled marks .28 to .52, and no clean photo more is taken for marked."""

LEAST_KEPT = 0.72
"""Of the strokes seen in the photo itself: what must still be there when all cells speak together. Steps that aren't the
pattern's smear it: on validation (150 marks) four gain .21 to .73 of their IoU by this, and one loses .06."""

SURE_STROKE, MOST_TILES = 0.46, 0.75
"""Of the gate over the strokes of all tiles, that quantile is every tile's."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """
    How a pattern repeats.

    Attributes:
        steps: (2, 2) float64, (x, y) pixels of the map: after each of the two the pattern comes again.
        likeness: 0..1: the weaker one's correlation.
    """

    steps: Doubles
    likeness: float

    @property
    def cell_px(self) -> float:
        """The area that comes again."""
        return abs(float(np.linalg.det(self.steps)))


def as_repeated(sight: Sight) -> Sight:
    """
    Where strokes repeat all over a photo, let every tile say what all tiles say together; else `sight` as it is.

    Of whether a mark is near they speak together too: what most tiles have said goes for all. That strokes repeat is no
    sign of a mark by itself, since cloth and walls do.
    """
    if sight.shape.max(initial=0) < WORTH_SEEING:
        return sight
    lattice = find_lattice(sight.shape)
    if lattice is None or sight.shape.size < FEWEST_CELLS * lattice.cell_px:
        return sight
    shape, alpha = np.moveaxis(seen_together(np.dstack([sight.shape, sight.alpha]), lattice), 2, 0)
    whole = float(np.quantile(shape, WHOLE_QUANTILE))
    if whole < LEAST_TOGETHER:
        return sight
    shape = np.minimum(1, shape / whole)
    if np.minimum(shape, sight.shape).sum() < LEAST_KEPT * sight.shape.sum():
        return sight
    strokes = sight.gate[shape > SURE_STROKE]
    gate = np.maximum(sight.gate, np.float32(np.quantile(strokes, MOST_TILES) if strokes.size else 0))
    return Sight(shape, np.ascontiguousarray(alpha), gate, is_tiled=True)


def find_lattice(strokes: Matte) -> Lattice | None:
    """
    Find out whether a map repeats in two directions.

    Args:
        strokes: (H, W) float32, 0..1.
    """
    scale = min(1.0, SEARCH_SIDE_PX / max(strokes.shape))
    size_wh = max(1, round(strokes.shape[1] * scale)), max(1, round(strokes.shape[0] * scale))
    likeness = _likeness(np.asarray(cv2.resize(strokes, size_wh, interpolation=cv2.INTER_AREA), np.float32))
    peaks = _peaks(likeness)
    if len(peaks) < 2:
        return None
    chosen = _two_steps(likeness, peaks)
    if chosen is None:
        return None
    steps = _refined(likeness, chosen)
    if not _spans(steps):
        return None
    values = [_value(likeness, step) for step in steps]
    grown = np.array([strokes.shape[1] / size_wh[0], strokes.shape[0] / size_wh[1]])
    return Lattice(steps * grown, float(min(values))) if min(values) >= LEAST_LIKENESS else None


def seen_together(maps: Floats, lattice: Lattice) -> Floats:
    """
    Give every pixel the mean over all its repetitions.

    Args:
        maps: (H, W, C) float32: any maps of what repeats; at most four.
    """
    rows, columns = maps.shape[:2]
    width, height = (max(2, round(float(np.hypot(*step)))) for step in lattice.steps)
    to_photo = lattice.steps.T / np.array([width, height])  # from a pixel of the cell to one of the maps
    cell = _fold(maps, to_photo, lattice.steps, (width, height))
    back = np.linalg.inv(to_photo).astype(np.float32)
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None]
    across, down = (back[i, 0] * x + back[i, 1] * y for i in (0, 1))
    padded = cv2.copyMakeBorder(cell, 0, 1, 0, 1, cv2.BORDER_WRAP)
    together = cv2.remap(padded, across % width, down % height, cv2.INTER_LINEAR)
    return np.asarray(together, np.float32).reshape(maps.shape)


def _fold(maps: Floats, to_photo: Doubles, steps: Doubles, cell_wh: tuple[int, int]) -> Floats:
    """(h, w, C) float32: the mean of all cells that lie in the maps, whole or in part."""
    rows, columns = maps.shape[:2]
    v, u = np.mgrid[: cell_wh[1], : cell_wh[0]]
    x, y = ((to_photo[i, 0] * u + to_photo[i, 1] * v).astype(np.float32) for i in (0, 1))
    corners = np.array([(0, 0), (columns, 0), (0, rows), (columns, rows)]) @ np.linalg.inv(steps)
    first, last = np.floor(corners.min(0)).astype(int) - 1, np.ceil(corners.max(0)).astype(int)
    total = np.zeros((*x.shape, maps.shape[2]), np.float32)
    count = np.zeros((*x.shape, 1), np.float32)
    for i in range(first[0], last[0] + 1):
        for j in range(first[1], last[1] + 1):
            left, top = (np.array([i, j]) @ steps).astype(np.float32)
            its_x, its_y = x + left, y + top
            is_there = (its_x >= 0) & (its_y >= 0) & (its_x <= columns - 1) & (its_y <= rows - 1)
            if is_there.any():
                seen = cv2.remap(maps, its_x, its_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                total += is_there[..., None] * seen.reshape(total.shape)
                count += is_there[..., None]
    return np.asarray(total / np.maximum(count, 1), np.float32)


def _likeness(plane: Floats) -> Floats:
    """(2 H, 2 W) float32, no shift in the middle: the map's correlation with itself where both overlap."""
    rows, columns = plane.shape
    size = cv2.getOptimalDFTSize(2 * rows), cv2.getOptimalDFTSize(2 * columns)

    def spectrum(of: Floats) -> Spectrum:
        return np.fft.rfft2(of, size).astype(np.complex64)

    def correlated(one: Spectrum, other: Spectrum) -> Floats:
        whole = np.fft.fftshift(np.fft.irfft2(one * np.conj(other), size))
        top, left = size[0] // 2 - rows, size[1] // 2 - columns
        return np.asarray(whole[top : top + 2 * rows, left : left + 2 * columns], np.float32)

    there, values, squares = (spectrum(of) for of in (np.ones_like(plane), plane, plane * plane))
    count = np.maximum(correlated(there, there), 1)
    own, others = correlated(values, there) / count, correlated(there, values) / count
    shared = correlated(values, values) / count - own * others
    spread = np.sqrt(
        np.maximum(correlated(squares, there) / count - own**2, 1e-9)
        * np.maximum(correlated(there, squares) / count - others**2, 1e-9)
    )
    like = shared / (spread + 1e-4)
    like[count < 0.15 * plane.size] = 0
    return like


def _peaks(likeness: Floats) -> list[Doubles]:
    """The (x, y) shifts at which the map is most like itself, one of each pair of opposites, the best first."""
    rows, columns = likeness.shape[0] // 2, likeness.shape[1] // 2
    highest = cv2.dilate(likeness, np.ones((7, 7), np.uint8))
    y, x = np.nonzero((likeness == highest) & (likeness >= LEAST_LIKENESS))
    shifts = np.stack([x - columns, y - rows], 1).astype(float)
    lengths = np.hypot(*shifts.T)
    far = (np.abs(shifts) > MAX_STEP_SHARE * np.array([columns, rows])).any(1)
    half = (shifts[:, 1] > 0) | ((shifts[:, 1] == 0) & (shifts[:, 0] > 0))
    kept = np.flatnonzero((lengths >= MIN_STEP_PX) & ~far & half)
    kept = kept[np.argsort(-likeness[y[kept], x[kept]])][:60]
    return [shifts[place] for place in kept]


def _two_steps(likeness: Floats, peaks: list[Doubles]) -> Doubles | None:
    """The shortest good step, and the shortest good one in another direction."""
    first = _shortest(likeness, peaks)
    others = [
        peak
        for peak in peaks
        if abs(first[0] * peak[1] - first[1] * peak[0]) > MIN_ANGLE_SIN * np.hypot(*first) * np.hypot(*peak)
    ]
    return np.array([first, _shortest(likeness, others)]) if others else None


def _spans(steps: Doubles) -> bool:
    """Whether the two are long enough and far enough from one direction; peaks in a row fit steps that are neither."""
    first, second = (float(np.hypot(*step)) for step in steps)
    if min(first, second) < MIN_STEP_PX / 2:
        return False
    return abs(float(np.linalg.det(steps))) > MIN_ANGLE_SIN / 2 * first * second


def _shortest(likeness: Floats, peaks: list[Doubles]) -> Doubles:
    best = max(_value(likeness, peak) for peak in peaks)
    return min((p for p in peaks if _value(likeness, p) >= AS_GOOD * best), key=lambda peak: float(np.hypot(*peak)))


def _value(likeness: Floats, shift: Doubles) -> float:
    y, x = np.rint(np.array(likeness.shape) / 2 + shift[::-1]).astype(int)
    return float(likeness[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max(initial=0))


def _refined(likeness: Floats, steps: Doubles) -> Doubles:
    """Fit both steps to all peaks near whole numbers of them, from the middle outwards."""
    for reach in range(1, FINE_STEPS + 1):
        counts, found, weights = [], [], []
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                at = _peak_near(likeness, np.array([i, j]) @ steps) if (i, j) != (0, 0) else None
                if at is not None:
                    counts.append((i, j))
                    found.append(at[0])
                    weights.append(at[1])
        if len(counts) < 4:
            return steps
        by = np.sqrt(np.array(weights))[:, None]
        steps = np.linalg.lstsq(np.array(counts) * by, np.array(found) * by, rcond=None)[0]
    return steps


def _peak_near(likeness: Floats, shift: Doubles) -> tuple[Doubles, float] | None:
    """The highest place within two pixels, to a fraction of one, and its value."""
    y, x = np.rint(np.array(likeness.shape) / 2 + shift[::-1]).astype(int)
    if not (3 <= y < likeness.shape[0] - 3 and 3 <= x < likeness.shape[1] - 3):
        return None
    near = likeness[y - 2 : y + 3, x - 2 : x + 3]
    dy, dx = np.unravel_index(int(near.argmax()), near.shape)
    y, x = y + int(dy) - 2, x + int(dx) - 2
    top = float(likeness[y, x])
    if top < LEAST_LIKENESS:
        return None
    left, right, above, below = likeness[y, x - 1], likeness[y, x + 1], likeness[y - 1, x], likeness[y + 1, x]
    fine_x = float(np.clip((right - left) / max(1e-6, 2 * (2 * top - left - right)), -0.5, 0.5))
    fine_y = float(np.clip((below - above) / max(1e-6, 2 * (2 * top - above - below)), -0.5, 0.5))
    middle_y, middle_x = likeness.shape[0] // 2, likeness.shape[1] // 2
    return np.array([x + fine_x - middle_x, y + fine_y - middle_y]), top
