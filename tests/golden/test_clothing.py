"""The real clothing network on CC0 photos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ml.clothing.pipeline import ClothingPipeline
from ml.picture.types import RgbImage
from tests.golden.networks import models

pytestmark = pytest.mark.golden
PHOTOS = Path(__file__).parent / "photos"
GARMENTS = {
    "knitted-hat": "hat",
    "straw-hat": "hat",
    "black-cap": "hat",
    "slippers": "shoes",
    "leopard-shoes": "shoes",
    "denim-jacket": "coat",
    "blue-skirt": "skirt",
}


@pytest.fixture(scope="module")
def pipeline() -> ClothingPipeline:
    return models().clothing()


def _photo(name: str) -> RgbImage:
    return np.asarray(cv2.imread(str(PHOTOS / f"{name}.jpg"))[..., ::-1], np.uint8).copy()


@pytest.mark.parametrize(("name", "wanted"), GARMENTS.items())
def test_garment_on_the_floor_is_named_and_cut_out(pipeline: ClothingPipeline, name: str, wanted: str) -> None:
    truth = cv2.imread(str(PHOTOS / f"{name}.mask.png"), cv2.IMREAD_GRAYSCALE) > 127

    garments = pipeline.run(_photo(name)).garments

    assert wanted in garments
    found = garments[wanted].alpha >= 128
    assert np.count_nonzero(found & truth) / np.count_nonzero(found | truth) > 0.75


def test_flat_wall_shows_nothing(pipeline: ClothingPipeline) -> None:
    assert pipeline.run(np.full((400, 300, 3), 200, np.uint8)).garments == {}


def test_enlarged_photo_gives_the_same_garments(pipeline: ClothingPipeline) -> None:
    photo = _photo("denim-jacket")
    large = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)

    small_alpha, large_alpha = (pipeline.run(image).garments["coat"].alpha for image in (photo, large))

    shrunk = cv2.resize(large_alpha, small_alpha.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.mean(np.abs(shrunk.astype(int) - small_alpha)) < 4
