"""The photos that networks are calibrated with: some of each set, read from the sets' tars."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from ml.picture.types import RgbImage

SETS = {
    "photos_natural": 14,
    "garments_flatlay": 10,
    "clothes_ccp": 10,
    "human_pennfudan": 6,
    "product_flatlay": 8,
    "photos_grocery": 6,
    "watermark_real": 10,
}
"""How many of each. None of the sets that cut-outs are judged by on their own: ECSSD, horses, DAVIS."""

MOST_SIDE_PX = 1600


def read_photos(data: Path) -> Iterator[RgbImage]:
    """
    Read photos evenly chosen from each set's tar.

    Yields:
        (H, W, 3) uint8, sRGB, upright, at most `MOST_SIDE_PX` a side.

    Raises:
        FileNotFoundError: a tar is not there.
    """
    for name, count in SETS.items():
        with tarfile.open(data / f"{name}.tar") as tar:
            members = sorted(
                (member for member in tar.getmembers() if _is_photo(member)), key=lambda member: member.name
            )
            for member in members[:: max(1, len(members) // count)][:count]:
                file = tar.extractfile(member)
                if file is not None:
                    yield _read(file.read())


def _is_photo(member: tarfile.TarInfo) -> bool:
    path = PurePosixPath(member.name)
    is_truth = {"masks", "labels", "alpha", "clean"} & set(path.parts)
    return member.isfile() and not is_truth and path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}


def _read(content: bytes) -> RgbImage:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    image.thumbnail((MOST_SIDE_PX, MOST_SIDE_PX))
    return np.asarray(image, np.uint8)
