"""From a matte to a picture, on drawn images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.errors import ShapeError
from ml.picture import compositing, foreground
from ml.picture.types import AlphaChannel, RgbImage

GREEN, RED = (20, 160, 40), (200, 30, 60)


def disc(side_px: int = 200, radius_px: float = 60, softness_px: float = 6) -> AlphaChannel:
    """A round alpha channel with a soft edge."""
    axis = np.arange(side_px) - side_px / 2
    distance = np.hypot(axis[:, None], axis[None])
    return (np.clip((radius_px - distance) / softness_px + 0.5, 0, 1) * 255).round().astype(np.uint8)


def blend(foreground: tuple[int, int, int], background: tuple[int, int, int], alpha: AlphaChannel) -> RgbImage:
    opacity = alpha[..., None] / 255
    return (np.array(foreground) * opacity + np.array(background) * (1 - opacity)).round().astype(np.uint8)


def test_edge_takes_the_subjects_colour_not_the_backgrounds() -> None:
    alpha = disc()
    photo = blend(RED, GREEN, alpha)

    estimated = compositing.estimate_foreground(photo, alpha)

    edge = (alpha > 12) & (alpha < 255)
    worst = np.abs(estimated[edge].astype(int) - RED).max()
    assert worst <= 4
    assert np.abs(photo[edge].astype(int) - RED).max() > 100, "the photo itself must carry the old background"


def test_solid_core_and_clear_pixels_stay_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    photo = rng.integers(0, 256, (300, 500, 3), np.uint8)
    alpha = np.zeros((300, 500), np.uint8)
    alpha[:200, 100:400] = disc(300)[:200]
    before = photo.copy()

    estimated = compositing.estimate_foreground(photo, alpha)

    sure = (alpha == 0) | (alpha == 255)
    assert np.array_equal(estimated[sure], before[sure])
    assert np.array_equal(photo, before), "the input was written to"
    assert not np.array_equal(estimated, before)


@pytest.mark.parametrize("shape_hw", [(1, 1), (1, 700), (700, 1), (3, 2), (257, 513)])
def test_foreground_of_any_size_and_softness(shape_hw: tuple[int, int]) -> None:
    photo = np.full((*shape_hw, 3), 90, np.uint8)

    estimated = compositing.estimate_foreground(photo, np.full(shape_hw, 128, np.uint8))

    assert np.abs(estimated.astype(int) - 90).max() <= 1


def test_foreground_knows_no_tile_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = disc(700, 300, 250)
    photo = np.random.default_rng(3).integers(0, 256, (700, 700, 3), np.uint8)
    tiled = compositing.estimate_foreground(photo, alpha)
    monkeypatch.setattr("ml.picture.foreground.TILE_PX", 1000)

    whole = compositing.estimate_foreground(photo, alpha)

    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_image_without_soft_pixels_is_given_back() -> None:
    photo = np.zeros((5, 5, 3), np.uint8)

    assert compositing.estimate_foreground(photo, np.full((5, 5), 255, np.uint8)) is photo


def test_cut_out_takes_nothing_of_the_background_along() -> None:
    photo = np.full((4, 6, 3), 77, np.uint8)
    alpha = np.array([[0, 1, 128, 254, 255, 0]] * 4, np.uint8)

    cut = compositing.cut_out(photo, alpha)

    assert np.array_equal(cut[..., 3], alpha)
    assert (cut[alpha == 0] == 0).all()
    assert (cut[alpha > 0][:, :3] == 77).all()


def test_over_colour_is_exact_in_every_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compositing, "STRIP_PIXELS", 300)
    rng = np.random.default_rng(2)
    photo, alpha = rng.integers(0, 256, (37, 100, 3), np.uint8), rng.integers(0, 256, (37, 100), np.uint8)
    alpha[0], alpha[1] = 0, 255
    opacity = alpha[..., None] / 255

    over = compositing.over_colour(photo, alpha, (255, 10, 0))

    expected = photo * opacity + np.array([255, 10, 0]) * (1 - opacity)
    assert np.abs(over - expected).max() <= 0.51
    assert (over[0] == (255, 10, 0)).all()
    assert np.array_equal(over[1], photo[1])


def test_mattes_of_another_size_are_refused() -> None:
    photo, alpha = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)

    for function in (compositing.cut_out, compositing.estimate_foreground):
        with pytest.raises(ShapeError, match=r"\(4, 4\)"):
            function(photo, alpha)


def test_solidify_leaves_an_edge_soft_and_no_veil() -> None:
    matte = disc(512, 150, 6).astype(np.float32) / 255
    matte[matte == 1] = 0.97
    matte[matte == 0] = 0.02

    solid = compositing.solidify(matte)

    assert solid[256, 256] == 1
    assert solid[0, 0] == 0
    assert ((solid > 0.1) & (solid < 0.9)).sum() > 1500
    assert np.abs(solid - matte).max() < 0.06


@pytest.mark.parametrize(("level", "expected"), [(0.6, 1.0), (0.3, 0.5), (0.12, 0.0)])
def test_solidify_decides_wide_grey_areas(level: float, expected: float) -> None:
    matte = np.zeros((512, 512), np.float32)
    matte[100:400, 100:400] = level

    assert compositing.solidify(matte)[250, 250] == pytest.approx(expected, abs=0.01)


def test_solidify_of_a_flat_map_is_flat() -> None:
    for level in (0.0, 0.04, 1.0):
        assert np.ptp(compositing.solidify(np.full((64, 64), level, np.float32))) == 0


def test_specks_go_and_strands_stay() -> None:
    alpha = disc(400, 120)
    alpha[5:9, 5:9] = 255  # dust
    alpha[300:320, 10:30] = 60  # faint patch
    alpha[10:100, 350:352] = 20  # haze under 10 %
    alpha[76:78, 200] = 255  # a strand two pixels off the rim

    clean = compositing.remove_specks(alpha)

    assert not clean[:60].any()
    assert not clean[295:345, :50].any()
    assert clean[76:78, 200].min() == 255
    assert np.array_equal(clean[100:300, 100:300], alpha[100:300, 100:300])


def test_of_pieces_between_dust_and_subject_the_opaque_stay() -> None:
    alpha = disc(400, 120)
    alpha[5:15, 5:15] = 255
    alpha[5:15, 380:390] = 100
    alpha[385:395, 5:15] = np.arange(100).reshape(10, 10) + 100  # 149 on average

    clean = compositing.remove_specks(alpha)

    assert clean[5:15, 5:15].all()
    assert not clean[5:15, 380:390].any()
    assert clean[385:395, 5:15].all()


def test_specks_are_found_in_large_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compositing, "SPECK_SEARCH_SIDE_PX", 256)
    alpha = disc(1000, 300)
    alpha[20:28, 20:28] = 255

    clean = compositing.remove_specks(alpha)

    assert not clean[:50, :50].any()
    assert np.array_equal(clean[100:], alpha[100:])


def test_nothing_visible_stays_nothing() -> None:
    assert not compositing.remove_specks(np.full((50, 50), 25, np.uint8)).any()


def test_binary_mask_knows_two_values() -> None:
    alpha = disc()

    mask = compositing.binary_mask(alpha)

    assert mask.dtype == np.uint8
    assert np.array_equal(mask, np.where(alpha >= 128, 255, 0))


def test_bounding_box_holds_what_is_visible() -> None:
    alpha = np.zeros((50, 80), np.uint8)
    alpha[10:21, 30:36] = 26
    alpha[0, 0] = 25

    assert compositing.bounding_box(alpha) == (30, 10, 6, 11)
    assert compositing.bounding_box(np.full((5, 5), 25, np.uint8)) is None


def test_crop_margin_may_leave_the_picture() -> None:
    picture = np.full((10, 10, 4), 9, np.uint8)

    cropped = compositing.crop(picture, (0, 2, 4, 8), margin_x_px=3, margin_y_px=1)

    assert cropped.shape == (10, 10, 4)
    assert (cropped[:, :3] == 0).all()
    assert (cropped[:9, 3:] == 9).all()
    assert (cropped[9] == 0).all()


@pytest.mark.parametrize("box", [(0, 0, 11, 1), (-1, 0, 2, 2), (3, 3, 0, 1), (5, 9, 1, 2)])
def test_crop_refuses_a_box_outside(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ShapeError, match="does not lie inside"):
        compositing.crop(np.zeros((10, 10), np.uint8), box)


@pytest.mark.parametrize(
    ("size_wh", "margin_xy", "expected"),
    [
        ((600, 400), (300, 200), (300, 200)),
        ((600, 400), (0, 0), (0, 0)),
        ((10_000, 10_000), (5_000, 5_000), (0, 0)),
        ((10_000, 100), (5_000, 50), (3_191, 31)),
        ((100, 16_383), (50, 8_000), (0, 0)),
        ((100, 200), (500, 0), (500, 0)),
        ((20_000, 20_000), (0, 0), (0, 0)),
        ((20_000, 20_000), (9, 9), (0, 0)),
    ],
)
def test_margins_fit_into_a_largest_picture(
    size_wh: tuple[int, int], margin_xy: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert compositing.fitting_margins(size_wh, margin_xy, max_pixels=100_000_000) == expected


@pytest.mark.parametrize("size_wh", [(8_000, 8_000), (9_000, 5_000), (10_000, 9_999), (4_000, 10_000)])
def test_margins_take_the_room_that_is_left(size_wh: tuple[int, int]) -> None:
    wished = size_wh[0] // 2, size_wh[1] // 2

    x, y = compositing.fitting_margins(size_wh, wished, max_pixels=100_000_000)

    pixels = (size_wh[0] + 2 * x) * (size_wh[1] + 2 * y)
    assert 99_900_000 < pixels <= 100_000_000
    assert x / wished[0] == pytest.approx(y / wished[1], abs=0.001)


def test_foreground_works_only_near_the_soft_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs grows with the length of the edge, not with the photo."""
    alpha = disc(1000, 350, 12)
    pixels = _blurred_pixels(monkeypatch)

    compositing.estimate_foreground(blend(RED, GREEN, alpha), alpha)

    assert len(pixels) > 8
    assert sum(pixels) < 0.35 * alpha.size


