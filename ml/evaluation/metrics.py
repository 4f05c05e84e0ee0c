"""
How far a matte is from the truth: pure functions of two (H, W) float32 arrays, 0..1.

Sources of what is not plain arithmetic:
    max F        R. Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009 (beta squared = 0.3)
    S-measure    D.-P. Fan et al., "Structure-measure: A New Way to Evaluate Foreground Maps", ICCV 2017 (arXiv 1708.00786)
    boundary IoU B. Cheng et al., "Boundary IoU", CVPR 2021 (arXiv 2103.16562)
    SAD, gradient C. Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009

Every function raises ShapeError where the two arrays are not (H, W) float32 of one size with at least one pixel.
A mask is where a matte is above one half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.errors import ShapeError
from ml.picture.types import Mask, Matte

HALF = 0.5
BETA_SQUARED = 0.3
"""Achanta et al.: precision weighs more than recall, because calling everything the subject has a recall of 1."""

BAND_SHARE = 0.02
"""Of the image's diagonal: how wide a boundary is for the boundary IoU (the paper's choice)."""

GRADIENT_SIGMA_PX = 1.4
GRADIENT_CUT = 1e-2
"""The Gaussian's derivative ends where the Gaussian falls below this, as in the benchmark's own code."""

THRESHOLDS = 255
_TINY = 1e-12
_Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curves:
    """Precision and recall of the masks `matte >= t / 255` for t = 1..255: two (255,) float64, 0..1."""

    precision: _Doubles
    recall: _Doubles


def mean_absolute_error(matte: Matte, truth: Matte) -> float:
    """Mean of |matte - truth|: 0 is perfect, 1 the worst."""
    _require_pair(matte, truth)
    return float(np.mean(np.abs(matte - truth), dtype=np.float64))


def sad(matte: Matte, truth: Matte) -> float:
    """Sum of |matte - truth| over the whole image, in thousands of pixels."""
    _require_pair(matte, truth)
    return float(np.sum(np.abs(matte - truth), dtype=np.float64)) / 1000


def iou(matte: Matte, truth: Matte) -> float:
    """Intersection over union of the two masks, 0..1; 1 where both are empty."""
    return _overlap(_mask(matte, truth), _mask(truth, matte))


def precision_recall(matte: Matte, truth: Matte) -> tuple[float, float]:
    """
    How much of the matte's mask is right, and how much of the truth's mask was found: both 0..1.

    Precision is 1 where the matte's mask is empty, recall is 1 where the truth's is: nothing was claimed or missed.
    """
    found, wanted = _mask(matte, truth), _mask(truth, matte)
    both = np.count_nonzero(found & wanted)
    claimed, there = np.count_nonzero(found), np.count_nonzero(wanted)
    return (both / claimed if claimed else 1.0), (both / there if there else 1.0)


def boundary_iou(matte: Matte, truth: Matte, *, band_share: float = BAND_SHARE) -> float:
    """
    Intersection over union of the two masks' inner edges, 0..1: what a large solid inside can't hide.

    Args:
        band_share: width of the edge, as a share of the image's diagonal (at least 1 px). Beyond the image is outside.

    Returns:
        1 where both edges are empty.
    """
    found, wanted = _mask(matte, truth), _mask(truth, matte)
    band_px = max(1, round(band_share * math.hypot(*matte.shape)))
    return _overlap(_inner_edge(found, band_px), _inner_edge(wanted, band_px))


def curves(matte: Matte, truth: Matte) -> Curves:
    """
    Precision and recall at 255 thresholds. Average those of all photos, then take `max_f`.

    Precision is 0 where a threshold leaves nothing (so is F); recall is 1 where the truth's mask is empty.
    """
    wanted = _mask(truth, matte)
    levels = np.floor(matte * THRESHOLDS + 1e-3).astype(np.int64)  # n / 255 in float32 may lie just under its level
    right, all_found = (
        np.cumsum(np.bincount(part.ravel(), minlength=THRESHOLDS + 1)[::-1])[::-1][1:]
        for part in (levels[wanted], levels)
    )
    there = np.count_nonzero(wanted)
    recall = right / there if there else np.ones(THRESHOLDS)
    return Curves(right / np.maximum(all_found, 1), recall)


def max_f(average: Curves) -> float:
    """The best F-measure over all thresholds, 0..1: (1 + b) P R / (b P + R) with b = 0.3."""
    precision, recall = average.precision, average.recall
    scores = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall + _TINY)
    return float(scores.max())


def s_measure(matte: Matte, truth: Matte) -> float:
    """
    Structural similarity, 0..1: half by object (how evenly it is filled), half by region (four SSIM quadrants).

    Where the truth's mask is empty or full, the share of the matte that agrees.
    """
    wanted = _mask(truth, matte)
    share = np.count_nonzero(wanted) / wanted.size
    values = matte.astype(np.float64)
    if share == 0:
        return 1 - float(values.mean())
    if share == 1:
        return float(values.mean())
    by_object = share * _evenness(values[wanted]) + (1 - share) * _evenness(1 - values[~wanted])
    return max(0.0, 0.5 * by_object + 0.5 * _by_region(values, wanted.astype(np.float64)))


def gradient_error(matte: Matte, truth: Matte) -> float:
    """
    Sum of the squared differences of the two gradients' magnitudes, in thousands.

    Gradients are by Gaussian derivatives of 1.4 px, each filter of unit energy, edges repeated. The benchmark sums over
    the unknown part of a trimap; here it is the whole image.
    """
    _require_pair(matte, truth)
    difference = _gradient(matte) - _gradient(truth)
    return float(np.sum(np.square(difference), dtype=np.float64)) / 1000


def _require_pair(one: Matte, other: Matte) -> None:
    if one.ndim != 2 or one.shape != other.shape or not one.size:
        raise ShapeError(f"Two (H, W) mattes of one size are compared, not {one.shape} and {other.shape}.")
    if one.dtype != np.float32 or other.dtype != np.float32:
        raise ShapeError(f"Mattes are float32, 0..1, not {one.dtype} and {other.dtype}.")


def _mask(matte: Matte, other: Matte) -> Mask:
    _require_pair(matte, other)
    mask: Mask = matte > HALF
    return mask


def _overlap(one: Mask, other: Mask) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def _inner_edge(mask: Mask, band_px: int) -> Mask:
    """What lies in the mask within `band_px` (in steps of 8 neighbours) of its outside or of the image's border."""
    kernel = np.ones((2 * band_px + 1,) * 2, np.uint8)
    core = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,))
    edge: Mask = mask & (core == 0)
    return edge


