"""A contact sheet of marks: the marked photo beside its strokes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ml.evaluation.watermark.marks import KINDS, Marked, draw_mark
from ml.evaluation.watermark.photos import CleanPhoto
from ml.evaluation.watermark.strokes import Assets
from ml.picture.types import RgbImage

TILE_PX, COLUMNS, ROWS = 260, 6, 6


def draw_sheet(photos: Sequence[CleanPhoto], assets: Assets, seed: int, file: Path) -> None:
    """Write a PNG of 36 marked photos, a third of each kind, with their strokes beside them."""
    rng = np.random.default_rng(seed)
    rows = []
    for row in range(ROWS):
        marked = [
            draw_mark(photos[int(rng.integers(len(photos)))].image, rng, kind=KINDS[row % 3], assets=assets)
            for _ in range(COLUMNS)
        ]
        rows.append(np.concatenate([_pair(one) for one in marked], 1))
    Image.fromarray(np.concatenate(rows)).save(file)


def _pair(one: Marked) -> RgbImage:
    shape = np.repeat(np.rint(one.shape * 255).astype(np.uint8)[..., None], 3, 2)
    return np.concatenate([fit(one.image), fit(shape)], 1)


def fit(image: RgbImage) -> RgbImage:
    """Scale into a square tile."""
    height, width = image.shape[:2]
    scale = TILE_PX / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    tile = np.full((TILE_PX, TILE_PX, 3), 40, np.uint8)
    tile[: size_wh[1], : size_wh[0]] = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return tile
