"""What the clothing network is punished for: wrong pixels, wrong shapes, and garments that have the wrong name."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ml.clothing.garments import GARMENTS
from ml.training.clothing.labels import CLASSES, IGNORED

MIN_GARMENT_SHARE = 0.002
"""Of a view: smaller true garments are not named as a whole."""


def pixel_loss(logits: Tensor, truth: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """
    Weighted cross-entropy, and the soft Dice of the classes that are there (Milletari et al., arXiv 1606.04797).

    Args:
        logits: (N, CLASSES, H, W) float32.
        truth: (N, H, W) int64: a class, or `IGNORED`.
        weights: (CLASSES,) float32.
        smoothing: of the labels, 0..1.
    """
    cross = functional.cross_entropy(logits, truth, weight=weights, ignore_index=IGNORED, label_smoothing=smoothing)
    known = (truth != IGNORED)[:, None]
    hot = functional.one_hot(truth.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2) * known
    shares = logits.softmax(1) * known
    shared, total = (shares * hot).sum((0, 2, 3)), (shares + hot).sum((0, 2, 3))
    there = hot.sum((0, 2, 3)) > 0
    dice = 1 - (2 * shared + 1) / (total + 1)
    return cross + dice[there].mean()


def garments_in(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Number the connected true garments of a batch.

    Args:
        labels: (N, H, W) uint8 classes.

    Returns:
        (N, H, W) int64: each pixel's garment, from 1 on, 0 where there is none; (G,) int64: the garments' classes.
    """
    numbers = np.zeros(labels.shape, np.int64)
    kinds: list[int] = []
    for own, its in zip(labels, numbers, strict=True):
        for kind in np.unique(own[own < len(GARMENTS)]):
            count, parts, facts, _ = cv2.connectedComponentsWithStats((own == kind).astype(np.uint8), connectivity=8)
            for part in range(1, count):
                if facts[part][cv2.CC_STAT_AREA] >= MIN_GARMENT_SHARE * own.size:
                    kinds.append(int(kind))
                    its[parts == part] = len(kinds)
    return numbers, np.asarray(kinds, np.int64)


def garment_loss(logits: Tensor, numbers: Tensor, kinds: Tensor) -> Tensor:
    """
    Cross-entropy of the mean logits of each true garment: one garment, one name.

    Args:
        logits: (N, C, H, W) float32.
        numbers, kinds: what `garments_in` gives.

    Returns:
        Their mean, each garment counted by the root of its size; 0 where there is none.
    """
    if not len(kinds):
        return logits.sum() * 0
    inside = numbers.reshape(-1)
    pixels = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    sums = pixels.new_zeros(len(kinds) + 1, logits.shape[1]).index_add(0, inside, pixels)[1:]
    sizes = torch.bincount(inside, minlength=len(kinds) + 1)[1:].to(pixels.dtype)
    wrong = functional.cross_entropy(sums / sizes[:, None], kinds, reduction="none")
    return (wrong * sizes.sqrt()).sum() / sizes.sqrt().sum()
