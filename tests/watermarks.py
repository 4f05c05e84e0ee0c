"""Drawn photos with a mark in one colour, smears for them, and a stand-in for the pipeline that knows a mark by its colour."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import Image

from ml.watermark.pipeline import Region, Removal
from ml.watermark.template.mark import MarkTemplate, template_from_photos
from tests import drawing
from tests.api import upload

TEAL = (20, 160, 150)
GROUND = (210, 200, 180)
MARK = (230, 40, 160)
FAINT = (214, 184, 178)
"""As the mark at a tenth of its opacity."""

BOX = (60, 70, 110, 84)
"""x0, y0, x1, y1 of the mark in a picture of 120 x 90."""

STROKE = (0, 128, 255)


def marked_array(
    box: tuple[int, int, int, int] | None = BOX,
    *,
    colour: tuple[int, int, int] = MARK,
    size_wh: tuple[int, int] = (120, 90),
) -> Any:
    """(H, W, 3) uint8: the mark on a shade that differs in every column, so that a shifted pixel shows."""
    width, height = size_wh
    picture = Image.new("RGB", size_wh, GROUND)
    for column in range(width):
        picture.paste((GROUND[0], GROUND[1], 100 + column % 100), (column, 0, column + 1, height))
    if box is not None:
        picture.paste(colour, box)
    return np.asarray(picture)


def marked_png(box: tuple[int, int, int, int] | None = BOX, **options: Any) -> bytes:
    """`marked_array` as a file."""
    return drawing.saved(marked_array(box, **options), "PNG")


def smear_array(
    box: tuple[int, int, int, int] | None = (4, 4, 24, 16),
    *,
    ground: Any = 0,
    colour: tuple[int, int, int] = STROKE,
    size_wh: tuple[int, int] = (120, 90),
) -> Any:
    """(H, W, 3) uint8: one stroke on pure black."""
    picture = np.full((size_wh[1], size_wh[0], 3), ground, np.uint8)
    if box is not None:
        picture[box[1] : box[3], box[0] : box[2]] = colour
    return picture


def smear_png(*args: Any, **options: Any) -> bytes:
    """`smear_array` as a file."""
    return drawing.saved(smear_array(*args, **options), "PNG")


class MarksByColour:
    """
    Stands in for the watermark pipeline: what is restored becomes black, so that a test sees where, and which way.

    With more than half of the sensitivity it takes `FAINT` for a mark too; with a template it looks for the template's
    own colour and nothing else.
    """

    model_name = "marks-by-colour"
    model_version = "1"
    device = "cpu"
    warnings: tuple[str, ...] = ()

    def learn(self, photos: Any) -> MarkTemplate:
        """As without any network: by what the photos share."""
        return template_from_photos(photos)

    def run(
        self,
        image: Any,
        *,
        smear: Any = None,
        sensitivity: float = 0.5,
        detect_only: bool = False,
        template: Any = None,
        on_stage: Any = None,
    ) -> Removal:
        on_stage("detect", 0.0)
        colours = [MARK, *([FAINT] if sensitivity > 0.5 else [])]
        if template is not None:
            strokes = template.alpha > 0.5
            colours = [(template.ink[strokes] / template.alpha[strokes][:, None]).mean(axis=0)]
        found = np.zeros(image.shape[:2], bool) if smear is None else smear
        if smear is None:
            for colour in colours:
                found = found | (np.abs(image.astype(int) - np.asarray(colour)).max(axis=2) < 8)
        regions = ()
        if found.any():
            regions = (Region(bbox_xywh=cv2.boundingRect(found.astype(np.uint8)), score=0.9, kind="text"),)
        restored = image
        if not detect_only:
            on_stage("restore", 0.5)
            restored = image.copy()
            restored[found] = 0
        return Removal(restored, found.astype(np.uint8) * 255, regions)


def mark_png(colour: tuple[int, int, int] = TEAL, *, alpha: int = 255) -> bytes:
    mark = np.zeros((20, 50, 4), np.uint8)
    mark[4:16, 4:46] = (*colour, alpha)
    return drawing.saved(mark, "PNG")


def photos(count: int = 3, **options: Any) -> list[Any]:
    """Photos of a form that carry the same mark at nearly the same place."""
    return [upload(marked_png((4, 4, 40 + n, 20), **options)) for n in range(count)]
