"""Pictures behind the links of answers."""

from __future__ import annotations

import io
import urllib.request
from typing import Any

import numpy as np
from PIL import Image


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url) as answer:
        return Image.open(io.BytesIO(answer.read()))


def pixels(url: str) -> Any:
    return np.asarray(fetched(url))


def inside(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])
