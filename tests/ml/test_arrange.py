"""Layouts, placing, backgrounds and stacking, on drawn pictures."""

from __future__ import annotations

import numpy as np
import pytest

from ml.errors import ShapeError
from ml.picture.arrange import LONGEST_SIDE_PX, Margins, compose, cover, harden, lay_out, place, spread_colours
from ml.picture.compositing import bounding_box, cut_out, over_colour
from tests.drawing import soft_photo

HUGE = 10**9


def subject(width: int, height: int, box: tuple[int, int, int, int]) -> np.ndarray:
    alpha = np.zeros((height, width), np.uint8)
    left, top, box_width, box_height = box
    alpha[top : top + box_height, left : left + box_width] = 255
    return alpha


def test_without_wishes_every_pixel_stays() -> None:
    photo = soft_photo(64, 48)

    layout = lay_out((64, 48), (10, 10, 20, 20), max_pixels=HUGE)

    assert place(photo, layout) is photo


def test_crop_copies_pixels_and_leaves_room_outside_the_photo_clear() -> None:
    photo = soft_photo(64, 48)

    layout = lay_out((64, 48), (0, 10, 20, 20), max_pixels=HUGE, crop=Margins(top=3, right=5, bottom=7, left=9))
    placed = place(photo, layout)

    assert placed.shape == (30, 34, 3)
    assert np.array_equal(placed[:, 9:], photo[7:37, :25])
    assert placed[:, :9].max() == 0


@pytest.mark.parametrize("max_pixels", [250_000, 100_000, 997])
@pytest.mark.parametrize("crop", [None, Margins(50, 50, 50, 50)])
def test_canvas_never_has_more_pixels_than_asked_for(max_pixels: int, crop: Margins | None) -> None:
    width, height = lay_out((1921, 1083), (500, 300, 700, 500), max_pixels=max_pixels, crop=crop).size_wh

    assert max_pixels * 0.9 < width * height <= max_pixels


def test_canvas_is_never_longer_than_a_file_can_be() -> None:
    layout = lay_out((10_000, 100), (0, 0, 10_000, 100), max_pixels=HUGE, crop=Margins(left=5_000, right=5_000))

    assert layout.size_wh[0] == LONGEST_SIDE_PX


@pytest.mark.parametrize("share", [0.1, 0.33, 0.8, 1.0])
@pytest.mark.parametrize("position", [(0.0, 0.0), (0.5, 0.5), (1.0, 0.25), None])
@pytest.mark.parametrize("box", [(10, 5, 20, 20), (30, 20, 30, 8), (0, 0, 64, 48), (55, 40, 8, 8)])
def test_subject_fills_its_share_and_stays_on_the_canvas(
    share: float, position: tuple[float, float] | None, box: tuple[int, int, int, int]
) -> None:
    alpha = subject(64, 48, box)

    layout = lay_out((64, 48), box, max_pixels=HUGE, share=share, position_xy=position)
    placed = place(alpha, layout)

    left, top, width, height = bounding_box(placed) or (0, 0, 0, 0)
    assert max(width / 64, height / 48) == pytest.approx(share, abs=0.06)
    assert share < 0.3 or width / height == pytest.approx(box[2] / box[3], rel=0.25)
    if position is not None:
        assert left == pytest.approx((64 - width) * position[0], abs=1.5)
        assert top == pytest.approx((48 - height) * position[1], abs=1.5)


def test_moving_copies_pixels() -> None:
    photo, box = soft_photo(65, 49), (10, 10, 20, 20)

    placed = place(photo, lay_out((65, 49), box, max_pixels=HUGE, position_xy=(0.5, 0.5)))

    assert np.array_equal(placed[4:, 12:], photo[:45, :53])


def test_empty_box_is_refused() -> None:
    with pytest.raises(ShapeError):
        lay_out((64, 48), (10, 10, 0, 5), max_pixels=HUGE)


def test_placing_shrinks_smoothly_and_exactly_where_the_layout_says() -> None:
    alpha = subject(640, 480, (160, 120, 320, 240))

    placed = place(alpha, lay_out((640, 480), (160, 120, 320, 240), max_pixels=64 * 48))

    assert placed.shape == (48, 64)
    assert bounding_box(placed) == (16, 12, 32, 24)


@pytest.mark.parametrize(("size_wh", "columns"), [((30, 30), (35, 65)), ((100, 30), (0, 100)), ((15, 15), (35, 65))])
def test_cover_cuts_evenly_and_never_distorts(size_wh: tuple[int, int], columns: tuple[int, int]) -> None:
    picture = np.zeros((30, 100, 3), np.uint8)
    picture[:, 35:65] = 255

    covered = cover(picture, size_wh)

    assert covered.shape == (size_wh[1], size_wh[0], 3)
    inside = picture[:, columns[0] : columns[1]]
    assert covered.mean() == pytest.approx(inside.mean(), abs=3)


def test_hard_alpha_keeps_a_soft_edge_and_nothing_else() -> None:
    alpha = np.zeros((200, 300), np.uint8)
    alpha[50:150, 50:150] = 200
    alpha[50:150, 200:260] = 60
    alpha[49, 50:150] = 90

    hard = harden(alpha)

    assert hard[60:140, 60:140].min() == 255
    assert hard[:, 190:].max() == 0
    assert hard[49, 60] == 90


def test_stacking_agrees_with_the_simple_compositors() -> None:
    photo = soft_photo(64, 48)
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))

    plain = compose(photo, alpha)
    on_blue = compose(photo, alpha, background=np.array([[[10, 20, 200, 255]]], np.uint8))

    assert np.abs(plain.astype(int) - cut_out(photo, alpha)).max() <= 1
    assert np.abs(on_blue[..., :3].astype(int) - over_colour(photo, alpha, (10, 20, 200))).max() <= 1
    assert on_blue[..., 3].min() == 255
    solid = alpha == 255
    assert np.array_equal(plain[solid][:, :3], photo[solid])


def test_shadow_lies_between_subject_and_background() -> None:
    photo = np.full((2, 3, 3), 200, np.uint8)
    alpha = np.array([[255, 0, 0]] * 2, np.uint8)
    shadow = np.full((2, 3), 128, np.uint8)

    alone = compose(photo, alpha, shadow=shadow)
    on_white = compose(photo, alpha, shadow=shadow, background=np.full((2, 3, 4), 255, np.uint8))

    assert alone[0].tolist() == [[200, 200, 200, 255], [0, 0, 0, 128], [0, 0, 0, 128]]
    assert on_white[0].tolist() == [[200, 200, 200, 255], [127, 127, 127, 255], [127, 127, 127, 255]]


def test_clear_pixels_carry_no_colour() -> None:
    assert compose(soft_photo(), np.zeros((48, 64), np.uint8)).max() == 0


def test_colours_spread_into_what_is_clear() -> None:
    picture = np.zeros((60, 200, 4), np.uint8)
    picture[20:40, 10:30] = (255, 0, 0, 255)
    picture[20:40, 170:190] = (0, 0, 255, 255)

    filled = spread_colours(picture)

    assert np.array_equal(filled[20:40, 10:30], picture[20:40, 10:30, :3])
    assert filled[30, 34, 0] > 200
    assert filled[30, 166, 2] > 200
    assert filled.max(axis=2).min() > 60
    assert spread_colours(np.zeros((5, 5, 4), np.uint8)).max() == 0
