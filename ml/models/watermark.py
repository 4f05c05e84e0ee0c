"""
The watermark network (`ml.training.watermark`): where a mark's strokes are, and how opaque.

Fully convolutional: a photo of up to `GLANCE_PIXELS` is seen as it is, a larger one first as a whole, shrunk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.transforms import require_rgb, shrink_or_grow
from ml.types import Matte, RgbImage

OUTPUTS = ("shape", "alpha", "gate")
STRIDE_PX = 32
CENTRE, SCALE = 127.0, 128.0
"""The network sees (RGB - 127) / 128."""


class Session(Protocol):
    """What runs the network: `ml.sessions.onnx.OnnxGraph`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        """Run `image`, (1, 3, H, W) float32, sides divisible by 32; gives `OUTPUTS`, each 0..1."""
        ...


@dataclass(frozen=True, slots=True)
class Sight:
    """
    What the network sees in a picture.

    Attributes:
        shape: (H, W) float32, 0..1: whether a mark's stroke is there.
        alpha: (H, W) float32, 0..1: its opacity.
        gate: 0..1: whether there is any mark at all.
    """

    shape: Matte
    alpha: Matte
    gate: float


class WatermarkNetwork:
    """Holds no state between calls."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._session.device

    def look(self, image: RgbImage, *, most_pixels: int) -> Sight:
        """
        Look at a picture, shrunk where it has more than `most_pixels`.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.

        Returns:
            Its sight, (H, W) of at most `most_pixels`: the picture's size, or the size it was shrunk to.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8 with at least one pixel.
        """
        height, width = require_rgb(image).shape[:2]
        scale = min(1.0, math.sqrt(most_pixels / (height * width)))
        size_wh = max(1, int(width * scale)), max(1, int(height * scale))
        seen = shrink_or_grow(image, size_wh)
        right, bottom = -size_wh[0] % STRIDE_PX, -size_wh[1] % STRIDE_PX
        padded = cv2.copyMakeBorder(seen, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        tensor = np.ascontiguousarray(((padded.astype(np.float32) - CENTRE) / SCALE).transpose(2, 0, 1))[None]
        shape, alpha, gate = self._session.run({"image": tensor})
        rows, columns = slice(size_wh[1]), slice(size_wh[0])
        return Sight(shape[0, 0, rows, columns], alpha[0, 0, rows, columns], float(gate.reshape(-1)[0]))
