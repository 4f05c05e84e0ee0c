"""
Learn a mark from several pictures that carry it at the same place.

What moves from picture to picture is photo; what stays is the mark. Where its strokes are is what the network sees in all of
them. Where it sees nothing, the median of the pictures' gradients keeps only the mark's, and integrating it draws the strokes
on an even ground (T. Dekel et al., "On the Effectiveness of Visible Watermarks", CVPR 2017). With the strokes known, opacity
and colour come from all pictures' pairs together, and each pixel's own share of the ink is the best common answer of all.
A shadow or an outline has an ink of its own (`ml/watermark/template/layers.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.errors import TemplateError
from ml.picture.types import Matte, RgbImage
from ml.watermark.finder import Sight
from ml.watermark.restoration import louder
from ml.watermark.template.layers import Layer, with_what_lies_under
from ml.watermark.unblending import Around, Ink, Pixels, fit_pairs, look_around, pair_up, unblend

ROUNDS = 4
LEAST_SHAPE, STROKE, STROKE_PX, STROKE_RIM_PX = 0.1, 0.5, 12, 2
"""What is learned belongs to a stroke where it hangs together above the first and has so many pixels above the second, and for so
many pixels around. The rest is texture: of the photos outside the mark 14 % is changed instead of 32 %, for .04 dB."""

MIN_SHARE, MAX_SHARE = 2e-4, 0.6

LEAST_GATE = 0.15
"""The highest of the gates' median: with less, most pictures show no mark. Of 80 sets of five without a mark 68 have less, of 80
with one 4; gradients alone found a mark in 3 of 16 sets without.
"""

IN_ALL, LEAST_SEEN = 1.1, 0.1
"""What is seen alike in all pictures counts as thrice as likely (log odds), and what is less likely than that then as nothing."""


NOTHING_SHARED = "These photos share no watermark at the same place."

Finding = Callable[[RgbImage], Sight]
"""Says what it sees of marks in a picture, at its size or smaller."""


def learn_mark(pictures: Sequence[RgbImage], *, look: Finding | None = None) -> Layer:
    """
    Learn alpha and premultiplied colour of a mark.

    Args:
        pictures: at least 3, (H, W, 3) uint8, all of one size, with the mark at the same place.
        look: what sees marks. Where it is missing or sees no strokes, learning begins with the gradients that all share.

    Returns:
        (H, W) float32, 0..1, and (H, W, 3) float32, 0..255.

    Raises:
        TemplateError: they share no mark.
    """
    pixels = [picture.astype(np.float32) for picture in pictures]
    learned = None
    if look is not None:
        sights = [look(picture) for picture in pictures]
        if np.median([sight.gate for sight in sights], axis=0).max() < LEAST_GATE:
            raise TemplateError(NOTHING_SHARED)
        learned = _learned_from(pixels, _seen_strokes(sights, pixels[0]))
    learned = learned or _learned_from(pixels, common_strokes(pixels))
    if learned is None:
        raise TemplateError(NOTHING_SHARED)
    return learned


def _seen_strokes(sights: Sequence[Sight], picture: Pixels) -> Matte:
    """(H, W) float32, 0..1: where strokes are, as all pictures together say it: the mean of the log odds."""
    shares = [np.clip(sight.shape, 1e-3, 1 - 1e-3) for sight in sights]
    mean = np.mean([np.log(share / (1 - share)) for share in shares], axis=0).astype(np.float32)
    odds = cv2.resize(mean, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    seen = 1 / (1 + np.exp(-odds - IN_ALL))
    return louder(np.where(seen > LEAST_SEEN, seen, 0).astype(np.float32))


def _learned_from(pixels: Sequence[Pixels], shape: Matte) -> Layer | None:
    """As `learn_mark`, beginning with some strokes; None where nothing comes of them."""
    strokes = _of_one_ink(pixels, shape)
    return None if strokes is None else with_what_lies_under(pixels, strokes, _of_one_ink)


def _of_one_ink(pixels: Sequence[Pixels], shape: Matte) -> Layer | None:
    ink: Ink | None = None
    arounds: list[Around] = []
    for _ in range(ROUNDS):
        if not _is_a_mark(shape):
            break
        pairs = [pair_up(picture, shape) for picture in pixels]
        again = fit_pairs(np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs]))
        if again is None:
            break
        ink = again
        arounds = [look_around(picture, shape) for picture in pixels]
        shape = _common_shape(pixels, arounds, ink)
    if ink is None:
        return None
    shape = _polished(pixels, arounds, shape, ink)
    shape = _without_noise(shape)
    return (shape * np.float32(ink.opacity), shape[..., None] * ink.colour) if _is_a_mark(shape) else None


def _without_noise(shape: Matte) -> Matte:
    count, labels = cv2.connectedComponents((shape > LEAST_SHAPE).astype(np.uint8), connectivity=8)
    is_stroke = np.bincount(labels[shape > STROKE], minlength=count) >= STROKE_PX
    is_stroke[0] = False
    near = cv2.dilate(is_stroke[labels].astype(np.uint8), np.ones((2 * STROKE_RIM_PX + 1,) * 2, np.uint8)) > 0
    return np.where(near, shape, 0).astype(np.float32)


def _is_a_mark(shape: Matte) -> bool:
    return bool(MIN_SHARE < np.count_nonzero(shape > 0.5) / shape.size < MAX_SHARE)


def common_strokes(pixels: Sequence[Pixels]) -> Matte:
    """
    (H, W) float32, 0 or 1: what is drawn when only gradients that all pictures share are integrated.

    Chance makes gradients agree too; the same pictures, shifted against each other, show how far.
    """
    stack = np.stack([cv2.GaussianBlur(picture, (0, 0), SMOOTHING_PX) for picture in pixels]).astype(np.float32)
    common, shared = _shared_gradients(stack)
    height, width = shared.shape
    shifts = [(number * height // len(stack), number * width // len(stack)) for number in range(len(stack))]
    shifted = [np.roll(picture, shift, (0, 1)) for picture, shift in zip(stack, shifts, strict=True)]
    _, by_chance = _shared_gradients(np.stack(shifted))
    strong, weak = np.quantile(by_chance, STRONG), np.quantile(by_chance, WEAK)
    if np.count_nonzero(shared > strong) < MORE_THAN_CHANCE * (1 - STRONG) * shared.size:
        return np.zeros((height, width), np.float32)
    is_edge = _reached(shared > weak, shared > strong)
    edges = np.where(cv2.dilate(is_edge.astype(np.uint8), np.ones((3, 3), np.uint8))[..., None] > 0, common, 0)
    drawn = _integrated(edges[:, :-1, :3], edges[:-1, :, 3:])
    side = min(255, max(31, int(0.25 * min(height, width)))) | 1
    planes = [_bytes(drawn[..., c]) for c in range(3)]
    apart = np.stack([plane.astype(np.float32) - cv2.medianBlur(plane, side) for plane in planes], -1)
    strength = np.sqrt((apart**2).sum(2))
    if not is_edge.any():
        return np.zeros((height, width), np.float32)
    least = max(LEAST_STRENGTH, 0.5 * float(np.quantile(strength[is_edge], 0.8)))
    return _without_specks((strength > least).astype(np.uint8))


def _shared_gradients(stack: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The median gradient, (H, W, 6), and how long it is in the picture that has nearly the least of it, (H, W)."""
    across, down = np.zeros_like(stack), np.zeros_like(stack)
    across[:, :, :-1], down[:, :-1] = np.diff(stack, axis=2), np.diff(stack, axis=1)
    common = np.concatenate([np.median(across, 0), np.median(down, 0)], -1)
    length = np.sqrt((common**2).sum(-1))
    along = (np.concatenate([across, down], -1) * common).sum(-1) / np.maximum(length, 1e-3)
    least = np.sort(along, 0)[len(stack) // 6]
    return common, cv2.GaussianBlur(np.maximum(least, 0), (0, 0), 1.0)


def _reached(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of `weak` in which there is something of `strong`."""
    count, labels = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    amount = np.bincount(labels[strong], minlength=count) >= 3
    amount[0] = False
    return np.asarray(amount[labels], bool)


STRONG, WEAK, MORE_THAN_CHANCE = 0.9997, 0.99, 4
SMOOTHING_PX, EDGE_NOISES, LEAST_STRENGTH = 0.7, 3.0, 5.0


def _without_specks(strokes: NDArray[np.uint8]) -> Matte:
    _, labels, facts, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    kept = facts[:, cv2.CC_STAT_AREA] >= 12
    kept[0] = False
    return np.asarray(kept[labels], np.float32)


def _bytes(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(plane - np.median(plane) + 128, 0, 255), np.uint8)


def _integrated(across: Pixels, down: Pixels) -> Pixels:
    """The picture that has these gradients (least squares, by cosine transform)."""
    height, width = across.shape[0], down.shape[1]
    rows, columns = height + height % 2, width + width % 2
    divergence = np.zeros((rows, columns, 3), np.float32)
    divergence[:height, : width - 1] += across
    divergence[:height, 1:width] -= across
    divergence[: height - 1, :width] += down
    divergence[1:height, :width] -= down
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    scale = 2 * (np.cos(np.pi * y / rows) - 1) + 2 * (np.cos(np.pi * x / columns) - 1)
    scale[0, 0] = 1
    planes = []
    for c in range(3):
        spectrum = cv2.dct(divergence[..., c]) / scale.astype(np.float32)
        spectrum[0, 0] = 0
        planes.append(cv2.idct(spectrum.astype(np.float32))[:height, :width])
    return np.stack(planes, -1)


def _common_shape(pixels: Sequence[Pixels], arounds: Sequence[Around], ink: Ink) -> Matte:
    """Each pixel's share of the ink, as all pictures together say it; a picture counts by its contrast to the ink."""
    along, length = np.zeros(pixels[0].shape[:2], np.float32), np.zeros(pixels[0].shape[:2], np.float32)
    for picture, around in zip(pixels, arounds, strict=True):
        way = ink.colour - ink.opacity * around.fill
        along += ((picture - around.fill) * way).sum(2) / around.variance
        length += (way**2).sum(2) / around.variance
    share = along / np.maximum(length, 1e-3)
    return np.asarray(np.clip(share, 0, 1), np.float32)


def _polished(pixels: Sequence[Pixels], arounds: Sequence[Around], shape: Matte, ink: Ink) -> Matte:
    """
    Change the shape until no contour of it is left in the un-blended pictures.

    Gradient descent on what stands out of its surroundings, at several widths, in all pictures together: an edge of the
    photo is in one picture, an edge of the mark in all.
    """
    for step in range(POLISH_STEPS):
        side = POLISH_SIDES_PX[step % len(POLISH_SIDES_PX)]
        upper, lower = np.zeros_like(shape), np.zeros_like(shape)
        for picture, around in zip(pixels, arounds, strict=True):
            clean = unblend(picture, shape, ink.opacity, ink.colour)
            turn = (ink.opacity * clean - ink.colour) / np.maximum(1 - ink.opacity * shape, 0.1)[..., None]
            upper += ((clean - cv2.blur(clean, (side, side))) * turn).sum(2) / around.variance
            lower += (turn**2).sum(2) / around.variance
        shape = np.clip(shape - 0.5 * upper / (lower + 1e-3), 0, 1).astype(np.float32)
    return shape


POLISH_STEPS, POLISH_SIDES_PX = 18, (17, 9, 5)
