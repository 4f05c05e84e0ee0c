"""
What the transparency says that a picture came with, and what to lay under it where a network has to look.

A picture may be cut out already: a solid thing, clear around. Then its alpha is the answer, and better than any network's
would be. Or its transparency is none of the subject's: the rounded corners of a card, a padded photo, a vignette, a hole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from ml.picture.compositing import BOX_FROM_ALPHA, over_colour
from ml.picture.subject import SOLID_FROM
from ml.picture.transforms import require_alpha, shrink_or_grow
from ml.picture.types import AlphaChannel, BoxXywh, RgbImage

SIDE_PX = 512
"""Long side at which an alpha channel is judged."""

SOFT_SHARE = 0.5
"""Of what is visible: where more than this is half transparent (40 to 230), it is a veil or a vignette, no outline."""

SOFT_ALPHA = (40, 230)

OPEN_BORDER = 0.35
"""Of the picture's border: a thing that is cut out has that much clear around it, even where the border cuts it."""

SHAPE_IOU = 0.985
"""From which on what is solid is a rectangle, a rounded one or an ellipse: what people draw, not what things look like."""

TURNED_IOU = 0.97
CARD_SPAN = 0.88
"""Of the picture's width and height: a drawn shape that is smaller on all sides lies there as a thing would."""

PIECE_SHARE = 0.05
"""Of what is solid: smaller pieces don't decide on its shape."""

SAMPLE_SIDE_PX = 256
NEAR_LEVELS = 80
"""Euclidean distance in RGB: colours nearer than this to the ground may vanish in it."""

FEW = 0.01
"""Of the subject: so much of it may be near the ground."""

EDGE_WEIGHT = 4.0
"""Of pixels at the outline against those inside: where they look like the ground, the shape is lost."""

GROUNDS = (
    (128, 128, 128),
    (255, 255, 255),
    (0, 0, 0),
    (64, 64, 64),
    (192, 192, 192),
    (0, 160, 80),
    (30, 90, 220),
    (220, 40, 170),
    (240, 200, 0),
    (0, 190, 210),
    (150, 60, 10),
    (110, 40, 200),
)
"""In the order in which they are taken: greys are what the networks know best."""


class Transparency(Enum):
    """What an alpha channel is."""

    NOTHING = auto()
    """Nothing is visible."""

    OUTLINE = auto()
    """The subject is cut out already."""

    CARD = auto()
    """A drawn shape that holds a picture: its corners are clear, or what pads it."""

    UNCLEAR = auto()
    """Holes, a veil, half an outline."""


@dataclass(frozen=True, slots=True)
class Given:
    """
    Attributes:
        kind: what the alpha channel is.
        box_xywh: around what is visible, in the picture's pixels; None where nothing is.
        clear_share: of the picture, 0..1.
    """

    kind: Transparency
    box_xywh: BoxXywh | None
    clear_share: float


def read_transparency(opacity: AlphaChannel) -> Given:
    """
    Judge an alpha channel that came with a picture.

    Args:
        opacity: (H, W) uint8, 0..255.
    """
    height, width = opacity.shape
    visible = np.greater_equal(opacity, BOX_FROM_ALPHA).view(np.uint8)
    left, top, box_width, box_height = cv2.boundingRect(visible)
    clear_share = 1 - cv2.countNonZero(visible) / visible.size
    if not box_width:
        return Given(Transparency.NOTHING, None, 1.0)
    box = (left, top, box_width, box_height)
    scale = min(1.0, SIDE_PX / max(height, width))
    small = shrink_or_grow(opacity, (max(1, round(width * scale)), max(1, round(height * scale))))
    return Given(_kind(small), box, clear_share)


