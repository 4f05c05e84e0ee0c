"""
How well edges lose the old background's colour, apart from how well the alpha is found.

A photo with a true alpha has no true foreground. So a test image is made whose foreground is known: the colours of the
photo's opaque pixels, carried outward to the nearest others, mixed by the true alpha with a drawn background. A cut-out
of it with that same alpha is laid over new colours and compared with the known foreground on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ml.picture.compositing import over_colour
from ml.picture.foreground import estimate_foreground
from ml.picture.transforms import require_rgb, to_alpha
from ml.picture.types import AlphaChannel, Matte, RgbImage

OPAQUE = 0.99
"""From here on a pixel's colour is the subject's own."""

NEW_COLOURS_RGB = ((0, 0, 0), (255, 255, 255), (0, 255, 0))
"""Black, white and green. With one alpha on both sides the new colour itself cancels out, but for rounding."""

BACKGROUND_SEEDS = (1, 2)
_BLOBS_PX = 60
_GRAIN_LEVELS = 6.0

Estimate = Callable[[RgbImage, AlphaChannel], RgbImage]


@dataclass(frozen=True, slots=True)
class EdgeColours:
    """
    Mean absolute error of soft pixels on new backgrounds, in levels of 255.

    Attributes:
        naive: of a cut-out that keeps the photo's own colours.
        ours: of one with the estimated foreground.
    """

    naive: float
    ours: float


def edge_colours(image: RgbImage, truth: Matte, *, estimate: Estimate = estimate_foreground) -> EdgeColours | None:
    """
    Compare both cut-outs of two test images made of one photo.

    Args:
        image: (H, W, 3) uint8, 0..255.
        truth: (H, W) float32, 0..1: its true alpha.
        estimate: finds the foreground's colours.

    Returns:
        The mean error of each, or None where no pixel is soft or none is opaque.

    Raises:
        ShapeError: the two do not fit.
    """
    alpha = to_alpha(truth)
    foreground = known_foreground(image, truth)
    soft = (alpha > 0) & (alpha < 255)
    if foreground is None or not soft.any():
        return None
    naive, ours = [], []
    for seed in BACKGROUND_SEEDS:
        test_image = _mix(foreground, known_background(alpha.shape, seed), alpha)
        naive.append(_error(test_image, foreground, alpha))
        ours.append(_error(estimate(test_image, alpha), foreground, alpha))
    return EdgeColours(float(np.mean(naive)), float(np.mean(ours)))


def known_foreground(image: RgbImage, truth: Matte) -> RgbImage | None:
    """
    Give every pixel the colour of the nearest opaque one (truth of 0.99 and more); None where there is none.

    Args:
        image: (H, W, 3) uint8, 0..255.
        truth: (H, W) float32, 0..1.
    """
    opaque = truth >= OPAQUE
    if not opaque.any():
        return None
    distances_from = (~opaque).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(distances_from, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    colours[labels[opaque]] = require_rgb(image)[opaque]
    return colours[labels]


def known_background(shape_hw: tuple[int, ...], seed: int) -> RgbImage:
    """Draw soft blobs of strong colours with a little grain: an (H, W, 3) uint8 image, always the same for a seed."""
    height, width = shape_hw
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (-(-height // _BLOBS_PX) + 1, -(-width // _BLOBS_PX) + 1, 3), np.uint8)
    blobs = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(blobs + random.normal(0, _GRAIN_LEVELS, blobs.shape) + 0.5, 0, 255).astype(np.uint8)


def _mix(foreground: RgbImage, background: RgbImage, alpha: AlphaChannel) -> RgbImage:
    opacity = alpha[..., None].astype(np.float32) / 255
    return (foreground * opacity + background * (1 - opacity) + np.float32(0.5)).astype(np.uint8)


def _error(colours: RgbImage, foreground: RgbImage, alpha: AlphaChannel) -> float:
    soft = (alpha > 0) & (alpha < 255)
    errors = [
        np.abs(over_colour(colours, alpha, new)[soft].astype(np.int16) - over_colour(foreground, alpha, new)[soft])
        for new in NEW_COLOURS_RGB
    ]
    return float(np.mean(errors))
