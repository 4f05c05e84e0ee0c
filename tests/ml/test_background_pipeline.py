"""The pipeline's rules, with a network that answers what a test tells it to."""

from __future__ import annotations

import numpy as np
import pytest

from ml.errors import ShapeError
from ml.pipelines.background import BackgroundPipeline
from ml.types import Matte, RgbImage


class Oracle:
    """A network that answers one map and remembers what it saw."""

    device = "fake"

    def __init__(self, matte: Matte) -> None:
        self._matte = matte
        self.seen: list[RgbImage] = []

    def predict_native(self, image: RgbImage) -> Matte:
        self.seen.append(image)
        return self._matte


def square(level: float = 1.0, around: float = 0.0) -> Matte:
    matte = np.full((128, 128), around, np.float32)
    matte[32:96, 32:96] = level
    return matte


def textured(height: int = 200, width: int = 400) -> RgbImage:
    image = np.full((height, width, 3), 30, np.uint8)
    image[:, width // 2 :] = 220
    return image


def dot() -> Matte:
    matte = np.zeros((128, 128), np.float32)
    matte[60:62, 60:63] = 1
    return matte


def pipeline(matte: Matte) -> BackgroundPipeline:
    return BackgroundPipeline(Oracle(matte), model_name="oracle", model_version="1")


def test_result_has_the_images_size_box_and_share() -> None:
    result = pipeline(square()).run(textured())

    assert result.alpha.shape == (200, 400)
    assert result.alpha.dtype == np.uint8
    assert not result.is_empty
    assert np.allclose(result.bbox_xywh, (100, 50, 200, 100), atol=4)
    assert result.area_ratio == pytest.approx(0.25, abs=0.01)
    assert result.confidence == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "matte",
    [
        pytest.param(np.zeros((128, 128), np.float32), id="nothing"),
        pytest.param(square(0.49), id="never sure"),
        pytest.param(dot(), id="a dot"),
        pytest.param(square(0.55, around=0.45), id="haze everywhere"),
    ],
)
def test_no_subject_is_empty_and_wholly_transparent(matte: Matte) -> None:
    result = pipeline(matte).run(textured())

    assert result.is_empty
    assert result.bbox_xywh is None
    assert result.area_ratio == 0
    assert not result.alpha.any()


def test_flat_photo_is_empty_whatever_the_network_dreams() -> None:
    result = pipeline(square()).run(np.full((100, 100, 3), 255, np.uint8))

    assert result.is_empty


def test_faint_map_is_not_stretched_into_a_subject() -> None:
    faint = square(0.2)

    assert pipeline(faint).run(textured()).is_empty


def test_opacity_bounds_the_result_and_hides_what_lies_under() -> None:
    oracle = Oracle(square())
    image = textured()
    opacity = np.full((200, 400), 255, np.uint8)
    opacity[:, :200] = 0
    opacity[80:120, 220:260] = 100

    result = BackgroundPipeline(oracle, model_name="oracle", model_version="1").run(image, opacity=opacity)

    assert (result.alpha <= opacity).all()
    assert result.alpha[100, 240] == 100
    assert result.alpha[100, 280] == 255
    assert (oracle.seen[0][:, :200] == 128).all()
    assert result.bbox_xywh[0] >= 200


def test_wholly_transparent_input_is_empty() -> None:
    assert pipeline(square()).run(textured(), opacity=np.zeros((200, 400), np.uint8)).is_empty


def test_confidence_falls_with_doubt() -> None:
    sure, unsure = (pipeline(square(level)).run(textured()).confidence for level in (0.99, 0.6))

    assert sure > 0.95
    assert unsure < 0.7


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError):
        pipeline(square()).run(np.zeros((5, 5), np.uint8))
    with pytest.raises(ShapeError):
        pipeline(square()).run(textured(), opacity=np.zeros((5, 5), np.uint8))
