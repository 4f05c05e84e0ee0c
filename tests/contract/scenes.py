"""A drawn subject with a mark at one corner, and pictures out of answers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BACK, SUBJECT, MARK = (230, 230, 230), (120, 20, 30), (20, 60, 160)


WIDTH, HEIGHT = 96, 64


def scene(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """(height, width, 3): a dark red subject, with a blue mark at its top left, on light grey."""
    image = np.full((height, width, 3), BACK, np.uint8)
    top, left = height // 4, width // 4
    image[top : height * 3 // 4, left : width * 3 // 4] = SUBJECT
    image[top : height // 2, left : width // 2] = MARK
    return image


def opened(response: Any) -> Image.Image:
    assert response.status_code == 200, response.content[:500]
    image = Image.open(io.BytesIO(response.content))
    image.load()
    return image


def pixels(response: Any) -> NDArray[np.uint8]:
    return np.asarray(opened(response))
