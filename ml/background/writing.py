"""
How much is written on, of what a map keeps and of what it drops: print on a picture's one flat ground, and print on any paper.

That alone makes no page: a thing may be printed on, and lie on something that is. `ml/background/pages.py` looks at more.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import AlphaChannel, Matte, RgbImage

STROKE_PX, STROKE_LEVELS = 15, 36
"""On the 1024 px square: print is thinner than this and differs from its ground by more than that."""

BLOCK_PX = 32
SAMPLE_STEP = 4
GROUND_LEVELS = 20
"""From the most frequent colour: paper with its grain, a screen's panels."""

MIN_STROKES, MIN_GROUND, MIN_BOTH = 0.04, 0.35, 0.5
"""Of a block that is written on, of the picture's own ground."""

PAPER_SIDE_PX, PAPER_PX, PAPER_BLUR_PX = 512, 31, 9
"""Any paper: the lightest within half of that, on a square of that size, smoothed."""

CONTRAST_PERCENTILE, CONTRAST_STEP = 97, 7
"""What the strokes of a map differ by from their paper is what its darkest pixels do, every seventh of them looked at."""

INK_OF_CONTRAST, LEAST_INK, BARE_OF_CONTRAST, MOST_BARE = 0.4, 12, 0.15, 8
"""Ink differs by more than that part of it, and by more than that many levels; bare paper by less, or by fewer levels."""

PAPER_BLOCK_PX = 64
INKED, PAPER_BARE, PAPER_BOTH = (0.02, 0.7), 0.35, 0.6
"""Of a block that is written on, of any paper."""


def written_on_ground(square: RgbImage, matte: Matte) -> tuple[float, float]:
    """
    Say how much is written on the picture's most frequent colour, of what a map keeps and of what it drops.

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


def written_on_paper(square: RgbImage, matte: Matte) -> tuple[float, float]:
    """
    Say how much is written on, of what a map keeps and of what it drops, however pale the print, on any ground.

    For the arguments and what it returns see `written_on_ground`; the map is of the square's size. Half of all photos have
    over .3 within, too: brickwork, leaves.
    """
    grey = np.asarray(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY), np.uint8)
    if has_dark_ground(grey):
        grey = ~grey
    depth = np.asarray(cv2.subtract(_paper(grey), grey), np.uint8)
    usual = np.median(depth[::SAMPLE_STEP, ::SAMPLE_STEP])
    off = np.asarray(cv2.absdiff(depth, np.full_like(depth, usual)), np.uint8)
    inside = np.greater(matte, 0.5)
    kept = off[inside][::CONTRAST_STEP]
    contrast = float(np.percentile(kept, CONTRAST_PERCENTILE)) if kept.size else 0.0
    ink = np.greater(off, np.uint8(max(LEAST_INK, INK_OF_CONTRAST * contrast)))
    bare = np.less(off, np.uint8(math.ceil(max(MOST_BARE, BARE_OF_CONTRAST * contrast))))
    blocks = grey.shape[0] // PAPER_BLOCK_PX
    inked, left_bare, weight = (_means(plane, blocks) for plane in (ink, bare, inside))
    written = (inked >= INKED[0]) & (inked <= INKED[1]) & (left_bare >= PAPER_BARE) & (inked + left_bare > PAPER_BOTH)
    return _weighted(written, weight), _weighted(written, 1 - weight)


def has_dark_ground(grey: AlphaChannel) -> bool:
    """Is most of an (H, W) uint8 picture darker than its mean: light print on a dark ground?"""
    return float(np.median(grey[::SAMPLE_STEP, ::SAMPLE_STEP])) < float(cv2.mean(grey)[0])


def _paper(grey: AlphaChannel) -> AlphaChannel:
    """The picture without what is written on it, at its own size."""
    small = cv2.blur(cv2.medianBlur(shrink_or_grow(grey, (PAPER_SIDE_PX, PAPER_SIDE_PX)), 3), (3, 3))
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((PAPER_PX, PAPER_PX), np.uint8))
    smooth = cv2.blur(closed, (PAPER_BLUR_PX, PAPER_BLUR_PX))
    return np.asarray(cv2.resize(smooth, grey.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _means(plane: NDArray[np.bool_], blocks: int) -> NDArray[np.float32]:
    """(blocks, blocks) float32: the share of each block that is set."""
    part = cv2.resize(plane.view(np.uint8) * np.uint8(255), (blocks, blocks), interpolation=cv2.INTER_AREA)
    return np.asarray(part, np.float32) / np.float32(255)


def _weighted(written: NDArray[np.bool_], weight: NDArray[np.float32]) -> float:
    return float((written * weight).sum() / max(1e-6, float(weight.sum())))


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
