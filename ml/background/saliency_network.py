"""
Salient-object networks: IS-Net (Qin et al. 2022, arXiv 2203.03041) and U²-Net (Qin et al. 2020, arXiv 2005.09007).

One family: a square input, a map of "this is the subject" in 0..1 out (their sigmoid is inside the graph).
The map is never stretched to its own minimum and maximum: on an empty photo that would make noise a subject.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.transforms import require_rgb, resize_matte, shrink_or_grow
from ml.picture.types import Matte, RgbImage
from ml.sessions.session import Session


class SaliencyNetwork:
    """
    Finds the subject of a photo. Holds no state between calls.

    The session: run a (1, 3, side, side) float32 tensor and give the (1, 1, side, side) float32 map, 0..1.
    """

    def __init__(
        self,
        session: Session,
        *,
        side_px: int,
        mean_rgb: tuple[float, float, float],
        std_rgb: tuple[float, float, float],
    ) -> None:
        """
        Args:
            session: runs the graph.
            side_px: side of the square input.
            mean_rgb, std_rgb: the network sees (pixel - mean) / std, pixels in 0..255.
        """
        self._session = session
        self.side_px = side_px
        scale = (1 / np.asarray(std_rgb, np.float32)).astype(np.float32)
        shift = (-np.asarray(mean_rgb, np.float32) * scale).astype(np.float32)
        self._levels = np.arange(256, dtype=np.float32) * scale[:, None] + shift[:, None]

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, or the GPU's name."""
        return self._session.device

    def predict(self, image: RgbImage) -> Matte:
        """
        Find the subject, at the image's size.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.

        Returns:
            (H, W) float32, 0..1. Four bytes a pixel: for large photos, `predict_native` and resize in uint8.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8 with at least one pixel.
        """
        height, width = require_rgb(image).shape[:2]
        return resize_matte(self.predict_native(image), (width, height))

    def predict_native(self, image: RgbImage) -> Matte:
        """
        Find the subject, at the network's own size.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.

        Returns:
            (side_px, side_px) float32, 0..1; the whole image, squeezed to a square.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8 with at least one pixel.
        """
        square = shrink_or_grow(require_rgb(image), (self.side_px, self.side_px))
        output = self._session.run(self._tensor(square))
        matte: Matte = output[0, 0]
        return np.clip(matte, 0.0, 1.0, out=matte if matte.flags.writeable else None)

    def _tensor(self, square: RgbImage) -> NDArray[np.float32]:
        tensor = np.empty((1, 3, *square.shape[:2]), np.float32)
        for channel, plane in enumerate(cv2.split(square)):
            cv2.LUT(plane, self._levels[channel], dst=tensor[0, channel])
        return tensor
