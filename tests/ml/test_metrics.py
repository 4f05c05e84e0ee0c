"""The measures of a matte, on cases small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ml.errors import ShapeError
from ml.evaluation import metrics
from ml.picture.types import Matte

EVERY = (
    metrics.mean_absolute_error,
    metrics.sad,
    metrics.iou,
    metrics.precision_recall,
    metrics.boundary_iou,
    metrics.curves,
    metrics.s_measure,
    metrics.gradient_error,
)


def matte(*rows: list[float]) -> Matte:
    return np.array(rows, np.float32)


def square(side: int, left: int, right: int) -> Matte:
    """A white square from `left` to `right` (excluded) on both axes."""
    out = np.zeros((side, side), np.float32)
    out[left:right, left:right] = 1
    return out


def test_absolute_errors_are_the_mean_and_the_sum_in_thousands() -> None:
    ours, truth = matte([0, 0.5], [1, 1]), matte([0, 1], [1, 0])

    assert metrics.mean_absolute_error(ours, truth) == pytest.approx(1.5 / 4)
    assert metrics.sad(ours, truth) == pytest.approx(0.0015)


def test_overlap_counts_pixels_above_a_half() -> None:
    ours, truth = matte([0.6, 0.9, 0.5, 0.1]), matte([1, 0.4, 0.7, 0])

    # Ours says 1 1 0 0, the truth 1 0 1 0: one pixel of three.
    assert metrics.iou(ours, truth) == pytest.approx(1 / 3)
    assert metrics.precision_recall(ours, truth) == pytest.approx((1 / 2, 1 / 2))


def test_precision_and_recall_are_not_mixed_up() -> None:
    ours, truth = matte([1, 1, 1, 1]), matte([1, 0, 0, 0])

    assert metrics.precision_recall(ours, truth) == (0.25, 1)


def test_two_empty_masks_agree() -> None:
    empty = np.zeros((4, 4), np.float32)

    assert metrics.iou(empty, empty) == 1
    assert metrics.boundary_iou(empty, empty) == 1
    assert metrics.precision_recall(empty, empty) == (1, 1)


def test_boundary_iou_sees_only_the_edge() -> None:
    # A diagonal of 50 * sqrt(2) = 70.7 px makes a band of 1 px: rings of 20 and 18 px sides.
    truth, ours = square(50, 10, 30), square(50, 11, 29)

    rings_apart = metrics.boundary_iou(ours, truth)
    half_the_ring = metrics.boundary_iou(ours, truth, band_share=0.03)  # 2 px: rings overlap in 18^2 - 16^2 = 68

    assert metrics.iou(ours, truth) == pytest.approx(18 * 18 / 400)
    assert rings_apart == 0
    assert half_the_ring == pytest.approx(68 / ((400 - 256) + (324 - 196) - 68))


def test_boundary_runs_along_the_images_border_too() -> None:
    whole = np.ones((10, 10), np.float32)
    holed = whole.copy()
    holed[4:6, 4:6] = 0  # the band of 1 px: 36 at the border in both, 12 around the hole

    assert metrics.boundary_iou(holed, whole) == pytest.approx(36 / 48)


def test_curves_and_max_f_at_each_threshold() -> None:
    ours, truth = matte([1, 128 / 255, 64 / 255, 0]), matte([1, 1, 0, 0])

    found = metrics.curves(ours, truth)

    assert found.precision.shape == found.recall.shape == (255,)
    assert found.precision[[0, 63, 64, 127, 128, 254]] == pytest.approx([2 / 3, 2 / 3, 1, 1, 1, 1])
    assert found.recall[[0, 63, 64, 127, 128, 254]] == pytest.approx([1, 1, 1, 1, 0.5, 0.5])
    assert metrics.max_f(found) == pytest.approx(1)


def test_max_f_weighs_precision_by_three_tenths() -> None:
    half_right = metrics.curves(matte([1, 1]), matte([1, 0]))

    assert metrics.max_f(half_right) == pytest.approx(1.3 * 0.5 * 1 / (0.3 * 0.5 + 1))


def test_s_measure_is_one_for_the_truth_itself() -> None:
    truth = square(20, 4, 13)

    assert metrics.s_measure(truth, truth) == pytest.approx(1)


def test_s_measure_of_a_flat_guess() -> None:
    # Everything 0.5 against a half-white image. Object: 2 * 0.5 / (0.25 + 1) = 0.8 on both sides.
    # Region: the cut at the centre of mass leaves two white columns and two black ones, flat against flat: 1.
    guess, truth = np.full((4, 4), 0.5, np.float32), matte(*[[1, 1, 0, 0]] * 4)

    assert metrics.s_measure(guess, truth) == pytest.approx(0.5 * 0.8 + 0.5 * 1)


def test_s_measure_of_a_chequered_corner() -> None:
    # Object: inside, mean 0.5 and deviation sqrt(4 * 0.25 / 3); outside all right.
    # Region: the cut is around the corner's four pixels; those have no covariance with a flat truth: 0, the others 1.
    ours = matte([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    truth = matte([1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    inside = 2 * 0.5 / (0.5**2 + 1 + math.sqrt(1 / 3))

    assert metrics.s_measure(ours, truth) == pytest.approx(0.5 * (0.25 * inside + 0.75) + 0.5 * 0.75)


def test_s_measure_without_a_subject_is_the_share_that_agrees() -> None:
    quarter = np.full((3, 3), 0.25, np.float32)

    assert metrics.s_measure(quarter, np.zeros((3, 3), np.float32)) == pytest.approx(0.75)
    assert metrics.s_measure(quarter, np.ones((3, 3), np.float32)) == pytest.approx(0.25)


def test_s_measure_prefers_the_right_shape_to_the_same_error_elsewhere() -> None:
    truth = square(40, 10, 30)
    eroded, displaced = square(40, 11, 29), np.roll(square(40, 11, 29), 8, axis=0)

    assert metrics.s_measure(eroded, truth) > metrics.s_measure(displaced, truth) + 0.1


def test_gradient_error_of_a_step_against_nothing() -> None:
    step = np.zeros((30, 40), np.float32)
    step[:, 20:] = 1
    # Along a row the response is the running sum of the derivative filter, times the sum of the other, over the norms.
    places = np.arange(-4, 5)
    bell = np.exp(-(places**2) / (2 * 1.4**2))
    slope = places * bell
    response = np.cumsum(slope) * bell.sum() / np.linalg.norm(bell) / np.linalg.norm(slope)

    error = metrics.gradient_error(step, np.zeros_like(step))

    assert error == pytest.approx(30 * np.square(response).sum() / 1000, rel=1e-4)
    assert metrics.gradient_error(step, step) == pytest.approx(0, abs=1e-9)


def test_gradient_error_sees_a_lost_edge_but_no_level() -> None:
    grey, white = np.full((9, 9), 0.5, np.float32), np.ones((9, 9), np.float32)

    assert metrics.gradient_error(grey, white) == pytest.approx(0, abs=1e-9)
    assert math.isclose(metrics.mean_absolute_error(grey, white), 0.5)


@pytest.mark.parametrize("measure", EVERY)
@pytest.mark.parametrize(
    ("ours", "truth"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32)),
        (np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float64)),
        (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)),
        (np.zeros((2, 2, 1), np.float32), np.zeros((2, 2, 1), np.float32)),
    ],
)
def test_what_is_no_pair_of_mattes_is_refused(measure: object, ours: Matte, truth: Matte) -> None:
    with pytest.raises(ShapeError):
        measure(ours, truth)
