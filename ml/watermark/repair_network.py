"""
The repairing network (`ml.training.watermark.repair`): what the photo is under a mark, or under whatever a mask covers.

Fully convolutional: any sides, padded to multiples of 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.errors import ShapeError
from ml.picture.transforms import require_rgb
from ml.picture.types import Matte, RgbImage
from ml.sessions.session import Session

STRIDE_PX = 16

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RepairMaps:
    """
    What the network says of a picture.

    Attributes:
        blend: (H, W, 4) float32, 0..1: the mark's colour, and in the last its opacity.
        paint: (H, W, 4) float32, 0..1: the photo by what lies around, and in the last how far rather the un-blended pixel
            is to be believed.
    """

    blend: Floats
    paint: Floats


class RepairNetwork:
    """
    Holds no state between calls.

    The session: run (1, 4, H, W) float32, 0..1, photo and mask, sides divisible by 16; gives (1, 8, H, W) float32, 0..1.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._session.device

    def maps(self, image: RgbImage, mask: Matte) -> RepairMaps:
        """
        Say what is under a mask.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.
            mask: (H, W) float32, 0..1; it may be soft, rough or incomplete.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8, or `mask` has another size.
        """
        height, width = require_rgb(image).shape[:2]
        if mask.shape != (height, width):
            raise ShapeError(f"expected a {(height, width)} mask, got {mask.shape}")
        given = np.dstack([image.astype(np.float32) / 255, mask])
        given = cv2.copyMakeBorder(given, 0, -height % STRIDE_PX, 0, -width % STRIDE_PX, cv2.BORDER_REFLECT_101)
        maps = self._session.run(np.ascontiguousarray(given.transpose(2, 0, 1), np.float32)[None])[
            0, :, :height, :width
        ]
        maps = np.moveaxis(maps, 0, 2)
        blend = np.dstack([maps[..., 1:4], maps[..., :1]])
        return RepairMaps(np.ascontiguousarray(blend, np.float32), np.ascontiguousarray(maps[..., 4:], np.float32))
