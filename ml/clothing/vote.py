"""
One garment, one class.

A network names pixels; people name garments. Tops, coats, skirts and dresses are confused most, and a garment that is
half of each can't be sold. So what is worn is cut into pieces of one colour (P. Felzenszwalb, D. Huttenlocher,
"Efficient Graph-Based Image Segmentation", IJCV 2004), and the pieces of one person decide together:

- pieces of like colours listen to each other, wherever they are: both sleeves, both sides of an open coat;
- neighbours of two classes pay for the border between them, little where the photo has an edge there (Potts' model with
  contrast: Y. Boykov, M.-P. Jolly, ICCV 2001), and pieces change until nothing gets cheaper (J. Besag, 1986).

Then a class's small patch inside another garment takes that garment's, and what nobody wears (a garment on a floor, on
a hanger) is one garment.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.clothing.garments import GARMENTS
from ml.picture.types import Mask, RgbImage

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BODY = len(GARMENTS)
"""The channel of the body that wears them."""

CONFUSED = tuple(GARMENTS.index(name) for name in ("tops", "coat", "skirt", "dress"))
"""Classes between which a garment as a whole decides."""

SIGMA, COARSENESS, MIN_PIECE_SHARE = 0.6, 60.0, 0.001
"""Of the segmentation: blur in pixels, its k, and the smallest piece as a share of the picture."""

LIKE_COLOUR, LISTENING = 10.0, 0.8
"""Of colours in CIELAB (lightness 0..255): the distance at which pieces still listen to each other, and how much a piece
listens to those like it."""

BORDER_COST, EDGE_STEP = 0.15, 12.0
"""Of a border's pixel, times the root of the clothes' pixels; the step in CIELAB over two pixels that is an edge."""

SWEEPS = 6

PATCH_SHARE = 0.2
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


@dataclass(frozen=True, slots=True)
class _Pieces:
    """
    Pieces of one colour; number 0 is what is no garment in question.

    Attributes:
        speaks: (P, 4): pixels that speak for each confused class.
        sizes: (P,) pixels.
        colours: (P, 3) mean CIELAB, lightness 0..255.
        wearers: (P,) int: the connected person or thing that each belongs to.
        pairs: (B, 2) int: which touch.
        lengths, steps: (B,) of their borders: pixels, and the mean difference of colour across.
    """

    speaks: Doubles
    sizes: Doubles
    colours: Doubles
    wearers: NDArray[np.int64]
    pairs: NDArray[np.int64]
    lengths: Doubles
    steps: Doubles


def _by_piece(shares: Floats, image: RgbImage, worn: Mask) -> NDArray[np.int8]:
    """(H, W) int8: the confused class that each piece has, -1 where none of them is."""
    is_confused = worn & (shares[list(CONFUSED)].sum(0) >= shares[: len(GARMENTS)].sum(0) / 2)
    numbers = _pieces(image, is_confused)
    pieces = _described(numbers, shares, image, worn)
    winners = pieces.speaks.argmax(1)
    for wearer in np.unique(pieces.wearers[1:]):
        its = np.flatnonzero((pieces.wearers == wearer) & (pieces.sizes > 0))
        its = its[its > 0]
        if its.size:
            winners[its] = _decided(pieces, its)
    classes = np.asarray(CONFUSED, np.int8)[winners]
    return np.where(is_confused, classes[numbers], np.int8(-1)).astype(np.int8)


def _described(numbers: NDArray[np.int32], shares: Floats, image: RgbImage, worn: Mask) -> _Pieces:
    count, flat = int(numbers.max()) + 1, numbers.ravel()
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)
    sizes = np.bincount(flat, minlength=count).astype(np.float64)
    sums = np.stack([np.bincount(flat, lab[..., axis].ravel(), count) for axis in range(3)], 1)
    speaks = np.stack([np.bincount(flat, shares[index].ravel(), count) for index in CONFUSED], 1).astype(np.float64)
    wearers = np.zeros(count, np.int64)
    wearers[flat] = cv2.connectedComponents((worn | (shares[BODY] >= 0.5)).astype(np.uint8), connectivity=8)[1].ravel()
    pairs, lengths, steps = _borders(numbers, lab)
    return _Pieces(speaks, sizes, sums / np.maximum(sizes, 1)[:, None], wearers, pairs, lengths, steps)


def _borders(numbers: NDArray[np.int32], lab: Floats) -> tuple[NDArray[np.int64], Doubles, Doubles]:
    """Which pieces touch, along how many pixels, and the mean step of colour there: over two pixels, as edges are soft."""
    count = int(numbers.max()) + 1
    keys, steps = [], []
    for before, after in ((np.s_[:-2], np.s_[2:]), (np.s_[:, :-2], np.s_[:, 2:])):
        one, other = numbers[before].astype(np.int64), numbers[after].astype(np.int64)
        is_border = (one != other) & (one > 0) & (other > 0)
        keys.append((np.minimum(one, other) * count + np.maximum(one, other))[is_border])
        steps.append(np.linalg.norm(lab[before][is_border] - lab[after][is_border], axis=1))
    pairs, places, counts = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    mean_steps = np.bincount(places.ravel(), np.concatenate(steps), len(pairs)) / np.maximum(counts, 1)
    return np.stack([pairs // count, pairs % count], 1), counts / 2, mean_steps


def _decided(pieces: _Pieces, its: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class, as an index into CONFUSED, of each of one wearer's pieces."""
    sizes, colours = pieces.sizes[its], pieces.colours[its]
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    alike = np.exp(-np.square(distances / LIKE_COLOUR) / 2)
    likes = (alike @ pieces.speaks[its]) / (alike @ sizes)[:, None]
    speaks = (1 - LISTENING) * pieces.speaks[its] + LISTENING * sizes[:, None] * likes
    costs = _border_costs(pieces, its)
    classes = speaks.argmax(1)
    for _ in range(SWEEPS):
        before = classes.copy()
        for piece in np.argsort(sizes):
            classes[piece] = (speaks[piece] + np.bincount(classes, costs[piece], len(CONFUSED))).argmax()
        if (classes == before).all():
            break
    return classes


def _border_costs(pieces: _Pieces, its: NDArray[np.int64]) -> Doubles:
    """(P, P): what it costs that two of the pieces have different classes."""
    places = np.full(len(pieces.sizes), -1)
    places[its] = np.arange(its.size)
    one, other = places[pieces.pairs].T
    among = (one >= 0) & (other >= 0)
    flatness = np.exp(-np.square(pieces.steps[among] / EDGE_STEP) / 2)
    costs = np.zeros((its.size, its.size))
    costs[one[among], other[among]] = BORDER_COST * pieces.lengths[among] * flatness
    return (costs + costs.T) * np.sqrt(pieces.speaks[its].sum())


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
