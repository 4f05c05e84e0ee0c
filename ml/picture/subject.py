"""A subject that was found, and what its alpha tells of it: does it go on beyond the picture, is it one thing or several."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml.picture.transforms import shrink_or_grow
from ml.picture.types import AlphaChannel, BoxXywh

SOLID_FROM = 128
BORDER_SHARE = 0.01
"""Of one side's length: fewer solid pixels on the border are a touch, not a cut."""

SIMILAR_SHARE = 0.15
"""Of the largest piece's area: smaller ones are parts or dust, not subjects of their own."""

MIN_SUBJECT_SHARE = 0.003
"""Of the picture."""

_COUNT_SIDE_PX = 512


@dataclass(frozen=True, slots=True)
class FoundSubject:
    """
    What was found.

    Attributes:
        alpha: (H, W) uint8, 0..255, at the image's size; the input's own opacity is in it. All 0 where `is_empty`.
        bbox_xywh: the subject's box in pixels, or None where `is_empty`.
        area_ratio: the subject's share of the photo, 0..1.
        confidence: 0..1, the intersection over union that such maps have with the truth on average.
        is_empty: no subject was found.
        touches_border: the subject goes on beyond the picture's border.
        subjects: how many separate things of similar size there are; 0 where `is_empty`.
        is_as_given: the alpha is the one that the picture came with: the colours of its soft pixels are the subject's own.
    """

    alpha: AlphaChannel
    bbox_xywh: BoxXywh | None
    area_ratio: float
    confidence: float
    is_empty: bool
    touches_border: bool = False
    subjects: int = 1
    is_as_given: bool = False


def touches_border(alpha: AlphaChannel) -> bool:
    """
    Does the picture's border cut the subject on one side at least?

    Args:
        alpha: (H, W) uint8, 0..255.
    """
    sides = (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])
    return any(np.count_nonzero(side >= SOLID_FROM) > max(2, BORDER_SHARE * side.size) for side in sides)


def count_subjects(alpha: AlphaChannel) -> int:
    """
    Count the separate things: pieces that are solid, not tiny, and at least 15 % as large as the largest.

    Args:
        alpha: (H, W) uint8, 0..255.
    """
    scale = min(1.0, _COUNT_SIDE_PX / max(alpha.shape))
    height, width = alpha.shape
    small = shrink_or_grow(alpha, (max(1, round(width * scale)), max(1, round(height * scale))))
    _, _, facts, _ = cv2.connectedComponentsWithStats(np.greater_equal(small, SOLID_FROM).view(np.uint8))
    areas = facts[1:, cv2.CC_STAT_AREA]
    least = max(SIMILAR_SHARE * areas.max(initial=0), MIN_SUBJECT_SHARE * small.size)
    return int(np.count_nonzero(areas >= least))