def test_foreground_of_a_large_photo_that_is_soft_all_over_is_blurred_on_fewer_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A window 59 px wide around each tile made 100 megapixels cost 14 s."""
    alpha = np.full((400, 9000), 128, np.uint8)
    photo = blend(RED, GREEN, alpha)
    pixels = _blurred_pixels(monkeypatch)

    estimated = compositing.estimate_foreground(photo, alpha)

    assert sum(pixels) < 0.8 * alpha.size
    assert np.abs(estimated.astype(int) - photo).max() <= 1, "nothing tells what belongs to whom"


def _blurred_pixels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pixels are blurred from now on, tile by tile."""
    blur, pixels = foreground._blur_narrow, []

    def counting(photo: NDArray[np.float32], *rest: Any, **named: Any) -> Any:
        pixels.append(photo.shape[0] * photo.shape[1])
        return blur(photo, *rest, **named)

    monkeypatch.setattr(foreground, "_blur_narrow", counting)
    return pixels


def test_estimate_does_not_depend_on_what_lies_far_from_the_edge() -> None:
    alpha = np.zeros((900, 1300), np.uint8)
    alpha[330:530, 600:800] = disc()
    photo = np.random.default_rng(5).integers(0, 256, (900, 1300, 3), np.uint8)
    other = photo.copy()
    other[:100] = other[780:] = 255
    other[:, :380] = other[:, 1000:] = 0

    first, second = (compositing.estimate_foreground(picture, alpha) for picture in (photo, other))

    soft = (alpha > 0) & (alpha < 255)
    assert np.array_equal(first[soft], second[soft])
