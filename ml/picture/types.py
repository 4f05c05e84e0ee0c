"""The kinds of picture that travel between functions. All are numpy arrays; rows first, RGB order."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RgbImage: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, 0..255, in RGB order. sRGB where a network reads it."""

RgbaImage: TypeAlias = NDArray[np.uint8]
"""(H, W, 4) uint8, 0..255: a cut-out, straight (not premultiplied) alpha."""

Matte: TypeAlias = NDArray[np.float32]
"""(H, W) float32, 0..1: soft opacity as networks speak it."""

AlphaChannel: TypeAlias = NDArray[np.uint8]
"""(H, W) uint8, 0..255: soft opacity as files store it."""

Mask: TypeAlias = NDArray[np.bool_]
"""(H, W) bool: in or out."""

BoxXywh: TypeAlias = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""

BoxXyxy: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are just outside."""
