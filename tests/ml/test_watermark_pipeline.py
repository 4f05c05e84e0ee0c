"""What watermark removal promises, with a network that sees what it is told."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.errors import ShapeError
from ml.picture.types import Mask, RgbImage
from ml.watermark.pipeline import Removal
from tests.ml.marked import blend, error, photo, pipeline, strokes


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 60)])
@pytest.mark.parametrize("opacity", [0.25, 0.5])
def test_a_see_through_mark_is_unblended(colour: tuple[int, int, int], opacity: float) -> None:
    clean, shape = photo(3), strokes()
    marked = blend(clean, shape, opacity=opacity, colour=colour)

    removal = pipeline(shape, opacity=opacity).run(marked)

    assert removal.detected
    assert error(removal.image, clean, shape) < 0.7 * error(
        marked, clean, shape
    )  # of drawn noise the network knows little


def test_an_opaque_mark_is_inpainted() -> None:
    clean, shape = photo(4), strokes()
    marked = blend(clean, shape, opacity=1.0, colour=(255, 255, 255))

    removal = pipeline(shape, opacity=0.98).run(marked)

    assert error(removal.image, clean, shape) < 0.25 * error(marked, clean, shape)


def test_pixels_outside_the_mask_are_the_inputs() -> None:
    shape = strokes()
    marked = blend(photo(5), shape, opacity=0.5, colour=(255, 255, 255))

    removal = pipeline(shape).run(marked)

    outside = removal.mask == 0
    assert outside.any()
    assert (removal.mask > 0).any()
    assert np.array_equal(removal.image[outside], marked[outside])
    assert set(np.unique(removal.mask)) == {0, 255}


def test_a_photo_without_marks_stays_what_it_is() -> None:
    image = photo(6)

    removal = pipeline().run(image)

    assert not removal.detected
    assert not removal.mask.any()
    assert np.array_equal(removal.image, image)


def test_detect_only_says_where_and_changes_nothing() -> None:
    shape = strokes()
    marked = blend(photo(7), shape, opacity=0.5, colour=(255, 255, 255))

    removal = pipeline(shape).run(marked, detect_only=True)

    assert np.array_equal(removal.image, marked)
    assert removal.mask.any()
    assert np.array_equal(removal.mask, pipeline(shape).run(marked).mask)
    left, top, width, height = removal.regions[0].bbox_xywh
    rows, columns = np.nonzero(shape > 0.5)
    found, true = (left, top, left + width, top + height), (columns.min(), rows.min(), columns.max(), rows.max())
    assert np.abs(np.subtract(found, true)).max() <= 4
    assert removal.regions[0].kind == "text"


def test_a_mark_all_over_the_photo_is_one_tiled_region() -> None:
    shape = np.zeros((480, 640), np.float32)
    for top in range(40, 480, 80):
        for left in range(10, 600, 150):
            shape[top : top + 12, left : left + 60] = 1
    marked = blend(photo(8, height=480, width=640), shape, opacity=0.3, colour=(255, 255, 255))

    removal = pipeline(shape, opacity=0.3).run(marked)

    assert [region.kind for region in removal.regions] == ["tiled"]


def test_sensitivity_decides_about_unsure_marks() -> None:
    shape = strokes()
    marked = blend(photo(9), shape, opacity=0.4, colour=(255, 255, 255))

    assert not pipeline(shape, opacity=0.4, sure=0.93).run(marked, sensitivity=0.1).detected
    assert pipeline(shape, opacity=0.4, sure=0.93).run(marked, sensitivity=0.9).detected


def assert_taken_away(clean: RgbImage, thing: tuple[slice, slice], smear: Mask, *, left: float) -> Removal:
    """Under the smear less than this share of the thing's error is left."""
    marked = clean.copy()
    marked[thing] = (250, 20, 240)

    removal = pipeline().run(marked, smear=smear)

    hole = smear.astype(np.float32)
    assert error(removal.image, clean, hole) < left * error(marked, clean, hole)
    return removal


def test_a_smear_over_an_object_takes_it_away() -> None:
    clean = photo(10)
    smear = np.zeros(clean.shape[:2], bool)
    smear[96:134, 136:184] = True

    removal = assert_taken_away(clean, np.s_[98:132, 138:182], smear, left=0.3)

    near = np.zeros_like(smear)
    near[96 - 8 : 134 + 8, 136 - 8 : 184 + 8] = True
    assert not removal.mask[~near].any()


def test_a_precise_smear_over_a_see_through_mark_unblends_it() -> None:
    clean, shape = photo(11), strokes()
    marked = blend(clean, shape, opacity=0.4, colour=(255, 255, 255))

    removal = pipeline().run(marked, smear=shape > 0.4)

    assert error(removal.image, clean, shape) < 0.4 * error(marked, clean, shape)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 20), (7, 333), (333, 3), (33, 65)])
def test_odd_sizes_come_back_at_their_size(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    shape = (rng.random((height, width)) > 0.7).astype(np.float32)
    smear = shape > 0.5

    for removal in (pipeline(shape).run(image), pipeline(shape).run(image, smear=smear), pipeline().run(image)):
        assert removal.image.shape == image.shape
        assert removal.mask.shape == (height, width)


def test_stages_are_told_in_order() -> None:
    shape = strokes()
    told: list[tuple[str, float]] = []

    pipeline(shape).run(photo(12), on_stage=lambda name, progress: told.append((name, progress)))

    assert [name for name, _ in told] == ["detect", "restore"]
    assert all(0 <= progress <= 1 for _, progress in told)
    assert told == sorted(told, key=lambda item: item[1])


def test_a_mark_in_a_large_photo_is_unblended_in_the_photos_own_pixels() -> None:
    rng = np.random.default_rng(14)
    shape = cv2.resize(strokes(), (1920, 1440), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    clean = cv2.resize(photo(14), (1920, 1440), interpolation=cv2.INTER_CUBIC)
    clean = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8)
    marked = blend(clean, shape, opacity=0.4, colour=(255, 255, 255))

    removal = pipeline().run(marked, smear=shape > 0.4)

    inside = shape > 0.9
    grain = (removal.image.astype(float) - cv2.GaussianBlur(removal.image, (0, 0), 3))[inside].std()
    assert grain > 6  # of 12: painted from around it would be smooth
    assert error(removal.image, clean, shape) < 0.5 * error(marked, clean, shape)


def test_a_broad_smear_is_filled_from_around() -> None:
    clean = photo(15, height=480, width=640)
    smear = np.zeros(clean.shape[:2], bool)
    smear[156:324, 216:424] = True

    assert_taken_away(clean, np.s_[160:320, 220:420], smear, left=0.5)


@pytest.mark.parametrize("scale", [1, 4])
def test_every_one_of_very_many_strokes_is_removed(scale: int) -> None:
    clean = photo(16, height=480 * scale, width=640 * scale)
    shape = np.zeros(clean.shape[:2], np.float32)
    for top in range(20 * scale, 460 * scale, 40 * scale):
        for left in range(20 * scale, 620 * scale, 40 * scale):
            shape[top : top + 5 * scale, left : left + 12 * scale] = 1
    marked = blend(clean, shape, opacity=0.6, colour=(255, 255, 255))

    removal = pipeline().run(marked, smear=shape > 0.5)

    assert (removal.mask[shape > 0.5] > 0).mean() > 0.98
    assert error(removal.image, clean, shape) < 0.4 * error(marked, clean, shape)


def test_a_smear_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError):
        pipeline().run(photo(13), smear=np.ones((3, 3), bool))
