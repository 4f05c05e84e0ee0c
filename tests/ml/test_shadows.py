"""Where shadows fall, and that they need the room that they say they need."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ml.picture.arrange import Margins
from ml.picture.shadows import drop_shadow, ground_shadow, room_for_drop, room_for_ground

BOX = (100, 60, 200, 100)


def table() -> np.ndarray:
    """A top on two legs, 200 x 100 at (100, 60) on 400 x 240."""
    alpha = np.zeros((240, 400), np.uint8)
    alpha[60:90, 100:300] = 255
    alpha[90:160, 110:120] = 255
    alpha[90:160, 280:290] = 255
    return alpha


def middle_of(dark: np.ndarray) -> tuple[float, float]:
    ys, xs = np.mgrid[0 : dark.shape[0], 0 : dark.shape[1]]
    return float((xs * dark).sum() / dark.sum()), float((ys * dark).sum() / dark.sum())


def test_drop_shadow_is_the_shape_moved_right_and_down() -> None:
    alpha = table()

    dark = drop_shadow(alpha, BOX, opacity=1.0)

    x, y = middle_of(alpha)
    dark_x, dark_y = middle_of(dark)
    assert 1 < dark_x - x < 6
    assert 1 < dark_y - y < 8
    assert dark.sum() == pytest.approx(alpha.sum(), rel=0.05)


def test_ground_shadow_lies_at_the_feet_and_nowhere_else() -> None:
    dark = ground_shadow(table(), BOX, opacity=1.0)

    assert dark[:130].max() < 20
    assert dark[157:162, 112:118].mean() > 1.2 * dark[157:162, 195:205].mean() > 120
    x, y = middle_of(dark)
    assert x == pytest.approx(200, abs=4)
    assert y == pytest.approx(160, abs=5)


def test_what_hangs_above_the_ground_casts_nothing_there() -> None:
    alpha = table()
    alpha[90:140, 200:210] = 255  # a cloth that hangs down

    assert np.array_equal(ground_shadow(alpha, BOX, opacity=1.0), ground_shadow(table(), BOX, opacity=1.0))


@pytest.mark.parametrize("draw", [drop_shadow, ground_shadow])
def test_opacity_is_that_of_the_darkest_place(draw: Callable[..., np.ndarray]) -> None:
    assert draw(table(), BOX, opacity=0.0).max() == 0
    assert draw(table(), BOX, opacity=0.4).max() <= 0.4 * 255 + 2
    assert draw(table(), BOX, opacity=1.0).max() > 200


@pytest.mark.parametrize(("draw", "room"), [(drop_shadow, room_for_drop), (ground_shadow, room_for_ground)])
def test_shadow_fades_out_within_its_room(draw: Callable[..., np.ndarray], room: Callable[..., Margins]) -> None:
    dark, margins = draw(table(), BOX, opacity=1.0), room(BOX)
    left, top, width, height = BOX
    inside = np.zeros_like(dark)
    cv2.rectangle(
        inside,
        (round(left - margins.left), round(top - margins.top)),
        (round(left + width + margins.right), round(top + height + margins.bottom)),
        255,
        cv2.FILLED,
    )

    assert dark[inside == 0].max() < 16


@pytest.mark.parametrize("draw", [drop_shadow, ground_shadow])
def test_shadow_does_not_depend_on_the_pictures_size(draw: Callable[..., np.ndarray]) -> None:
    large = np.repeat(np.repeat(table(), 6, axis=0), 6, axis=1)

    dark = draw(large, tuple(6 * side for side in BOX), opacity=1.0)

    small = cv2.resize(dark, (400, 240), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small - draw(table(), BOX, opacity=1.0)).mean() < 4


@pytest.mark.parametrize("draw", [drop_shadow, ground_shadow])
@pytest.mark.parametrize("size_wh", [(1, 1), (1, 400), (400, 1)])
def test_any_picture_has_a_shadow(draw: Callable[..., np.ndarray], size_wh: tuple[int, int]) -> None:
    width, height = size_wh

    assert draw(np.full((height, width), 255, np.uint8), (0, 0, width, height), opacity=0.5).shape == (height, width)
