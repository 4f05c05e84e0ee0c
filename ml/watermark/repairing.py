"""
Repair a photo by the maps of the repairing network: un-blend where the photo shines through, paint where it doesn't.

The maps are smooth and may come from a smaller copy; the un-blending happens in the photo's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.types import Mask, Matte, RgbImage
from ml.watermark.repair_network import RepairMaps

_Scalar = TypeVar("_Scalar", np.uint8, np.float32)

LEAST_LEFT = 0.1
"""Of the photo: where less shines through, un-blending counts as if so much did."""

REACH_FROM, REACH_PX = 0.1, 4
"""The mask's value that counts, and how far beyond it something may be changed."""

SEEN_LEVELS = 2.0
"""A change of fewer levels is none."""


class Repairer(Protocol):
    """What says what is under a mask: `ml.watermark.repair_network.RepairNetwork`, or a test's fake."""

    def maps(self, image: RgbImage, mask: Matte) -> RepairMaps:
        """As `RepairNetwork.maps`."""
        ...


@dataclass(frozen=True, slots=True)
class Mirrored:
    """
    A repairer that looks several times, at the picture and its mirrored views, and says the mean.

    Each look errs in its own way. On 72 smears of validation: one look +9.2 dB, two +9.4, four +9.5.

    Attributes:
        repairer: what looks.
        looks: how often: 1 to 4; as it is, then left and right, up and down, and both exchanged.
    """

    repairer: Repairer
    looks: int

    def maps(self, image: RgbImage, mask: Matte) -> RepairMaps:
        """As `RepairNetwork.maps`."""
        total: RepairMaps | None = None
        for turn in _TURNS[: self.looks]:
            seen = self.repairer.maps(_turned(image, turn), _turned(mask, turn))
            blend, paint = _turned(seen.blend, turn), _turned(seen.paint, turn)
            total = RepairMaps(total.blend + blend, total.paint + paint) if total else RepairMaps(blend, paint)
        if total is None:
            raise ValueError("at least one look")
        share = np.float32(1 / self.looks)
        return RepairMaps(total.blend * share, total.paint * share)


_TURNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def _turned(pixels: NDArray[_Scalar], turn: tuple[int, int]) -> NDArray[_Scalar]:
    return np.ascontiguousarray(pixels[:: turn[0], :: turn[1]])


def within_reach(mask: Matte) -> Mask:
    """(H, W) bool: what may be changed for the sake of a mask."""
    near = cv2.dilate((mask > REACH_FROM).astype(np.uint8), np.ones((2 * REACH_PX + 1,) * 2, np.uint8))
    return near > 0


def changed_by(image: RgbImage, mask: Matte, maps: RepairMaps) -> Mask:
    """(H, W) bool: what is changed indeed, and a pixel around it."""
    difference = cv2.absdiff(image, repaired(image, maps)).max(2) >= SEEN_LEVELS
    return (cv2.dilate(difference.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & within_reach(mask)


def repaired(image: RgbImage, maps: RepairMaps) -> RgbImage:
    """
    The photo by the maps, as if everything were within reach.

    Args:
        image: (H, W, 3) uint8; the maps have its size.
    """
    alpha, trust = maps.blend[..., 3:], maps.paint[..., 3:]
    pixels = image.astype(np.float32) / 255
    unblended = (pixels - alpha * maps.blend[..., :3]) / np.maximum(1 - alpha, LEAST_LEFT)
    restored = trust * unblended + (1 - trust) * maps.paint[..., :3]
    return np.asarray(np.clip(255 * restored + 0.5, 0, 255), np.uint8)
