"""
Take a see-through mark off again: marked = (1 - k s) photo + s q, so photo = (marked - s q) / (1 - k s).

s (the strokes' shape, 0..1) comes from a template or is being learnt for one. The mark's opacity k and its premultiplied
colour q follow from the picture: just inside a stroke the photo goes on as just outside of it, so the spread of colours
inside is 1 - k times the spread outside, and q is what is left over. Most marks are white or black: where that explains
the pixels as well as the free fit does, it is believed.

Last, un-blended pixels and the fill from around are mixed by how much each can be trusted: flat sky takes the fill (no
ghost of the contour), fine texture takes the un-blended pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.types import Mask, Matte
from ml.watermark.inpainting import smooth_fill

Pixels = NDArray[np.float32]
"""(H, W, 3) float32, 0..255."""

Pairs = NDArray[np.float32]
"""(n, 3) float32, 0..255."""

CORE, TOUCHED = 0.8, 0.1
"""From which shape on a pixel is wholly marked, and from which on it isn't clean."""

PAIR_REACH_PX = 9
FEWEST_PAIRS, MOST_PAIRS = 30, 20_000
TRIMMED = 0.85
"""Share of the pairs that a fit believes: the others are the shape's mistakes."""

PLAIN_COLOUR_SLACK, PLAIN_COLOUR_LEVELS = 1.1, 0.3
"""White or black is believed where its error is at most this much above the free fit's."""

CHANGED = 0.02
"""The shape from which on a pixel is changed."""

LEAST_OPACITY, MOST_OPACITY = 0.02, 0.98
NOISE_VARIANCE = 6.0
"""Levels squared: JPEG's, at usual qualities."""


@dataclass(frozen=True, slots=True)
class Ink:
    """
    What strokes are drawn with.

    Attributes:
        opacity: 0..1.
        colour: (3,) float32, 0..255, premultiplied with `opacity`.
        error: mean absolute levels (three channels together) by which it misses the pixels that it was fitted to.
    """

    opacity: float
    colour: NDArray[np.float32]
    error: float


@dataclass(frozen=True, slots=True)
class Around:
    """
    What the picture would be without its marks, as far as their surroundings tell.

    Attributes:
        fill: (H, W, 3) float32: the smooth fill.
        variance: (H, W) float32: how far it may be off, levels squared a channel.
    """

    fill: Pixels
    variance: NDArray[np.float32]


def look_around(pixels: Pixels, shape: Matte) -> Around:
    """Fill the marked pixels from the clean ones, and say how far the fill can be trusted."""
    clean = clean_of(shape)
    fill = smooth_fill(pixels, clean)
    texture = ((pixels - cv2.blur(pixels, (7, 7))) ** 2).mean(2)[..., None]
    near = smooth_fill(np.asarray(texture, np.float32), _eroded(clean, 7))[..., 0]
    return Around(fill, np.asarray(cv2.blur(near, (9, 9)) + NOISE_VARIANCE, np.float32))


def clean_of(shape: Matte) -> Mask:
    """(H, W) bool: pixels well outside of the strokes."""
    return cv2.dilate((shape > TOUCHED).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0


def _eroded(mask: Mask, side_px: int) -> Mask:
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((side_px, side_px), np.uint8)) > 0
    return eroded if eroded.any() else mask


def fit_ink(pixels: Pixels, shape: Matte) -> Ink | None:
    """Find the opacity and the colour of strokes; None where there is too little to see."""
    return fit_pairs(*pair_up(pixels, shape))


def pair_up(pixels: Pixels, shape: Matte, *, may_erode: bool = True) -> tuple[Pairs, Pairs]:
    """Pair each core pixel of the strokes with the nearest clean one: both are means of 3x3 of their own kind."""
    clean = clean_of(shape)
    core = shape > CORE
    inner = cv2.erode(core.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if may_erode and np.count_nonzero(inner) > 200:
        core = inner
    if not clean.any() or not core.any():
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)
    distance, labels = cv2.distanceTransformWithLabels(
        (~clean).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels[clean]] = np.flatnonzero(clean)
    chosen = np.flatnonzero(core & (distance <= PAIR_REACH_PX))
    if len(chosen) > MOST_PAIRS:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_PAIRS).astype(np.int64)]
    outside = _mean_of(pixels, clean).reshape(-1, 3)[nearest[labels.ravel()[chosen]]]
    return outside, _mean_of(pixels, shape > CORE).reshape(-1, 3)[chosen]


