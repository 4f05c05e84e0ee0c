"""
One garment, one class.

A network names pixels; people name garments. Tops, coats, skirts and dresses are confused most, and a garment that is
half of each can't be sold. So what is worn is cut into pieces of one colour (P. Felzenszwalb, D. Huttenlocher,
"Efficient Graph-Based Image Segmentation", IJCV 2004), each piece takes the class that most of it speaks for, and a
class's small patch inside another garment takes that garment's. What nobody wears (a garment on a floor, on a hanger)
is one garment.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.garments import GARMENTS
from ml.types import Mask, RgbImage

Floats = NDArray[np.float32]

BODY = len(GARMENTS)
"""The channel of the body that wears them."""

CONFUSED = tuple(GARMENTS.index(name) for name in ("tops", "coat", "skirt", "dress"))
"""Classes between which a garment as a whole decides."""

SIGMA, COARSENESS, MIN_PIECE_SHARE = 0.6, 60.0, 0.001
"""Of the segmentation: blur in pixels, its k, and the smallest piece as a share of the picture."""

PATCH_SHARE = 0.12
"""Of the garment around it: a smaller patch of another class is taken for a part of it."""

MIN_CONTACT = 0.5
"""Of the patch's outline among clothes: where less of it touches the garment, it is one of its own."""

UNWORN_BODY_SHARE = 0.02
"""Of what hangs together: with less of a body in it, nobody wears it."""

LEADING_SHARE = 0.5
"""Of an unworn thing: a class that has less does not decide for all of it."""


def vote(shares: Floats, image: RgbImage, worn: Mask) -> Floats:
    """
    Let pieces, then garments, decide.

    Args:
        shares: (C, H, W) float32: what the network says; the first eight are `GARMENTS`, the ninth the body.
        image: (H, W, 3) uint8 of the same size: the network's own resolution is enough.
        worn: (H, W) bool: where clothes are.

    Returns:
        (C, H, W) float32: as before, but what the confused classes have of a pixel is moved to the one that won there.
    """
    if not worn.any():
        return shares
    labels = _by_piece(shares, image, worn)
    labels = _absorb_patches(labels)
    return _unworn(_moved(shares, labels), worn)


def _by_piece(shares: Floats, image: RgbImage, worn: Mask) -> NDArray[np.int8]:
    """(H, W) int8: the winning confused class of each piece, -1 where none of them is."""
    is_confused = worn & (shares[list(CONFUSED)].sum(0) >= shares[: len(GARMENTS)].sum(0) / 2)
    pieces = _pieces(image, is_confused)
    count = int(pieces.max()) + 1
    sums = np.stack([np.bincount(pieces.ravel(), shares[c].ravel(), count) for c in CONFUSED])
    winners = np.asarray(CONFUSED, np.int8)[sums.argmax(0)]
    return np.where(is_confused, winners[pieces], np.int8(-1)).astype(np.int8)


def _pieces(image: RgbImage, inside: Mask) -> NDArray[np.int32]:
    """(H, W) int32: the number of each piece; what is outside is one of its own."""
    shown = np.where(inside[..., None], image, np.uint8(0))
    least = max(20, int(MIN_PIECE_SHARE * inside.size))
    segmenter = cv2.ximgproc.segmentation.createGraphSegmentation(SIGMA, COARSENESS, least)
    found = np.asarray(segmenter.processImage(np.ascontiguousarray(shown)), np.int32)
    return np.where(inside, found + 1, 0).astype(np.int32)


def _absorb_patches(labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Give small patches to the garment that surrounds them."""
    labels = labels.copy()
    kernel = np.ones((3, 3), np.uint8)
    for own in CONFUSED:
        count, numbers, facts, _ = cv2.connectedComponentsWithStats((labels == own).astype(np.uint8), connectivity=8)
        for number in range(1, count):
            left, top, width, height, area = facts[number]
            around = (slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1))
            patch = (numbers[around] == number).astype(np.uint8)
            outline = labels[around][(cv2.dilate(patch, kernel) > 0) & (patch == 0)]
            others = outline[outline >= 0]
            if others.size < MIN_CONTACT * outline.size:
                continue
            other = int(np.bincount(others).argmax())
            if area < PATCH_SHARE * np.count_nonzero(labels == other):
                labels[around][patch > 0] = other
    return labels


def _moved(shares: Floats, labels: NDArray[np.int8]) -> Floats:
    moved = shares.copy()
    total = shares[list(CONFUSED)].sum(0)
    decided = labels >= 0
    for own in CONFUSED:
        moved[own] = np.where(decided, np.where(labels == own, total, 0), shares[own])
    return moved


def _unworn(shares: Floats, worn: Mask) -> Floats:
    """Give things without a body in them to the class that leads there."""
    there = worn | (shares[BODY] >= 0.5)
    count, numbers = cv2.connectedComponents(there.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        thing = numbers == number
        sums = shares[:, thing].sum(1)
        total = sums[: len(GARMENTS)].sum()
        leader = int(sums[: len(GARMENTS)].argmax())
        if sums[BODY] < UNWORN_BODY_SHARE * total and sums[leader] >= LEADING_SHARE * total:
            its = shares[: len(GARMENTS), thing].sum(0)
            shares[: len(GARMENTS), thing] = 0
            shares[leader, thing] = its
    return shares
