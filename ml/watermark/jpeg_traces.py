"""
JPEG's traces: see whether a picture has them, and give them to one that has none.

Nearly all photos that the watermark network has learnt from were JPEGs once. In a picture without any traces fine detail
looks laid over it to the network, as marks are; saved as a good JPEG first, the same picture looks as usual.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.types import RgbImage

BLOCK = 8
LOOKED_AT_PX = 512
"""A side of the part in the middle that is looked at."""

NOTHING_LEVELS, FINE_FROM = 0.75, 7
"""A block's frequencies from that sum of both on are nearly all rounded to nothing by JPEG, but not those of other blocks."""

MORE = 0.05
"""Of them: how much more must be nothing in JPEG's own blocks than in ones half a block aside."""

QUALITY = 90


def with_traces(image: RgbImage) -> RgbImage:
    """(H, W, 3) uint8 as it is where it was a JPEG, else as a good JPEG leaves it."""
    if has_traces(image):
        return image
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def has_traces(image: RgbImage) -> bool:
    """Whether (H, W, 3) uint8 was a JPEG, at this size and not shifted since."""
    height, width = (side // BLOCK * BLOCK for side in image.shape[:2])
    if min(height, width) < 3 * BLOCK:
        return False
    top, left = (max(0, (side - LOOKED_AT_PX) // 2) // BLOCK * BLOCK for side in (height, width))
    part = image[top : min(height, top + LOOKED_AT_PX), left : min(width, left + LOOKED_AT_PX)]
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY), np.float32)
    half = BLOCK // 2
    return _nothing(grey) - _nothing(grey[half:-half, half:-half]) > MORE


def _nothing(grey: NDArray[np.float32]) -> float:
    """The share of fine frequencies of 8x8 blocks that are nothing."""
    rows, columns = grey.shape[0] // BLOCK, grey.shape[1] // BLOCK
    blocks = grey[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    waves = np.einsum("ux,rxcy,vy->rcuv", _COSINES, blocks, _COSINES, optimize=True)
    u, v = np.mgrid[:BLOCK, :BLOCK]
    return float((np.abs(waves[..., u + v >= FINE_FROM]) < NOTHING_LEVELS).mean())


def _cosines() -> NDArray[np.float32]:
    u, x = np.mgrid[:BLOCK, :BLOCK]
    waves = np.cos((2 * x + 1) * u * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    waves[0] = np.sqrt(1 / BLOCK)
    return waves.astype(np.float32)


_COSINES = _cosines()
