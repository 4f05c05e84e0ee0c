"""
A cut-out on a canvas: where the subject stands and how large, what lies behind it, and the colours around it.

Geometry is in the photo's pixels until the last step, which scales everything to the size asked for. Where nothing is
scaled, pixels are copied, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.errors import ShapeError
from ml.picture.compositing import LONGEST_SIDE_PX, cut_out
from ml.picture.transforms import require_alpha, require_rgb, shrink_or_grow
from ml.picture.types import AlphaChannel, BoxXywh, RgbaImage, RgbImage

STRIP_PIXELS = 1 << 20
EDGE_SHARE = 3 / 1024
FILL_SIDE_PX = 96
FILL_REACHES_PX = (1, 3, 9)

Floats = NDArray[np.float32]
Picture = TypeVar("Picture", RgbImage, AlphaChannel)


@dataclass(frozen=True, slots=True)
class Margins:
    """Room on each side, in pixels of the photo, at least 0."""

    top: float = 0
    right: float = 0
    bottom: float = 0
    left: float = 0

    def at_least(self, other: Margins) -> Margins:
        """The larger of the two on each side."""
        return Margins(
            max(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
            max(self.left, other.left),
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where the photo's pixels go: `x * scale + left_px` on the canvas, the same for y.

    Attributes:
        size_wh: the canvas, in pixels.
        scale: of the subject.
        left_px, top_px: where the photo's corner comes to lie, mostly outside the canvas.
    """

    size_wh: tuple[int, int]
    scale: float
    left_px: float
    top_px: float


def lay_out(
    photo_wh: tuple[int, int],
    box_xywh: BoxXywh,
    *,
    max_pixels: int,
    crop: Margins | None = None,
    share: float | None = None,
    position_xy: tuple[float, float] | None = None,
) -> Layout:
    """
    Place a subject on its canvas.

    Args:
        photo_wh: the photo's width and height in pixels.
        box_xywh: the subject's box in it.
        max_pixels: of the canvas; everything shrinks together until it fits.
        crop: the canvas is the subject's box with this room around it; without, it is the photo's frame.
        share: the subject's size, as a share of the canvas, 0..1: it fills that share of the width or of the height.
        position_xy: 0..1 each: of the room that is left beside the subject, how much is left of it and above it.
            Without, the subject stays where it is; one that grew is kept inside the canvas.

    Raises:
        ShapeError: the box is empty.
    """
    left, top, width, height = box_xywh
    if width < 1 or height < 1:
        raise ShapeError(f"box {box_xywh} is empty")
    frame_x, frame_y, frame_width, frame_height = 0.0, 0.0, float(photo_wh[0]), float(photo_wh[1])
    if crop is not None:
        frame_x, frame_y = left - crop.left, top - crop.top
        frame_width, frame_height = width + crop.left + crop.right, height + crop.top + crop.bottom
    fit = min(
        1.0, math.sqrt(max_pixels / (frame_width * frame_height)), LONGEST_SIDE_PX / max(frame_width, frame_height)
    )
    size_wh = max(1, int(frame_width * fit + 1e-6)), max(1, int(frame_height * fit + 1e-6))
    grow = 1.0 if share is None else share * min(frame_width / width, frame_height / height)
    scale = grow * fit
    if share is None and position_xy is None:
        return Layout(size_wh, scale, *_whole(-frame_x * fit, -frame_y * fit, scale))
    room_xy = size_wh[0] - width * scale, size_wh[1] - height * scale
    if position_xy is None:
        middle_xy = (left + width / 2 - frame_x) * fit, (top + height / 2 - frame_y) * fit
        start_xy = (
            min(max(0.0, middle_xy[0] - width * scale / 2), max(0.0, room_xy[0])),
            min(max(0.0, middle_xy[1] - height * scale / 2), max(0.0, room_xy[1])),
        )
    else:
        start_xy = room_xy[0] * position_xy[0], room_xy[1] * position_xy[1]
    return Layout(size_wh, scale, *_whole(start_xy[0] - left * scale, start_xy[1] - top * scale, scale))


def _whole(left_px: float, top_px: float, scale: float) -> tuple[float, float]:
    """Whole pixels where nothing is scaled, so that pixels are copied."""
    return (round(left_px), round(top_px)) if scale == 1 else (left_px, top_px)


def place(picture: Picture, layout: Layout) -> Picture:
    """
    Bring a photo or its alpha channel onto the canvas.

    Args:
        picture: (H, W) or (H, W, C) uint8.

    Returns:
        (height, width[, C]) uint8 of the canvas; 0 where the photo does not reach.
    """
    height, width = picture.shape[:2]
    canvas_width, canvas_height = layout.size_wh
    xs = _window(width, canvas_width, layout.scale, layout.left_px)
    ys = _window(height, canvas_height, layout.scale, layout.top_px)
    if xs == (0, width, 0, canvas_width) and ys == (0, height, 0, canvas_height) and layout.scale == 1:
        return picture
    out = np.zeros((canvas_height, canvas_width, *picture.shape[2:]), np.uint8)
    part = picture[ys[0] : ys[1], xs[0] : xs[1]]
    if not part.size:
        return out
    part = shrink_or_grow(part, (max(1, xs[3] - xs[2]), max(1, ys[3] - ys[2])))
    to_x, to_y = max(0, xs[2]), max(0, ys[2])
    part = part[to_y - ys[2] : canvas_height - ys[2], to_x - xs[2] : canvas_width - xs[2]]
    out[to_y : to_y + part.shape[0], to_x : to_x + part.shape[1]] = part
    return out


