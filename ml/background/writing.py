"""
Is what a network found a part of a page? Print on a flat ground, alike inside and outside of the map, is no subject.

A thing may be printed on, and lies on something else; a page goes on beyond the map's border as it is within.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import Matte, RgbImage

STROKE_PX, STROKE_LEVELS = 15, 36
"""On the 1024 px square: print is thinner than this and differs from its ground by more than that."""

BLOCK_PX = 32
SAMPLE_STEP = 4
GROUND_LEVELS = 20
"""From the most frequent colour: paper with its grain, a screen's panels."""

MIN_STROKES, MIN_GROUND, MIN_BOTH = 0.04, 0.35, 0.5
"""Of a block that is written on."""


def written_shares(square: RgbImage, matte: Matte) -> tuple[float, float]:
    """
    Say how much is written on, of what a map keeps and of what it drops.

    Measured on 133 photos: of those with more than .45 within, two have over .04 without (.16 at most); pages have .84 to 1
    within and .18 to .74 without, screens .48 to .55 and .11 to .15.

    Args:
        square: (S, S, 3) uint8, sRGB, S a multiple of `BLOCK_PX`: the photo squeezed to a square.
        matte: (N, N) float32, 0..1.

    Returns:
        Two shares, 0..1.
    """
    written = _written(square)
    blocks = written.shape[0]
    inside = shrink_or_grow((matte > 0.5).astype(np.float32), (blocks, blocks)) > 0.5
    return _share(written[inside]), _share(written[~inside])


def _share(written: NDArray[np.bool_]) -> float:
    return float(written.mean()) if written.size else 0.0


def _written(square: RgbImage) -> NDArray[np.bool_]:
    """(S / 32, S / 32): blocks of strokes on the picture's own ground."""
    paper = _most_frequent(square[::SAMPLE_STEP, ::SAMPLE_STEP].reshape(-1, 3))
    low, high = (tuple(float(c) for c in np.clip(paper + step, 0, 255)) for step in (-GROUND_LEVELS, GROUND_LEVELS))
    ground = np.asarray(cv2.inRange(square, low, high)) > 0
    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    kernel = np.ones((STROKE_PX, STROKE_PX), np.uint8)
    dark, light = (cv2.morphologyEx(grey, way, kernel) for way in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT))
    strokes = (np.asarray(cv2.max(dark, light), np.uint8) > STROKE_LEVELS) & ~ground
    inked, bare = (_by_blocks(plane) for plane in (strokes, ground))
    return (inked >= MIN_STROKES) & (bare >= MIN_GROUND) & (inked + bare >= MIN_BOTH)


def _most_frequent(pixels: RgbImage) -> NDArray[np.float64]:
    """The colour of the fullest of 16 x 16 x 16 bins."""
    coarse = (pixels >> 4).astype(np.int32)
    bins = (coarse[:, 0] << 8) | (coarse[:, 1] << 4) | coarse[:, 2]
    return np.asarray(np.median(pixels[bins == np.bincount(bins).argmax()], axis=0), np.float64)


def _by_blocks(plane: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Of each block, the share that is true. Eight pixels are added at once: 32 rows of ones fit into a byte."""
    side = plane.shape[0] // BLOCK_PX
    eights = np.ascontiguousarray(plane).view(np.uint64).reshape(side, BLOCK_PX, -1).sum(axis=1)
    counts = eights.view(np.uint8).reshape(side, side, BLOCK_PX).sum(axis=2, dtype=np.uint16)
    return counts.astype(np.float32) / np.float32(BLOCK_PX * BLOCK_PX)