def _kind(opacity: AlphaChannel) -> Transparency:
    visible = opacity >= BOX_FROM_ALPHA
    soft = (opacity >= SOFT_ALPHA[0]) & (opacity < SOFT_ALPHA[1])
    if not visible.any() or np.count_nonzero(soft) > SOFT_SHARE * np.count_nonzero(visible):
        return Transparency.UNCLEAR
    solid = np.greater_equal(opacity, SOLID_FROM).view(np.uint8)
    border = np.concatenate([visible[0], visible[-1], visible[1:-1, 0], visible[1:-1, -1]])
    _, _, width, height = cv2.boundingRect(visible.view(np.uint8))
    spans = width >= CARD_SPAN * opacity.shape[1], height >= CARD_SPAN * opacity.shape[0]
    touches = (visible[0].any() and visible[-1].any()) or (visible[:, 0].any() and visible[:, -1].any())
    if (all(spans) or touches) and (_is_drawn(solid) or _is_drawn(visible.view(np.uint8))):
        return Transparency.CARD
    return Transparency.OUTLINE if 1 - border.mean() >= OPEN_BORDER else Transparency.UNCLEAR


def _is_drawn(solid: NDArray[np.uint8]) -> bool:
    """Is each of its larger pieces a rectangle, upright or turned, a rounded one or an ellipse?"""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    total = facts[1:, cv2.CC_STAT_AREA].sum()
    pieces = [index for index in range(1, count) if facts[index, cv2.CC_STAT_AREA] >= PIECE_SHARE * total]
    for index in pieces:
        x, y, width, height, _ = facts[index]
        if not _is_drawn_piece(labels[y : y + height, x : x + width] == index):
            return False
    return bool(pieces)


def _is_drawn_piece(piece: NDArray[np.bool_]) -> bool:
    height, width = piece.shape
    missing = piece.size - int(np.count_nonzero(piece))
    radius = min(math.sqrt(missing / (4 - math.pi)), min(height, width) / 2)
    y, x = np.abs(np.ogrid[:height, :width][0] - (height - 1) / 2), np.abs(np.arange(width) - (width - 1) / 2)[None]
    rounded = np.hypot(np.maximum(x - (width / 2 - radius), 0), np.maximum(y - (height / 2 - radius), 0)) <= radius
    ellipse = (x / (width / 2)) ** 2 + (y / (height / 2)) ** 2 <= 1
    if missing < (1 - SHAPE_IOU) * piece.size or max(_iou(piece, rounded), _iou(piece, ellipse)) >= SHAPE_IOU:
        return True
    points = np.argwhere(piece)[:, ::-1].astype(np.float32)
    corners = cv2.boxPoints(cv2.minAreaRect(cv2.convexHull(points)))
    turned = cv2.fillConvexPoly(np.zeros(piece.shape, np.uint8), np.round(corners).astype(np.int32), 1)
    return _iou(piece, turned > 0) >= TURNED_IOU


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(one & other)) / max(1, int(np.count_nonzero(one | other)))


def on_ground(image: RgbImage, opacity: AlphaChannel) -> RgbImage:
    """
    Lay a picture over a colour that is not the subject's own, for a network to see.

    Args:
        image: (H, W, 3) uint8, sRGB, 0..255; what lies under clear pixels is whatever the file holds.
        opacity: (H, W) uint8, 0..255.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ShapeError: the two do not fit.
    """
    return over_colour(image, require_alpha(opacity, image.shape[:2]), ground_for(image, opacity))


def ground_for(image: RgbImage, opacity: AlphaChannel) -> tuple[int, int, int]:
    """
    Choose the first colour of `GROUNDS` that nearly none of what is visible is near to; else the one with the least.

    Args:
        image, opacity: as for `on_ground`.

    Returns:
        0..255 each, sRGB.
    """
    step = max(1, -(-max(opacity.shape) // SAMPLE_SIDE_PX))
    colours, alpha = image[::step, ::step], opacity[::step, ::step]
    solid = np.greater_equal(alpha, SOLID_FROM).view(np.uint8)
    inside = cv2.erode(solid, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)
    weight = np.where(inside > 0, 1.0, EDGE_WEIGHT) * (alpha / 255)
    seen = alpha >= BOX_FROM_ALPHA
    if not seen.any():
        return GROUNDS[0]
    pixels, weight = colours[seen].astype(np.int32), weight[seen] / weight[seen].sum()
    lost = []
    for ground in GROUNDS:
        near = ((pixels - np.array(ground, np.int32)) ** 2).sum(axis=1) < NEAR_LEVELS**2
        lost.append(float(weight[near].sum()))
        if lost[-1] <= FEW:
            return ground
    return GROUNDS[int(np.argmin(lost))]