def _evenness(values: _Doubles) -> float:
    """2 m / (m^2 + 1 + s): 1 where every value is 1, less where the mean m is lower or the deviation s is higher."""
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation + _TINY)


def _by_region(values: _Doubles, wanted: _Doubles) -> float:
    """Cut both at the truth's centre of mass; the quadrants' similarities, weighted by their areas."""
    rows, columns = np.nonzero(wanted)
    row, column = (math.floor(float(places.mean()) + 1.5) for places in (rows, columns))  # a half is rounded up
    total = 0.0
    for vertical in (slice(0, row), slice(row, None)):
        for horizontal in (slice(0, column), slice(column, None)):
            part = values[vertical, horizontal]
            if part.size:
                total += part.size / values.size * _similarity(part, wanted[vertical, horizontal])
    return total


def _similarity(one: _Doubles, other: _Doubles) -> float:
    """SSIM of two regions without its constants; 1 where both are flat and black."""
    mean_one, mean_other = float(one.mean()), float(other.mean())
    count = max(one.size - 1, 1)
    variances = float(np.square(one - mean_one).sum() + np.square(other - mean_other).sum()) / count
    covariance = float(((one - mean_one) * (other - mean_other)).sum()) / count
    above = 4 * mean_one * mean_other * covariance
    below = (mean_one**2 + mean_other**2) * variances
    if above != 0:
        return above / (below + _TINY)
    return 1.0 if below == 0 else 0.0


def _gradient(matte: Matte) -> NDArray[np.float32]:
    sigma = GRADIENT_SIGMA_PX
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * GRADIENT_CUT)))
    places = np.arange(-half, half + 1, dtype=np.float64)
    bell = np.exp(-(places**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    slope = -places * bell / sigma**2
    unit = np.linalg.norm(bell) * np.linalg.norm(slope)  # of the two-dimensional filter
    across, along = (
        cv2.sepFilter2D(matte, cv2.CV_32F, x / unit, y, borderType=cv2.BORDER_REPLICATE)
        for x, y in ((slope, bell), (bell, slope))
    )
    return np.asarray(cv2.magnitude(across, along), np.float32)
