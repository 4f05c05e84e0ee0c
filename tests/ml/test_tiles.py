"""Large pictures are worked on by several cores; what comes out is the same."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ml.picture import compositing, refinement
from ml.picture.tiles import LARGE_PIXELS, for_each_tile
from tests.drawing import soft_photo


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


def test_tiles_of_a_large_picture_run_beside_each_other() -> None:
    both = threading.Barrier(2, timeout=30)

    for_each_tile(range(4), lambda _: both.wait() and None, picture_pixels=LARGE_PIXELS)


def test_tiles_of_a_small_picture_stay_in_the_callers_thread() -> None:
    seen: list[int] = []

    for_each_tile(range(3), lambda _: seen.append(threading.get_ident()), picture_pixels=LARGE_PIXELS - 1)

    assert seen == [threading.get_ident()] * 3


def test_error_of_a_tile_is_the_callers() -> None:
    def work(tile: int) -> None:
        if tile == 2:
            raise ValueError("tile 2")

    with pytest.raises(ValueError, match="tile 2"):
        for_each_tile(range(4), work, picture_pixels=LARGE_PIXELS)


def test_pictures_come_out_the_same_on_one_core_and_on_two(monkeypatch: pytest.MonkeyPatch) -> None:
    image = soft_photo(640, 480)
    ramp = np.linspace(0, 255, 640, dtype=np.uint8)[None].repeat(480, 0)

    def both() -> tuple[np.ndarray, np.ndarray]:
        return refinement.refine_edges(image, ramp), compositing.cut_out(image, ramp)

    alone = both()
    monkeypatch.setattr("ml.picture.tiles.LARGE_PIXELS", 0)
    monkeypatch.setattr(compositing, "STRIP_PIXELS", 1 << 14)

    for one, other in zip(alone, both(), strict=True):
        assert np.array_equal(one, other)
