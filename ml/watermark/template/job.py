"""What is to be done about a mark that is known: un-blend it where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ml.picture.types import AlphaChannel, Matte, RgbImage
from ml.watermark.regions import Region
from ml.watermark.repairing import Repairer
from ml.watermark.restoration import repaired_alone
from ml.watermark.unblending import CHANGED, Pixels, look_around, restore_exactly, shape_of

STROKE_SHARE = 0.3
"""Of a mark's highest opacity: what is a stroke to the repairing network."""

MARGIN_PX = 32


@dataclass(frozen=True, slots=True)
class TemplateJob:
    """
    A known mark to be removed.

    Attributes:
        region: for the answer.
        left, top: where alpha's first pixel lies in the photo.
        alpha, ink: (h, w) and (h, w, 3) float32: the mark at the photo's scale, already at its strength.
        repairer: asked as well where the mark is known roughly; the mean of both errs less.
    """

    region: Region
    left: int
    top: int
    alpha: Matte
    ink: Pixels
    repairer: Repairer | None = None

    @property
    def regions(self) -> tuple[Region, ...]:
        """As `ml.watermark.search.Job` has them."""
        return (self.region,)

    def carry_out(self, image: RgbImage, out: RgbImage | None, mask: AlphaChannel) -> None:
        """Remove it: `out` and `mask` are written; without `out` the mask alone."""
        part, alpha, ink = self.with_margin(image.shape[:2])
        changed = alpha > CHANGED * max(0.1, float(alpha.max()))
        mask[part][changed] = 255
        if out is not None:
            pixels = image[part].astype(np.float32)
            restored = restore_exactly(pixels, alpha, ink, look_around(pixels, shape_of(alpha)))
            if self.repairer is not None:
                strokes = (alpha > STROKE_SHARE * alpha.max()).astype(np.float32)
                other = repaired_alone(self.repairer, image[part], strokes).astype(np.float32)
                restored = np.float32(0.5) * (restored + other)
            out[part][changed] = np.clip(restored + 0.5, 0, 255).astype(np.uint8)[changed]

    def with_margin(self, photo_hw: tuple[int, int]) -> tuple[tuple[slice, slice], Matte, Pixels]:
        """The part of the photo with some clean room around, and the mark in it."""
        rows, columns = self.alpha.shape
        y0, x0 = max(0, self.top - MARGIN_PX), max(0, self.left - MARGIN_PX)
        y1, x1 = min(photo_hw[0], self.top + rows + MARGIN_PX), min(photo_hw[1], self.left + columns + MARGIN_PX)
        pads = self.top - y0, y1 - self.top - rows, self.left - x0, x1 - self.left - columns
        alpha = cv2.copyMakeBorder(self.alpha, *pads, cv2.BORDER_CONSTANT, value=0)
        ink = cv2.copyMakeBorder(self.ink, *pads, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        return (slice(y0, y1), slice(x0, x1)), np.asarray(alpha, np.float32), np.asarray(ink, np.float32)
