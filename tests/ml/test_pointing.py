"""Which mask is meant and what its edge becomes, with a network that draws its masks: no weights needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest

from ml.errors import ShapeError
from ml.pointing.object_edges import soften
from ml.pointing.pipeline import PointingPipeline, Prompts, SeenPhoto

SIDE = 256
PERSON, SHIRT, DOG = (40, 40, 120, 220), (50, 100, 110, 160), (160, 140, 230, 220)
ON_SHIRT, ON_HEAD, ON_DOG, ON_FLOOR = (80.0, 130.0), (80.0, 60.0), (195.0, 180.0), (20.0, 240.0)


def box_mask(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@dataclass
class Drawn:
    """An embedding of nothing."""

    features: Any
    shape_hw: tuple[int, int]


class Scene:
    """Stands in for SAM before a person with a shirt and a dog; it rather means the shirt than the person."""

    device = "cpu"

    def __init__(self, joint: np.ndarray | None = None, *, joint_iou: float = 0.95) -> None:
        self.joint, self.joint_iou = joint, joint_iou
        self.asked: list[int] = []

    def embed(self, image: Any) -> Drawn:
        return Drawn(np.zeros(4, np.float32), image.shape[:2])

    def segment(self, embedding: Drawn, *, points_xy: Any, labels: Any, box_xyxy: Any, is_ambiguous: bool) -> Any:
        self.asked.append(len(points_xy))
        if box_xyxy is not None:
            x0, y0, x1, y1 = np.asarray(box_xyxy, int)
            return logits(box_mask((x0, y0, x1, y1))), np.array([0.7])
        if not is_ambiguous:
            return logits(self.joint if self.joint is not None else self._at(points_xy[0])[2]), np.array(
                [self.joint_iou]
            )
        return np.concatenate([logits(mask) for mask in self._at(points_xy[0])]), np.array([0.9, 0.85, 0.8])

    def _at(self, point: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y = point
        for inner, outer in ((SHIRT, PERSON), (DOG, DOG)):
            if outer[0] <= x < outer[2] and outer[1] <= y < outer[3]:
                is_inner = inner[0] <= x < inner[2] and inner[1] <= y < inner[3]
                return box_mask(inner if is_inner else outer), box_mask(outer), box_mask(outer)
        return (~box_mask(PERSON, DOG),) * 3


def logits(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 3, -3).astype(np.float32)[None]


def cut(scene: Scene, prompts: Prompts, *, subject: np.ndarray | None = None, **options: Any) -> Any:
    matte = np.zeros((SIDE, SIDE), np.float32) if subject is None else subject.astype(np.float32)
    pipeline = PointingPipeline(scene, matte=lambda _: matte, model_name="scene", model_version="1")
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    image[box_mask(PERSON, DOG)] = 60
    return pipeline.run(image, prompts, look=pipeline.look(image), **options)


def iou(result: Any, mask: np.ndarray) -> float:
    found = result.alpha > 127
    return np.count_nonzero(found & mask) / np.count_nonzero(found | mask)


def test_click_without_a_subject_means_what_sam_trusts_most() -> None:
    result = cut(Scene(), Prompts(keep_xy=(ON_SHIRT,)))

    assert iou(result, box_mask(SHIRT)) > 0.9
    assert result.confidence == pytest.approx(0.9)


def test_click_on_the_subjects_shirt_means_the_subject() -> None:
    result = cut(Scene(), Prompts(keep_xy=(ON_SHIRT,)), subject=box_mask(PERSON))

    assert iou(result, box_mask(PERSON)) > 0.97
    assert result.confidence == pytest.approx(0.85)


def test_click_beside_the_subject_gives_that_thing_alone() -> None:
    result = cut(Scene(), Prompts(keep_xy=(ON_DOG,)), subject=box_mask(PERSON))

    assert iou(result, box_mask(DOG)) > 0.95
    assert result.bbox_xywh == pytest.approx((160, 140, 70, 80), abs=2)
    assert result.area_ratio == pytest.approx(70 * 80 / SIDE**2, rel=0.05)


def test_border_that_cuts_the_pointed_thing_is_told() -> None:
    whole = cut(Scene(), Prompts(box_xyxy=PERSON))
    cut_off = cut(Scene(), Prompts(box_xyxy=(100, 40, SIDE, 200)))

    assert not whole.touches_border
    assert cut_off.touches_border


def test_points_that_one_mask_does_not_cover_are_united() -> None:
    result = cut(Scene(joint=box_mask(PERSON)), Prompts(keep_xy=(ON_HEAD, ON_DOG)))

    assert iou(result, box_mask(PERSON, DOG)) > 0.95


def test_points_that_one_mask_covers_are_asked_once() -> None:
    scene = Scene(joint=box_mask(PERSON, DOG))

    cut(scene, Prompts(keep_xy=(ON_HEAD, ON_DOG)))

    assert scene.asked == [2]


def test_mask_of_all_that_lies_between_the_points_is_not_believed() -> None:
    everything = box_mask((30, 30, 240, 230))

    result = cut(Scene(joint=everything, joint_iou=0.8), Prompts(keep_xy=(ON_HEAD, ON_DOG)))

    assert iou(result, box_mask(PERSON, DOG)) > 0.95


def test_box_keeps_its_own_and_points_beside_it_add() -> None:
    alone = cut(Scene(), Prompts(box_xyxy=PERSON))
    more = cut(Scene(), Prompts(keep_xy=(ON_DOG,), box_xyxy=PERSON))

    assert iou(alone, box_mask(PERSON)) > 0.97
    assert alone.confidence == pytest.approx(0.7)
    assert iou(more, box_mask(PERSON, DOG)) > 0.95


def test_dropped_point_takes_its_thing_away() -> None:
    both = Prompts(drop_xy=(ON_DOG,), box_xyxy=(30, 30, 240, 230))

    result = cut(Scene(), both)

    assert result.alpha[180, 195] == 0
    assert result.alpha[130, 80] == 255


def test_dropped_point_never_takes_a_kept_one_with_it() -> None:
    """SAM means the person by both, so only the place itself goes."""
    result = cut(Scene(), Prompts(keep_xy=(ON_SHIRT,), drop_xy=(ON_HEAD,)))

    assert result.alpha[130, 80] == 255
    assert result.alpha[60, 80] == 0


def test_prompts_are_in_the_photos_pixels_whatever_the_network_sees() -> None:
    scene = Scene()
    pipeline = PointingPipeline(
        scene, matte=lambda _: np.zeros((8, 8), np.float32), model_name="scene", model_version="1"
    )
    large = np.full((2 * SIDE, 4 * SIDE, 3), 128, np.uint8)
    look = SeenPhoto(Drawn(np.zeros(4, np.float32), (SIDE, SIDE)), np.zeros((SIDE, SIDE), np.uint8))

    result = pipeline.run(large, Prompts(keep_xy=((4 * ON_DOG[0], 2 * ON_DOG[1]),)), look=look)

    assert result.alpha.shape == (2 * SIDE, 4 * SIDE)
    inside = result.alpha > 127
    assert [np.argmax(inside.any(0)), np.argmax(inside.any(1))] == pytest.approx([4 * 160, 2 * 140], abs=4)
    assert [inside.any(0).sum(), inside.any(1).sum()] == pytest.approx([4 * 70, 2 * 80], abs=8)


def test_point_on_the_far_border_is_on_the_last_pixel() -> None:
    assert not cut(Scene(), Prompts(keep_xy=((float(SIDE), float(SIDE)),))).is_empty


def test_transparency_that_the_photo_had_stays() -> None:
    opacity = np.full((SIDE, SIDE), 255, np.uint8)
    opacity[:, :80] = 0

    result = cut(Scene(), Prompts(box_xyxy=PERSON), opacity=opacity)
    gone = cut(Scene(), Prompts(box_xyxy=PERSON), opacity=np.zeros_like(opacity))

    assert result.alpha[:, :80].max() == 0
    assert result.alpha[130, 100] == 255
    assert gone.is_empty
    assert gone.bbox_xywh is None


def test_crumbs_and_moth_holes_go_unless_pointed_at() -> None:
    mask = box_mask(PERSON, (200, 30, 212, 42))
    mask[100:103, 80:83] = False

    plain = cut(Scene(joint=mask), Prompts(keep_xy=(ON_HEAD, ON_SHIRT)))
    pointed = cut(Scene(joint=mask), Prompts(keep_xy=(ON_HEAD, (206.0, 36.0))))

    assert plain.alpha[36, 206] == 0
    assert plain.alpha[101, 81] == 255
    assert pointed.alpha[36, 206] > 200


def test_hole_that_the_subject_fills_is_none_and_one_that_it_has_too_stays() -> None:
    hole = (60, 60, 90, 90)
    mask = box_mask(PERSON) & ~box_mask(hole)
    scene = Scene(joint=mask)
    click = Prompts(keep_xy=(ON_SHIRT, (80.0, 200.0)))

    filled = cut(scene, click, subject=box_mask(PERSON))
    open_ = cut(scene, click, subject=mask)

    assert filled.alpha[75, 75] == 255
    assert open_.alpha[75, 75] == 0


def test_ground_between_the_subjects_parts_leaves_an_uncertain_box() -> None:
    subject = box_mask(PERSON, DOG)

    result = cut(Scene(), Prompts(box_xyxy=(30, 30, 240, 230)), subject=subject)

    assert iou(result, subject) > 0.97


def test_nothing_to_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="keep"):
        Prompts(drop_xy=(ON_DOG,))


def test_edge_is_the_mattes_where_it_has_one() -> None:
    """A soft edge a pixel inside SAM's hard one, and wisps beyond it."""
    mask = box_mask(PERSON)
    matte = np.zeros((SIDE, SIDE), np.float32)
    matte[41:219, 41:119] = 1
    matte[110:150:4, 117:123] = 1
    matte = np.round(cv2.GaussianBlur(matte, (0, 0), 0.6) * 255).astype(np.uint8)

    alpha = soften(np.full((SIDE, SIDE, 3), 128, np.uint8), mask, matte)

    assert np.abs(alpha[100:160].astype(int) - matte[100:160]).max() <= 10


def test_edge_is_the_photos_where_the_matte_sees_no_object_or_more_than_it() -> None:
    image = np.full((SIDE, SIDE, 3), 200, np.uint8)
    image[37:223, 37:123] = 40  # the thing itself is 3 px larger than SAM's mask on each side
    mask = box_mask((39, 39, 121, 221))

    for matte in (np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 255, np.uint8)):
        alpha = soften(image, mask, matte)
        assert alpha[130, 60] == 255
        assert alpha[130, 150] == 0
        assert 37 <= np.argmax(alpha[130] > 127) <= 39


def test_border_of_the_photo_is_no_edge() -> None:
    mask = box_mask((0, 0, 100, SIDE))

    alpha = soften(np.full((SIDE, SIDE, 3), 128, np.uint8), mask, np.zeros((SIDE, SIDE), np.uint8))

    assert alpha[0, :90].min() == 255
    assert alpha[:, 0].min() == 255


def test_empty_mask_and_wrong_sizes() -> None:
    image, matte = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)

    assert soften(image, np.zeros((8, 8), bool), matte).max() == 0
    with pytest.raises(ShapeError):
        soften(image, np.zeros((8, 8), bool), matte[:4])
