"""
The clothing network (`ml.training.clothing`): which garment each pixel of a crop belongs to.

Fully convolutional: a crop keeps its own proportions, and its pixels are limited, not its sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.clothing.garments import GARMENTS
from ml.picture.transforms import require_rgb
from ml.picture.types import BoxXyxy, RgbImage
from ml.sessions.session import Session

BODY, NOTHING = len(GARMENTS), len(GARMENTS) + 1
CHANNELS = len(GARMENTS) + 2
"""The garments, then the body that wears them (skin, hair, socks, jewellery), then everything else."""

STRIDE_PX = 32
SHARES_STRIDE_PX = 2
MOST_PROPORTION = 3.0
"""Longer crops than this get room at their sides."""

CENTRE, SCALE = 127.0, 128.0
"""The network sees (RGB - 127) / 128."""

Shares = NDArray[np.float32]
"""(C, H, W) float32: how much each channel has of a pixel; they add up to 1."""


@dataclass(frozen=True, slots=True)
class View:
    """
    A part of a photo as the network sees it.

    Attributes:
        shape_hw: the size of the network's input.
        left, top: the photo's pixel at its corner; may lie outside, where it is grey.
        scale: network pixels for a pixel of the photo.
    """

    shape_hw: tuple[int, int]
    left: float
    top: float
    scale: float


def view_of(box_xyxy: BoxXyxy, *, pixels: int, margin: float) -> View:
    """
    Choose how to look at a box.

    Args:
        box_xyxy: what is to be seen.
        pixels: about how many the network's input has.
        margin: room on every side, as a share of the box's.
    """
    x0, y0, x1, y1 = box_xyxy
    width, height = (x1 - x0) * (1 + 2 * margin), (y1 - y0) * (1 + 2 * margin)
    width, height = max(width, height / MOST_PROPORTION), max(height, width / MOST_PROPORTION)
    scale = math.sqrt(pixels / (width * height))
    rows, columns = (max(1, round(side * scale / STRIDE_PX)) * STRIDE_PX for side in (height, width))
    scale = min(rows / height, columns / width)
    left, top = (x0 + x1) / 2 - columns / scale / 2, (y0 + y1) / 2 - rows / scale / 2
    return View((rows, columns), left, top, scale)


def look(image: RgbImage, view: View) -> RgbImage:
    """
    Cut a view out of a photo.

    Returns:
        (rows, columns, 3) uint8; mid grey beyond the photo's border.
    """
    image, view = _shrunk(image, view)
    rows, columns = view.shape_hw
    matrix = np.array([[view.scale, 0, -view.left * view.scale], [0, view.scale, -view.top * view.scale]], np.float64)
    matrix[:, 2] += (view.scale - 1) / 2  # OpenCV counts from pixel centres
    grey = (int(CENTRE),) * 3
    seen = cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderValue=grey)
    return np.asarray(seen, np.uint8)


def _shrunk(image: RgbImage, view: View) -> tuple[RgbImage, View]:
    """Large photos are shrunk by area first: linear sampling alone would skip pixels."""
    factor = int(1 / view.scale)
    if factor < 2:
        return image, view
    height, width = image.shape[:2]
    small_wh = max(1, round(width / factor)), max(1, round(height / factor))
    share = small_wh[0] / width
    small = np.asarray(cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return small, View(view.shape_hw, view.left * share, view.top * share, view.scale / share)


def unlook(shares: Shares, view: View, *, box_xyxy: BoxXyxy, size_wh: tuple[int, int]) -> Shares:
    """
    Bring what the network said of a view back to a part of the photo, at any size.

    Args:
        shares: (C, rows / 2, columns / 2) float32.
        box_xyxy: the part of the photo.
        size_wh: the size that the part shall have.

    Returns:
        (C, height, width) float32.
    """
    x0, y0, x1, y1 = box_xyxy
    per_x, per_y = (x1 - x0) / size_wh[0], (y1 - y0) / size_wh[1]
    step = view.scale / SHARES_STRIDE_PX
    matrix = np.array(
        [
            [per_x * step, 0, (x0 - view.left) * step + (per_x * step - 1) / 2],
            [0, per_y * step, (y0 - view.top) * step + (per_y * step - 1) / 2],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    planes = [cv2.warpAffine(plane, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE) for plane in shares]
    return np.stack(planes).astype(np.float32, copy=False)


class ClothingNetwork:
    """
    Holds no state between calls.

    The session: run (N, 3, H, W) float32, sides divisible by 32; gives (N, 10, H / 2, W / 2) float32, 0..1.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._session.device

    def glance(self, image: RgbImage, view: View) -> Shares:
        """Say what a view shows; as `predict`, without the mirror image, in half of the time."""
        return self._session.run(to_tensor(look(require_rgb(image), view))[None])[0]

    def predict(self, image: RgbImage, view: View) -> Shares:
        """
        Say what a view shows: the mean of the view and of its mirror image.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.

        Returns:
            (10, rows / 2, columns / 2) float32, 0..1: `CHANNELS`.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8 with at least one pixel.
        """
        seen = look(require_rgb(image), view)
        shares = self._session.run(to_tensor(seen)[None])[0]
        mirrored = self._session.run(to_tensor(seen[:, ::-1])[None])[0]
        return (shares + mirrored[:, :, ::-1]) / 2


def to_tensor(seen: RgbImage) -> NDArray[np.float32]:
    """(rows, columns, 3) uint8 as the network sees it: (3, rows, columns) float32."""
    return np.ascontiguousarray(((seen.astype(np.float32) - CENTRE) / SCALE).transpose(2, 0, 1), np.float32)