def _window(side: int, canvas_side: int, scale: float, start_px: float) -> tuple[int, int, int, int]:
    """The photo's pixels that reach the canvas, first and last, and where these two come to lie on it."""
    first = min(side, max(0, math.floor(-start_px / scale)))
    last = min(side, max(first, math.ceil((canvas_side - start_px) / scale)))
    return first, last, round(first * scale + start_px), round(last * scale + start_px)


def cover(image: Picture, size_wh: tuple[int, int]) -> Picture:
    """
    Fill a canvas with a picture: scaled until it covers both sides, cut evenly on what is too much.

    Args:
        image: (H, W) or (H, W, C) uint8.
        size_wh: the canvas, in pixels.

    Returns:
        (height, width[, C]) uint8; the picture itself where it has that size.
    """
    height, width = image.shape[:2]
    canvas_width, canvas_height = size_wh
    scale = max(canvas_width / width, canvas_height / height)
    part_wh = min(width, max(1, round(canvas_width / scale))), min(height, max(1, round(canvas_height / scale)))
    left, top = (width - part_wh[0]) // 2, (height - part_wh[1]) // 2
    return shrink_or_grow(image[top : top + part_wh[1], left : left + part_wh[0]], size_wh)


def harden(alpha: AlphaChannel) -> AlphaChannel:
    """
    Make everything solid or clear; only a narrow edge stays soft, or it would be jagged.

    Args:
        alpha: (H, W) uint8, 0..255.

    Returns:
        (H, W) uint8, 0..255: a copy. What is half opaque (128) and more is solid.
    """
    radius_px = max(1, round(EDGE_SHARE * max(alpha.shape)))
    kernel = np.ones((2 * radius_px + 1,) * 2, np.uint8)  # a square is fast, however large
    solid = np.greater_equal(alpha, 128).view(np.uint8) * np.uint8(255)
    inside = cv2.erode(solid, kernel, borderType=cv2.BORDER_REPLICATE)
    outside = cv2.dilate(solid, kernel)
    return np.asarray(np.maximum(inside, np.minimum(alpha, outside)), np.uint8)


def compose(
    foreground: RgbImage,
    alpha: AlphaChannel,
    *,
    shadow: AlphaChannel | None = None,
    background: RgbaImage | None = None,
) -> RgbaImage:
    """
    Stack a subject on its black shadow on a background.

    Args:
        foreground: (H, W, 3) uint8, 0..255: the subject's colours (`estimate_foreground`).
        alpha: (H, W) uint8, 0..255.
        shadow: (H, W) uint8, 0..255: how dark; none by default.
        background: (H, W, 4), or (1, 1, 4) for one colour, uint8, straight alpha; transparent by default.

    Returns:
        (H, W, 4) uint8, straight alpha; the colour is 0 where it is transparent, the subject's where alpha is 255.

    Raises:
        ShapeError: they do not fit.
    """
    height, width = require_rgb(foreground).shape[:2]
    require_alpha(alpha, (height, width))
    if shadow is None and background is None:
        return cut_out(foreground, alpha)
    out = np.empty((height, width, 4), np.uint8)
    for rows in _strips(height, width):
        opacity = _opacity(alpha[rows])
        below, below_opacity = _ground(rows, shadow, background)
        total = opacity + (1 - opacity) * below_opacity
        mixed = foreground[rows] * opacity + below * (1 - opacity)
        out[rows, :, :3] = mixed / np.maximum(total, 1e-6) + 0.5
        out[rows, :, 3:] = total * 255 + 0.5
        out[rows][out[rows, :, 3] == 0] = 0
    return out


def _ground(rows: slice, shadow: AlphaChannel | None, background: RgbaImage | None) -> tuple[Floats, Floats]:
    """Shadow over background: premultiplied colour (h, W or 1, 3) 0..255 and opacity (h, W or 1, 1) 0..1, float32."""
    colour: Floats = np.zeros((1, 1, 3), np.float32)
    opacity: Floats = np.zeros((1, 1, 1), np.float32)
    if background is not None:
        part = background if background.shape[:2] == (1, 1) else background[rows]
        opacity = _opacity(part[..., 3])
        colour = np.multiply(part[..., :3], opacity)
    if shadow is not None:
        dark = _opacity(shadow[rows])
        colour, opacity = colour * (1 - dark), dark + (1 - dark) * opacity
    return colour, opacity


def _opacity(alpha: AlphaChannel) -> Floats:
    """(H, W) uint8 as (H, W, 1) float32, 0..1."""
    return np.divide(alpha[..., None], 255, dtype=np.float32)


def spread_colours(picture: RgbaImage) -> RgbImage:
    """
    Give what is transparent the colours of what is near, so that a JPEG of the colours has no hard edge to smear.

    Args:
        picture: (H, W, 4) uint8, straight alpha.

    Returns:
        (H, W, 3) uint8; where the picture is visible its own colours.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, FILL_SIDE_PX / max(height, width))
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    visible = cv2.inRange(picture[..., 3], 1, 255)
    small = cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(visible, size_wh, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / np.float32(255)
    colour = small[..., :3].astype(np.float32)  # 0 where it is clear: weighted already
    average = colour.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    spread, total = colour + average * 1e-6, weight + 1e-6
    for sigma in FILL_REACHES_PX:
        spread, total = spread + _blur(colour, sigma) * 1e-2, total + _blur(weight, sigma)[..., None] * 1e-2
    filled = np.clip(spread / total, 0, 255).astype(np.uint8)
    out = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    cv2.copyTo(np.ascontiguousarray(picture[..., :3]), visible, out)
    return out


def _blur(pixels: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.float32)


def _strips(height: int, width: int) -> Iterator[slice]:
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
