"""The real watermark pipeline on a CC0 photo with a drawn mark."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ml.errors import TemplateError
from ml.picture.types import Mask, Matte, RgbImage
from ml.watermark.pipeline import WatermarkPipeline
from ml.watermark.template.mark import template_from_png
from ml.weights import made_here
from tests.golden.networks import models

pytestmark = pytest.mark.golden
PHOTO = Path(__file__).parent / "photos" / "canyon-wren.jpg"


@pytest.fixture(scope="module")
def pipeline() -> WatermarkPipeline:
    if not (made_here.FOLDER / made_here.WATERMARK.name).is_file():
        pytest.skip("ml/weights has no network for watermarks")
    return models().watermark()


@pytest.fixture(scope="module")
def photo() -> RgbImage:
    return np.asarray(cv2.imread(str(PHOTO))[..., ::-1], np.uint8).copy()


def words(shape_hw: tuple[int, int], *, opacity: float) -> Matte:
    """(H, W) float32: SAMPLE PHOTO across the middle."""
    drawn = np.zeros(shape_hw, np.uint8)
    height, width = shape_hw
    cv2.putText(
        drawn,
        "SAMPLE PHOTO",
        (width // 8, height * 11 // 20),
        cv2.FONT_HERSHEY_DUPLEX,
        width / 420,
        255,
        width // 160,
        cv2.LINE_AA,
    )
    return drawn.astype(np.float32) / 255 * opacity


def marked(photo: RgbImage, mark: Matte) -> RgbImage:
    """White ink of that opacity over the photo."""
    return np.rint(photo * (1 - mark[..., None]) + 255 * mark[..., None]).astype(np.uint8)


def psnr(image: NDArray[np.uint8], truth: RgbImage, where: Mask) -> float:
    error = (image.astype(np.float64) - truth)[where]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


@pytest.mark.parametrize(("opacity", "gain_db"), [(0.35, 6), (0.6, 10), (1.0, 12)])
def test_words_across_a_photo_are_found_and_taken_off(
    pipeline: WatermarkPipeline, photo: RgbImage, opacity: float, gain_db: float
) -> None:
    """How much of marks is found is measured on many (`ml/weights/watermark.md`), not on one."""
    mark = words(photo.shape[:2], opacity=opacity)
    spoilt = marked(photo, mark)

    removal = pipeline.run(spoilt)

    assert removal.detected
    outside = removal.mask == 0
    assert (removal.image[outside] == spoilt[outside]).all()
    found = (mark > opacity / 2) & ~outside
    assert np.count_nonzero(found) > 0.9 * np.count_nonzero(mark > opacity / 2)
    assert psnr(removal.image, photo, mark > 0) - psnr(spoilt, photo, mark > 0) > gain_db


def test_own_mark_given_as_a_template_comes_off_better(pipeline: WatermarkPipeline, photo: RgbImage) -> None:
    mark = words(photo.shape[:2], opacity=0.5)
    rows, columns = np.flatnonzero(mark.max(axis=1)), np.flatnonzero(mark.max(axis=0))
    cut = mark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    png = np.dstack([np.full((*cut.shape, 3), 255, np.uint8), np.rint(cut * 255).astype(np.uint8)])
    spoilt = marked(photo, mark)

    removal = pipeline.run(spoilt, template=template_from_png(png))

    outside = removal.mask == 0
    assert (removal.image[outside] == spoilt[outside]).all()
    assert psnr(removal.image, photo, mark > 0) - psnr(spoilt, photo, mark > 0) > 10


def five_photos() -> list[RgbImage]:
    names = "leopard-shoes", "slippers", "denim-jacket", "blue-skirt", "plaid-shirt"
    read = [cv2.imread(str(PHOTO.with_name(f"{name}.jpg")))[..., ::-1] for name in names]
    return [np.asarray(cv2.resize(image, (480, 360), interpolation=cv2.INTER_AREA), np.uint8) for image in read]


def test_a_mark_is_learned_from_five_photos_and_taken_off_them(pipeline: WatermarkPipeline) -> None:
    cleans = five_photos()
    mark = words(cleans[0].shape[:2], opacity=0.45)
    spoilt = [marked(clean, mark) for clean in cleans]

    template = pipeline.learn(spoilt)

    removals = [pipeline.run(image, template=template).image for image in spoilt]
    gains = [
        psnr(image, clean, mark > 0) - psnr(before, clean, mark > 0)
        for image, before, clean in zip(removals, spoilt, cleans, strict=True)
    ]
    assert np.mean(gains) > 8
    assert min(gains) > 3


def test_nothing_is_learned_from_photos_without_a_mark(pipeline: WatermarkPipeline) -> None:
    with pytest.raises(TemplateError, match="share no watermark"):
        pipeline.learn(five_photos())


def test_precise_smear_takes_a_see_through_mark_off(pipeline: WatermarkPipeline, photo: RgbImage) -> None:
    mark = words(photo.shape[:2], opacity=0.4)
    spoilt = marked(photo, mark)

    removal = pipeline.run(spoilt, smear=mark > 0.12)

    assert psnr(removal.image, photo, mark > 0) - psnr(spoilt, photo, mark > 0) > 10


def test_smear_takes_off_what_lies_under_it_and_nothing_else(pipeline: WatermarkPipeline, photo: RgbImage) -> None:
    mark = words(photo.shape[:2], opacity=1.0)
    smear = cv2.dilate((mark > 0).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    spoilt = marked(photo, mark)

    removal = pipeline.run(spoilt, smear=smear)

    near = cv2.dilate(smear.astype(np.uint8), np.ones((17, 17), np.uint8)).astype(bool)  # 8 px of feather
    assert (removal.mask[~near] == 0).all()
    assert (removal.image[removal.mask == 0] == spoilt[removal.mask == 0]).all()
    assert psnr(removal.image, photo, mark > 0) - psnr(spoilt, photo, mark > 0) > 5


def test_detection_alone_changes_nothing(pipeline: WatermarkPipeline, photo: RgbImage) -> None:
    spoilt = marked(photo, words(photo.shape[:2], opacity=0.5))

    removal = pipeline.run(spoilt, detect_only=True)

    assert removal.detected
    assert removal.mask.any()
    assert (removal.image == spoilt).all()


def test_clean_photo_is_left_alone(pipeline: WatermarkPipeline, photo: RgbImage) -> None:
    removal = pipeline.run(photo)

    assert not removal.detected
    assert not removal.mask.any()
    assert (removal.image == photo).all()