def _mean_of(pixels: Pixels, mask: Mask) -> Pixels:
    weight = mask.astype(np.float32)
    total = cv2.blur(pixels * weight[..., None], (3, 3))
    return np.asarray(total / np.maximum(cv2.blur(weight, (3, 3)), 1e-6)[..., None], np.float32)


def fit_pairs(outside: Pairs, inside: Pairs) -> Ink | None:
    """
    Fit inside = (1 - k) outside + q, believing `TRIMMED` of the pairs.

    The slope is the ratio of the spreads, not a regression's: both sides are equally rough views of the same photo.
    """
    if len(outside) < FEWEST_PAIRS:
        return None
    slope, colour = _first_guess(outside, inside)
    for _ in range(5):
        miss = np.abs(inside - slope * outside - colour).sum(1)
        kept = miss <= np.quantile(miss, TRIMMED)
        x, y = outside[kept] - outside[kept].mean(0), inside[kept] - inside[kept].mean(0)
        ratio = float(np.sqrt((y**2).sum() / max(float((x**2).sum()), 1e-6))) if (x * y).sum() > 0 else 0.0
        slope = float(np.clip(ratio, 1 - MOST_OPACITY, 1 - LEAST_OPACITY))
        colour = np.median((inside - slope * outside)[kept], 0)
    opacity = 1 - slope
    best = _ink(outside, inside, opacity, np.clip(colour, 0, 255 * opacity))
    for plain in (255.0, 0.0):
        way = plain - outside
        opacity = float(np.median(((inside - outside) * way).sum(1) / np.maximum((way**2).sum(1), 1.0)))
        if LEAST_OPACITY < opacity < MOST_OPACITY:
            ink = _ink(outside, inside, opacity, np.full(3, opacity * plain))
            if ink.error < best.error * PLAIN_COLOUR_SLACK + PLAIN_COLOUR_LEVELS:
                return ink
    return best


def _first_guess(outside: Pairs, inside: Pairs) -> tuple[float, NDArray[np.float32]]:
    best = (np.inf, 1.0, np.zeros(3, np.float32))
    for slope in np.arange(0.05, 1.0, 0.05):
        colour = np.median(inside - slope * outside, 0)
        error = _trimmed_error(outside, inside, slope, colour)
        if colour.max() > 255 * (1 - slope) * 1.1 + 3 or colour.min() < -5:  # no colour that exists
            error *= 1.5
        if error < best[0]:
            best = error, float(slope), colour
    return best[1], best[2]


def _trimmed_error(outside: Pairs, inside: Pairs, slope: float, colour: NDArray[np.floating]) -> float:
    miss = np.sort(np.abs(inside - slope * outside - colour).sum(1))[: max(1, int(TRIMMED * len(outside)))]
    return float(miss.mean() / np.sqrt(1 + slope**2))


def _ink(outside: Pairs, inside: Pairs, opacity: float, colour: NDArray[np.floating]) -> Ink:
    return Ink(opacity, colour.astype(np.float32), _trimmed_error(outside, inside, 1 - opacity, colour))


def unblend(pixels: Pixels, shape: Matte, opacity: float, colour: Pixels) -> Pixels:
    """Invert the blend; `colour` is what `spread` gives. Returns (H, W, 3) float32, 0..255."""
    return take_off(pixels, opacity * shape, shape[..., None] * colour)


def take_off(pixels: Pixels, alpha: Matte, ink: Pixels) -> Pixels:
    """Invert the blend of a mark whose alpha and premultiplied colour are known of each pixel: (H, W, 3) float32, 0..255."""
    left = np.maximum(1 - alpha, LEAST_LEFT)[..., None]
    return np.asarray(np.clip((pixels - ink) / left, 0, 255), np.float32)


def shape_of(alpha: Matte) -> Matte:
    """(H, W) float32, 0..1: the strokes of a mark, whatever its opacity."""
    return np.asarray(alpha / max(1e-3, float(alpha.max())), np.float32)


