"""How the clothing network looks at a part of a photo, and how its answer finds the way back."""

from __future__ import annotations

import numpy as np
import pytest

from ml.clothing.network import BODY, CHANNELS, NOTHING, STRIDE_PX, ClothingNetwork, View, look, unlook, view_of


@pytest.mark.parametrize("box", [(0, 0, 100, 300), (10, 20, 310, 60), (0, 0, 7, 900), (5, 5, 6, 6), (0, 0, 4000, 3000)])
def test_view_keeps_proportions_and_the_budget(box: tuple[int, int, int, int]) -> None:
    view = view_of(box, pixels=100_000, margin=0.06)

    rows, columns = view.shape_hw
    assert rows % STRIDE_PX == 0
    assert columns % STRIDE_PX == 0
    assert 0.6 * 100_000 < rows * columns < 1.5 * 100_000
    x0, y0, x1, y1 = box
    assert view.left <= x0
    assert view.top <= y0
    assert view.left + columns / view.scale >= x1
    assert view.top + rows / view.scale >= y1


def test_beyond_the_photo_is_grey() -> None:
    seen = look(np.zeros((10, 10, 3), np.uint8), View((32, 32), -11, -11, 1.0))

    assert (seen[:10] == 127).all()
    assert (seen[12:20, 12:20] == 0).all()


@pytest.mark.parametrize("scale", [0.11, 0.5, 1.0, 2.3])
def test_what_was_seen_goes_back_to_its_place(scale: float) -> None:
    height, width = round(300 / scale), round(200 / scale)
    rows, columns = np.mgrid[:height, :width]
    ramp = np.rint(255 * np.stack([(columns + 0.5) / width, (rows + 0.5) / height, 0 * rows], 2)).astype(np.uint8)
    box = (width // 8, height // 8, width // 2, height // 2)
    view = view_of(box, pixels=256 * 256, margin=0.1)

    seen = look(ramp, view)
    halved = seen.reshape(seen.shape[0] // 2, 2, seen.shape[1] // 2, 2, 3).mean((1, 3), dtype=np.float32)
    size_wh = 60, 90
    back = unlook(halved.transpose(2, 0, 1), view, box_xyxy=box, size_wh=size_wh)

    for channel, (start, stop, count) in enumerate(
        ((box[0] / width, box[2] / width, 60), (box[1] / height, box[3] / height, 90))
    ):
        wanted = 255 * (start + (np.arange(count) + 0.5) / count * (stop - start))
        found = back[channel].mean(axis=channel)
        np.testing.assert_allclose(found[3:-3], wanted[3:-3], atol=2.5)


class LeftIsTops:
    """Stands in for the session: what lies left of the middle of the view is tops."""

    device = "cpu"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, tensor: np.ndarray) -> np.ndarray:
        self.runs += 1
        _, _, rows, columns = tensor.shape
        shares = np.zeros((1, CHANNELS, rows // 2, columns // 2), np.float32)
        shares[:, 0, :, : columns // 4] = 1
        shares[:, NOTHING, :, columns // 4 :] = 1
        return shares


def test_careful_look_is_the_mean_of_the_view_and_its_mirror() -> None:
    session, photo = LeftIsTops(), np.zeros((64, 64, 3), np.uint8)
    network, view = ClothingNetwork(session), View((64, 64), 0, 0, 1.0)

    quick, careful = network.glance(photo, view), network.predict(photo, view)

    assert session.runs == 3
    assert (quick[0, :, :16] == 1).all()
    assert (careful[0] == 0.5).all()
    assert (careful[BODY] == 0).all()
