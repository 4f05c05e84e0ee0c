"""How two maps become one, how edges follow the photo, and how far the result is trusted: on drawn pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.background import fusion
from ml.background.confidence import EMPTY_BELOW, clearness, confidence_of, looks_empty
from ml.background.fusion import fuse
from ml.errors import ShapeError
from ml.picture import refinement
from ml.picture.refinement import refine_edges
from ml.picture.subject import count_subjects, touches_border
from ml.picture.types import AlphaChannel, Matte, RgbImage


def disc(side: int, *, centre: tuple[float, float] = (0.5, 0.5), radius: float = 0.25) -> Matte:
    ys, xs = np.mgrid[0:side, 0:side] / side
    return ((xs - centre[0]) ** 2 + (ys - centre[1]) ** 2 < radius**2).astype(np.float32)


def photo_of(matte: Matte) -> RgbImage:
    return np.where(matte[..., None] > 0.5, np.uint8([200, 60, 40]), np.uint8([40, 90, 160]))


def test_where_both_agree_the_main_map_stays_bit_for_bit() -> None:
    main = disc(1024)
    judged = np.asarray(cv2.resize(main, (320, 320), interpolation=cv2.INTER_AREA), np.float32)
    main[500, 100:900] = 1  # a strand that the judge's grid cannot show

    fused = fuse(main, judged, photo_of(main))

    assert np.array_equal(fused, main)


def test_what_the_main_map_misses_comes_from_the_judge_with_the_photos_edge() -> None:
    truth = disc(1024)

    fused = fuse(np.zeros((1024, 1024), np.float32), disc(320), photo_of(truth))

    assert np.mean((fused > 0.5) != (truth > 0.5)) < 0.002


def test_what_the_judge_drops_goes_and_the_rest_stays() -> None:
    kept, dropped = disc(1024, centre=(0.3, 0.5), radius=0.15), disc(1024, centre=(0.75, 0.5), radius=0.15)

    fused = fuse(kept + dropped, disc(320, centre=(0.3, 0.5), radius=0.15), photo_of(kept + dropped))

    assert fused[dropped > 0].max() < 0.05
    assert fused[kept > 0].mean() > 0.99


def test_tiles_see_as_far_as_the_judges_edge_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = disc(1024, radius=0.3)
    grain = np.random.default_rng(1).integers(-20, 20, (1024, 1024, 3))
    photo = np.clip(photo_of(truth).astype(int) + grain, 0, 255).astype(np.uint8)
    main, judged = disc(1024, centre=(0.4, 0.4), radius=0.2), disc(320, radius=0.3)
    fused = fuse(main, judged, photo)
    monkeypatch.setattr(fusion, "TILE_PX", 1024)
    monkeypatch.setattr(fusion, "FLAT", -1.0)

    assert np.abs(fused - fuse(main, judged, photo)).max() < 1e-4


@pytest.fixture
def blurred() -> tuple[RgbImage, AlphaChannel, Matte]:
    truth = disc(800, radius=0.3)
    return photo_of(truth), np.asarray(cv2.GaussianBlur(truth * 255, (0, 0), 3), np.uint8), truth


def test_a_soft_edge_is_drawn_to_the_photos(blurred: tuple[RgbImage, AlphaChannel, Matte]) -> None:
    image, alpha, truth = blurred

    refined = refine_edges(image, alpha)

    before, after = (np.abs(a / 255 - truth).mean() for a in (alpha, refined))
    assert after < 0.9 * before
    untouched = (alpha == 0) | (alpha == 255)
    assert np.array_equal(refined[untouched], alpha[untouched])


def test_beyond_the_budget_the_enlarged_edge_stays(
    blurred: tuple[RgbImage, AlphaChannel, Matte], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refinement, "MAX_TILE_PIXELS", 0)
    image, alpha, _ = blurred

    assert np.array_equal(refine_edges(image, alpha), alpha)


def test_what_opencv_cannot_filter_keeps_its_edge(
    blurred: tuple[RgbImage, AlphaChannel, Matte], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise cv2.error("out of memory")

    monkeypatch.setattr(cv2.ximgproc, "guidedFilter", fail)
    image, alpha, _ = blurred

    assert np.array_equal(refine_edges(image, alpha), alpha)


def test_an_alpha_of_another_size_is_refused(blurred: tuple[RgbImage, AlphaChannel, Matte]) -> None:
    with pytest.raises(ShapeError):
        refine_edges(blurred[0], blurred[1][:-1])


def test_confidence_falls_with_haze_and_with_disagreement() -> None:
    clear, hazy, elsewhere = disc(320), disc(320) * 0.7 + 0.1, disc(320, centre=(0.8, 0.8), radius=0.15)

    sure = confidence_of(clear, clear, clear)

    assert sure > 0.95
    assert confidence_of(hazy, clear, clear) < sure - 0.1
    assert confidence_of(clear, clear, elsewhere) < sure - 0.05


def test_a_haze_and_a_dot_look_empty() -> None:
    haze = np.full((320, 320), 0.55, np.float32)
    haze[:, 40:] = 0.45

    assert clearness(haze) < EMPTY_BELOW
    assert looks_empty(haze)
    assert looks_empty(disc(320, radius=0.005))
    assert not looks_empty(disc(320, radius=0.05))


def test_border_and_pieces() -> None:
    whole = np.rint(disc(400) * 255).astype(np.uint8)
    cut = np.roll(whole, 150, axis=1)
    cut[:, :100] = 0
    pair = np.maximum(np.roll(whole // 1, -0), 0)
    pair = cv2.resize(pair, (200, 400))

    assert not touches_border(whole)
    assert touches_border(cut)
    assert count_subjects(whole) == 1
    assert count_subjects(np.hstack([pair, pair])) == 2
