"""How well label maps agree with the truth: intersection over union by class, dresses counted as skirts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ml.clothing.garments import DRESS, GARMENTS, SKIRT
from ml.clothing.network import look, to_tensor, unlook, view_of
from ml.training.clothing.network import ClothingNetwork, Served
from ml.training.clothing.photos import LabelledPhoto

SEVEN = tuple(name for name in GARMENTS if name != DRESS)
NO_GARMENT = 255
LOOK_PIXELS, LOOK_MARGIN = 512 * 224, 0.06

LabelMap = NDArray[np.uint8]
"""(H, W) uint8: an index into GARMENTS, 255 for nothing."""


@dataclass(slots=True)
class Agreement:
    """Sums over photos."""

    shared: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(GARMENTS) + 1))
    either: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(GARMENTS) + 1))

    def add(self, found: LabelMap, truth: LabelMap) -> None:
        """Count one photo."""
        for index, (mine, his) in enumerate(_masks(found, truth)):
            self.shared[index] += np.count_nonzero(mine & his)
            self.either[index] += np.count_nonzero(mine | his)

    @property
    def by_class(self) -> dict[str, float]:
        """Intersection over union of each of the seven classes, 0..1."""
        return dict(zip(SEVEN, self.shared[:7] / np.maximum(self.either[:7], 1), strict=True))

    @property
    def mean(self) -> float:
        """Of the seven classes."""
        return float(np.mean(list(self.by_class.values())))

    @property
    def any_clothes(self) -> float:
        """Intersection over union of clothes of any class."""
        return float(self.shared[7] / max(self.either[7], 1))


def fold(labels: LabelMap) -> LabelMap:
    """Count dresses as skirts, and what is no garment as nothing."""
    lookup = np.full(256, NO_GARMENT, np.uint8)
    lookup[: len(GARMENTS)] = np.arange(len(GARMENTS))
    lookup[GARMENTS.index(DRESS)] = GARMENTS.index(SKIRT)
    return lookup[labels]


def _masks(found: LabelMap, truth: LabelMap) -> Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    found, truth = fold(found), fold(truth)
    for name in SEVEN:
        yield found == GARMENTS.index(name), truth == GARMENTS.index(name)
    yield found != NO_GARMENT, truth != NO_GARMENT


def agreement_of(network: ClothingNetwork, photos: list[LabelledPhoto], device: str) -> Agreement:
    """Measure a network in training: the true box of each person, no flip, no refinement."""
    served = Served(network).eval()
    sums = Agreement()
    with torch.inference_mode():
        for photo in photos:
            view = view_of(photo.box_xyxy, pixels=LOOK_PIXELS, margin=LOOK_MARGIN)
            tensor = torch.from_numpy(to_tensor(look(photo.image, view)))[None].to(device)
            shares = served(tensor.contiguous(memory_format=torch.channels_last))[0].float().cpu().numpy()
            height, width = photo.labels.shape
            full = unlook(shares, view, box_xyxy=(0, 0, width, height), size_wh=(width, height))
            sums.add(full.argmax(0).astype(np.uint8), photo.labels)
    return sums
