"""The clean photos that marks are laid over, read from the tars of their sets; a third is held out by name."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from ml.evaluation.errors import EvaluationError
from ml.evaluation.sets import is_held_out
from ml.evaluation.watermark.fonts import Part
from ml.picture.types import RgbImage

SETS = ("photos_natural", "garments_flatlay", "saliency_ecssd", "clothes_ccp")
REAL = "watermark_real"
UNMARKED_SETS = ("photos_grocery", "garments_flatlay_more")
"""Beside `SETS` in training: printed packages, and garments of other senders."""
MAX_SIDE_PX = 720
"""Larger photos are made smaller when read, to keep all of them in memory."""


@dataclass(frozen=True, slots=True)
class CleanPhoto:
    """One photo, (H, W, 3) uint8 sRGB, upright."""

    set_name: str
    stem: str
    image: RgbImage


def read_photos(data: Path, part: Part, *, sets: tuple[str, ...] = SETS) -> list[CleanPhoto]:
    """
    Every photo of one part.

    Raises:
        EvaluationError: a tar is missing or damaged.
    """
    return [photo for name in sets for photo in _read(data / f"{name}.tar", name, part)]


def read_real(data: Path) -> list[tuple[str, RgbImage, bool]]:
    """Product photos from shops: name, image, and whether it is said to carry a mark. Raises: as `read_photos`."""
    return [
        (path.stem, _open(raw, None), path.parent.name == "watermarked") for path, raw in _members(data / f"{REAL}.tar")
    ]


def _read(file: Path, name: str, part: Part) -> list[CleanPhoto]:
    found = []
    for path, raw in _members(file):
        if path.parent.name in ("masks", "labels") or is_held_out(path.stem) != (part == "test"):
            continue
        found.append(CleanPhoto(name, path.stem, _open(raw, MAX_SIDE_PX)))
    return found


def _members(file: Path) -> list[tuple[PurePosixPath, bytes]]:
    try:
        with tarfile.open(file) as tar:
            return [
                (PurePosixPath(member.name), read.read())
                for member in sorted(tar.getmembers(), key=lambda m: m.name)
                if member.name.lower().endswith((".jpg", ".jpeg", ".png", ".webp"))
                and (read := tar.extractfile(member))
            ]
    except (OSError, tarfile.TarError) as error:
        raise EvaluationError(f"{file} can't be read: {error}.") from error


def _open(raw: bytes, max_side_px: int | None) -> RgbImage:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert("RGB")
    if max_side_px:
        image.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8)
