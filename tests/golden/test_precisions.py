"""Every precision that this processor has gives nearly the same picture. Needs `python -m ml.weights fetch`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ml.errors import WeightsMissingError
from ml.picture.subject import FoundSubject
from ml.sessions.precision import Wish, supported
from tests.golden.networks import models

PHOTOS = [Path(__file__).parents[2] / "docs" / "demo.jpg", *sorted((Path(__file__).parent / "photos").glob("*.jpg"))]

pytestmark = pytest.mark.golden


def cut(precision: Wish) -> list[FoundSubject]:
    try:
        pipeline = models(precision=precision).background()
    except WeightsMissingError as error:
        pytest.skip(str(error))
    return [pipeline.run(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)) for path in PHOTOS]


@pytest.fixture(scope="module")
def in_f32() -> list[FoundSubject]:
    return cut("f32")


@pytest.mark.parametrize("precision", [name for name in supported() if name != "f32"])
def test_precision_is_not_seen(precision: Wish, in_f32: list[FoundSubject]) -> None:
    found = cut(precision)

    assert not all(np.array_equal(one.alpha, other.alpha) for one, other in zip(found, in_f32, strict=True)), (
        "it is f32"
    )
    assert [one.area_ratio > 0 for one in found] == [one.area_ratio > 0 for one in in_f32]
    overlaps = [overlap(one.alpha, other.alpha) for one, other in zip(found, in_f32, strict=True)]
    assert np.mean(overlaps) >= 0.995, overlaps
    assert min(overlaps) >= 0.98, overlaps
    assert max(abs(one.confidence - other.confidence) for one, other in zip(found, in_f32, strict=True)) <= 0.02


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two alphas, soft pixels by their share."""
    return float(np.minimum(one, other).sum(dtype=np.float64) / np.maximum(one, other).sum(dtype=np.float64))
