"""The visible mark on free sandbox results."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_TEXT = "SANDBOX"
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def stamp(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """
    Write SANDBOX across the middle of a picture, readable on any ground: white with a black outline.

    Args:
        picture: (H, W), (H, W, 3) or (H, W, 4) uint8; it is not changed.

    Returns:
        A copy with the mark; opaque there where the picture has an alpha channel.
    """
    marked = picture.copy()
    height, width = picture.shape[:2]
    (text_width, text_height), _ = cv2.getTextSize(_TEXT, _FONT, 1.0, 2)
    scale = min(0.8 * width / text_width, 0.5 * height / text_height)
    thick = max(1, round(2 * scale))
    origin = (round((width - text_width * scale) / 2), round((height + text_height * scale) / 2))
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    for level, thickness in ((0, 3 * thick), (255, thick)):
        colour = (level,) * min(channels, 3) + ((255,) if channels == 4 else ())
        cv2.putText(marked, _TEXT, origin, _FONT, scale, colour, thickness, cv2.LINE_AA)
    return marked
