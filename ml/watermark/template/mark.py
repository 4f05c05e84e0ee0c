"""
A customer's own mark, given once: as a PNG with alpha, or by photos that carry it at the same place.

With the mark's exact strokes, opacity and colour, un-blending gives the photo back where inpainting only guesses.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.errors import TemplateError
from ml.picture.types import Matte, RgbaImage, RgbImage
from ml.watermark.template.learning import Finding, learn_mark
from ml.watermark.template.usable import CLEAR, LARGEST_SIDE_PX, LEAST_OPAQUE_PX, OPAQUE, SMALLEST_SIDE_PX

FEWEST_PHOTOS, MOST_PHOTOS = 3, 10
MOST_PIXELS = 4_000_000


@dataclass(frozen=True, slots=True)
class MarkTemplate:
    """
    A mark: a marked pixel is (1 - alpha) x photo + ink.

    Attributes:
        alpha: (h, w) float32, 0..1: its opacity.
        ink: (h, w, 3) float32, 0..255: its colour, premultiplied with `alpha`.
        place_xywh: where it was learned: left and top in a photo of that width and height; None where it may be
            anywhere, at any size.
    """

    alpha: Matte
    ink: NDArray[np.float32]
    place_xywh: tuple[int, int, int, int] | None = None

    @property
    def is_learned(self) -> bool:
        """Whether it was learned from photos, which never is as exact as the mark itself."""
        return self.place_xywh is not None

    def to_bytes(self) -> bytes:
        """Write it as a NumPy archive (float16, compressed, nothing pickled)."""
        target = io.BytesIO()
        place = np.asarray(self.place_xywh or (), np.int32)
        np.savez_compressed(target, alpha=self.alpha.astype(np.float16), ink=self.ink.astype(np.float16), place=place)
        return target.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> MarkTemplate:
        """
        Read what `to_bytes` wrote.

        Raises:
            TemplateError: it is something else.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                alpha, ink = archive["alpha"].astype(np.float32), archive["ink"].astype(np.float32)
                place = [int(number) for number in archive["place"]]
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise TemplateError("The stored watermark template cannot be read; make it again.") from error
        if alpha.ndim != 2 or ink.shape != (*alpha.shape, 3) or len(place) not in {0, 4}:
            raise TemplateError("The stored watermark template cannot be read; make it again.")
        return cls(alpha, ink, (place[0], place[1], place[2], place[3]) if place else None)


def template_from_png(image: RgbaImage) -> MarkTemplate:
    """
    Take a mark from a picture of it alone.

    Args:
        image: (h, w, 4) uint8: the mark's colour and, as alpha, its strokes.

    Raises:
        TemplateError: it has no alpha, is all clear or all opaque, or is too small or too large.
    """
    if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        raise TemplateError("The template needs transparency: send a PNG in which all but the watermark is clear.")
    alpha = image[..., 3].astype(np.float32) / 255
    if np.count_nonzero(alpha > CLEAR) < LEAST_OPAQUE_PX:
        raise TemplateError("The template is empty: nearly all of its pixels are fully transparent.")
    if alpha.min() > OPAQUE:
        raise TemplateError(
            "The template has no transparent pixels: send a PNG in which all but the watermark is clear."
        )
    rows, columns = np.flatnonzero(alpha.max(1) > CLEAR), np.flatnonzero(alpha.max(0) > CLEAR)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    height, width = alpha[box].shape
    if min(height, width) < SMALLEST_SIDE_PX or max(height, width) > LARGEST_SIDE_PX:
        raise TemplateError(
            f"The watermark in the template is {width}x{height} px; its sides must be {SMALLEST_SIDE_PX} to "
            f"{LARGEST_SIDE_PX} px."
        )
    cut = np.asarray(alpha[box], np.float32)
    return MarkTemplate(cut, np.asarray(image[box][..., :3] * cut[..., None], np.float32))


def template_from_photos(photos: Sequence[RgbImage], *, look: Finding | None = None) -> MarkTemplate:
    """
    Learn a mark from photos that carry it at the same place.

    Args:
        photos: 3 to 10 of them, (H, W, 3) uint8 each, all of one size.
        look: what sees marks (`ml.watermark.template.learning.learn_mark`).

    Raises:
        TemplateError: too few, too many, of different sizes, the same photo again, or nothing that they share.
    """
    if not FEWEST_PHOTOS <= len(photos) <= MOST_PHOTOS:
        raise TemplateError(f"Send {FEWEST_PHOTOS} to {MOST_PHOTOS} marked photos; these are {len(photos)}.")
    if len({photo.shape for photo in photos}) > 1:
        raise TemplateError(
            "The marked photos are of different sizes; the watermark must lie at the same place in all."
        )
    if min(photos[0].shape[:2]) < SMALLEST_SIDE_PX or photos[0].shape[0] * photos[0].shape[1] > MOST_PIXELS:
        raise TemplateError(
            f"The marked photos must be {SMALLEST_SIDE_PX} px wide and high at least, and 4 megapixels at most."
        )
    if any(np.array_equal(photos[0], photo) for photo in photos[1:]):
        raise TemplateError("Two of the marked photos are the same; the watermark is what different photos share.")
    alpha, ink = learn_mark(photos, look=look)
    height, width = alpha.shape
    rows, columns = np.flatnonzero(alpha.max(1) > 0), np.flatnonzero(alpha.max(0) > 0)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return MarkTemplate(alpha[box].copy(), ink[box].copy(), (int(columns[0]), int(rows[0]), width, height))
