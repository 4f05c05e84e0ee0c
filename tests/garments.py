"""Drawn people in coloured clothes, and a stand-in for the pipeline that knows a garment by its colour."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import Image

from ml.clothing.pipeline import ClothingResult, Garment
from tests import drawing

COLOURS = {
    "tops": (200, 30, 40),
    "coat": (30, 140, 60),
    "skirt": (40, 60, 200),
    "pants": (60, 40, 20),
    "bag": (220, 180, 40),
    "shoes": (130, 50, 150),
    "hat": (240, 120, 20),
    "dress": (40, 180, 200),
}
GREY = (230, 230, 230)
BOXES = {
    "hat": (40, 4, 80, 16),
    "tops": (30, 20, 90, 60),
    "skirt": (34, 60, 86, 100),
    "bag": (92, 50, 112, 80),
    "shoes": (40, 106, 80, 116),
}
"""x0, y0, x1, y1 in a picture of 120 x 120; skirt and tops meet."""


def garments_array(boxes: dict[str, tuple[int, int, int, int]] | None = None, *, side: int = 120) -> Any:
    """(side, side, 3) uint8: each garment a box in its colour, on light grey."""
    picture = Image.new("RGB", (side, side), GREY)
    for name, box in (BOXES if boxes is None else boxes).items():
        picture.paste(COLOURS[name], box)
    return np.asarray(picture)


def garments_png(boxes: dict[str, tuple[int, int, int, int]] | None = None, *, side: int = 120) -> bytes:
    """`garments_array` as a file."""
    return drawing.saved(garments_array(boxes, side=side), "PNG")


class GarmentsByColour:
    """Stands in for the clothing pipeline; its edges are one pixel soft."""

    model_name = "garments-by-colour"
    model_version = "1"
    device = "cpu"
    warnings: tuple[str, ...] = ()

    def run(self, image: Any, *, separate_dress: bool = False, opacity: Any = None) -> ClothingResult:
        found: dict[str, Garment] = {}
        masks = {name: np.abs(image.astype(int) - colour).max(axis=2) < 24 for name, colour in COLOURS.items()}
        dresses = masks.pop("dress")
        if separate_dress:
            masks["dress"] = dresses
        else:
            masks["skirt"] |= dresses
        for name, mask in masks.items():
            if not mask.any():
                continue
            soft = cv2.blur(mask.astype(np.float32), (3, 3))
            if opacity is not None:
                soft *= opacity / 255
            ys, xs = np.nonzero(mask)
            x, y = int(xs.min()), int(ys.min())
            found[name] = Garment(
                alpha=(soft * 255).astype(np.uint8),  # rounded down: all together give no more than 255
                bbox_xywh=(x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1),
                area_ratio=float(mask.mean()),
                confidence=0.9,
            )
        return ClothingResult(found)


DRESSED = {"dress": (30, 20, 90, 100), "shoes": (40, 106, 80, 116)}


def plain(width: int, height: int, image_format: str = "PNG") -> bytes:
    return drawing.saved(Image.new("RGB", (width, height), GREY), image_format)