LEAST_LEFT = 0.04
"""Of the photo: with less shining through, a pixel is un-blended as if so much did."""

DOUBTS, EXACT_DOUBTS = (0.3, 0.08), (0.1, 0.03)
"""By how much the shape may be wrong at contours and inside, for a seen or smeared one and for a given one."""


def restore(pixels: Pixels, shape: Matte, ink: Ink, around: Around) -> Pixels:
    """As `restore_exactly`, for strokes of one ink whose shape is seen or smeared."""
    return _mixed(pixels, ink.opacity * shape, shape[..., None] * ink.colour, around, DOUBTS)


def restore_exactly(pixels: Pixels, alpha: Matte, ink: Pixels, around: Around) -> Pixels:
    """
    Un-blend a mark whose alpha and premultiplied colour are known of each pixel, and mix the result with the fill, each by
    how far it may be off.

    Returns:
        (H, W, 3) float32, 0..255.
    """
    return _mixed(pixels, alpha, ink, around, EXACT_DOUBTS)


def _mixed(pixels: Pixels, alpha: Matte, ink: Pixels, around: Around, doubts: tuple[float, float]) -> Pixels:
    at_contours, inside = doubts
    left = np.maximum(1 - alpha, LEAST_LEFT)
    slope = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) / max(1e-3, float(alpha.max()))
    doubt = inside + (at_contours - inside) * np.minimum(slope, 1)
    way = ((ink - alpha[..., None] * around.fill) ** 2).mean(2)
    off = (NOISE_VARIANCE + way * doubt**2) / left**2
    share = (off / (off + around.variance))[..., None]
    return np.asarray(take_off(pixels, alpha, ink) * (1 - share) + around.fill * share, np.float32)


def agreement(before: Pixels, after: Pixels, shape: Matte) -> float:
    """How far strokes' pixels lie off the clean ones beside them, after as a share of before."""
    outside, marked = pair_up(before, shape)
    if len(outside) < FEWEST_PAIRS:
        return 1.0
    _, restored = pair_up(after, shape)
    was, now = np.abs(marked - outside).sum(1), np.abs(restored - outside).sum(1)
    return float(now.mean() / max(1.0, float(was.mean())))


FOLLOWED, SHIFTED_LEVELS, MOST_FAINT = 0.5, 4.0, 0.5
"""The correlation of what is covered with what is beside it, the levels between both, and the opacity up to which that counts."""


def is_tinted(pixels: Pixels, shape: Matte) -> bool:
    """
    Whether what is covered goes on like what is beside it, only lighter, darker or tinted: a faint mark, and no thing.

    On 45 smears of large marks of opacity .1 to .6 it or the gate says so of 89 % (the gate alone of 76 %); of 135 things pasted
    in, smeared precisely 25 % (23 %), with 6 px around them 25 % (18 %).
    """
    outside, inside = pair_up(pixels, shape)
    if len(outside) < FEWEST_PAIRS:
        return False
    light, covered = outside.mean(1) - outside.mean(), inside.mean(1) - inside.mean()
    correlation = float((light * covered).mean()) / max(1e-3, float(light.std() * covered.std()))
    shift = float(np.abs(np.median(inside - outside, 0)).mean())
    if correlation <= FOLLOWED or shift <= SHIFTED_LEVELS:
        return False
    ink = fit_pairs(outside, inside)
    return ink is not None and ink.opacity < MOST_FAINT


LEAST_VARIETY, SHOWN = 8.0, 0.8


def shows_through(pixels: Pixels, shape: Matte, ink: Ink) -> bool:
    """Whether strokes follow what is beside them. Where that is even, there is nothing to follow: yes."""
    outside, inside = pair_up(pixels, shape)
    if len(outside) < FEWEST_PAIRS:
        return False
    rest = inside - (1 - ink.opacity) * outside
    followed = np.abs(rest - ink.colour).sum(1).mean()
    alone = np.abs(inside - np.median(inside, 0)).sum(1).mean()
    varied = np.abs(outside - np.median(outside, 0)).sum(1).mean()
    return bool(varied < LEAST_VARIETY or followed < SHOWN * max(alone, LEAST_VARIETY / 2))
