"""Change a picture's size by its meaning: photos shrink by area, mattes grow by cubic and stay in their range."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import cv2
import numpy as np

from ml.errors import ShapeError
from ml.picture.types import AlphaChannel, Matte, RgbImage

Pixels = TypeVar("Pixels", RgbImage, Matte)


def require_rgb(image: RgbImage) -> RgbImage:
    """
    Give back `image` if it is an RGB photo.

    Raises:
        ShapeError: it is not (H, W, 3) uint8 with at least one pixel.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ShapeError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    return image


def require_alpha(alpha: AlphaChannel, shape_hw: tuple[int, int]) -> AlphaChannel:
    """
    Give back `alpha` if it is an alpha channel of that size.

    Raises:
        ShapeError: it is not `shape_hw` uint8.
    """
    if alpha.shape != shape_hw or alpha.dtype != np.uint8:
        raise ShapeError(f"expected a {shape_hw} uint8 alpha channel, got {alpha.shape} {alpha.dtype}")
    return alpha


def shrink_or_grow(pixels: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """
    Resize, each axis by the filter that suits its direction: area (no aliasing) to shrink, cubic to grow.

    Args:
        pixels: (H, W) or (H, W, C), uint8 or float32.
        size_wh: the new width and height in pixels.

    Returns:
        The same dtype and channels at the new size. Cubic may leave a float range by some percent: clip after it.
    """
    height, width = pixels.shape[:2]
    # OpenCV's area filter turns into nearest or linear as soon as one axis grows: shrink what shrinks first.
    shrunk_wh = (min(width, size_wh[0]), min(height, size_wh[1]))
    resized: Any = pixels
    if shrunk_wh != (width, height):
        resized = cv2.resize(resized, shrunk_wh, interpolation=cv2.INTER_AREA)
    if shrunk_wh != size_wh:
        resized = cv2.resize(resized, size_wh, interpolation=cv2.INTER_CUBIC)
    return cast(Pixels, resized)


def resize_matte(matte: Matte, size_wh: tuple[int, int]) -> Matte:
    """
    Bring a matte to another size, inside its range.

    Args:
        matte: (H, W) float32, 0..1.
        size_wh: the new width and height in pixels.

    Returns:
        (height, width) float32, 0..1.
    """
    return np.clip(shrink_or_grow(matte, size_wh), 0.0, 1.0)


def resize_alpha(alpha: AlphaChannel, size_wh: tuple[int, int]) -> AlphaChannel:
    """
    Bring an alpha channel to another size in eight bits: a quarter of a matte's memory, within one level of it.

    Args:
        alpha: (H, W) uint8, 0..255.
        size_wh: the new width and height in pixels.

    Returns:
        (height, width) uint8, 0..255.
    """
    return shrink_or_grow(alpha, size_wh)


def to_alpha(matte: Matte) -> AlphaChannel:
    """
    Round a matte to eight bits.

    Args:
        matte: (H, W) float32, 0..1.

    Returns:
        (H, W) uint8, 0..255.
    """
    return np.asarray(cv2.convertScaleAbs(matte, alpha=255.0), np.uint8)
