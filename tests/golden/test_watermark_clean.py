"""Clean pictures stay what they are: patterns, pages and screens, packages and clothes, without loss and as JPEG."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ml.picture.types import RgbImage
from ml.watermark.pipeline import WatermarkPipeline
from ml.weights import made_here
from tests.golden.networks import models
from tests.golden.repeated import as_seen, pictures

pytestmark = pytest.mark.golden
PHOTOS = Path(__file__).parent / "photos"
CLEAN = sorted(PHOTOS.glob("*.jpg"))
PICTURES = pictures()


@pytest.fixture(scope="module")
def pipeline() -> WatermarkPipeline:
    if not (made_here.FOLDER / made_here.WATERMARK.name).is_file():
        pytest.skip("ml/weights has no network for watermarks")
    return models().watermark()


def as_jpeg(image: RgbImage, quality: int) -> RgbImage:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8).copy()


@pytest.mark.parametrize("kind", ["without loss", "JPEG", "photographed"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_made_of_repetition_or_letters_carries_no_mark(
    pipeline: WatermarkPipeline, name: str, kind: str
) -> None:
    flat = PICTURES[name]
    image = {"without loss": lambda: flat, "JPEG": lambda: as_jpeg(flat, 85), "photographed": lambda: as_seen(flat)}[
        kind
    ]()

    removal = pipeline.run(image, detect_only=True)

    assert removal.regions == ()
    assert not removal.mask.any()


@pytest.mark.parametrize("quality", [None, 75, 92])
@pytest.mark.parametrize("file", CLEAN, ids=lambda file: file.stem)
def test_a_clean_photo_carries_no_mark_in_whatever_format(
    pipeline: WatermarkPipeline, file: Path, quality: int | None
) -> None:
    photo = np.asarray(cv2.imread(str(file))[..., ::-1], np.uint8)
    scale = min(1.0, 560 / max(photo.shape[:2]))
    small = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

    removal = pipeline.run(as_jpeg(small, quality) if quality else small, detect_only=True)

    assert removal.regions == ()
