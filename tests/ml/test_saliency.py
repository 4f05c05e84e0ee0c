"""What a saliency network sees and gives, with a session that remembers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.background.saliency_network import SaliencyNetwork
from ml.errors import ShapeError
from ml.picture.transforms import resize_alpha, resize_matte, shrink_or_grow, to_alpha
from ml.weights.catalogue import ISNET, U2NET
from ml.weights.specs import ModelSpec


class Recorder:
    device = "fake"

    def __init__(self, output: NDArray[np.float32]) -> None:
        self.output = output
        self.tensor = np.empty(0, np.float32)

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        self.tensor = tensor
        return self.output


def network(session: Recorder, spec: ModelSpec = ISNET, side_px: int = 32) -> SaliencyNetwork:
    return SaliencyNetwork(session, side_px=side_px, mean_rgb=spec.mean_rgb, std_rgb=spec.std_rgb)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ISNET, [(255 - 128) / 256, (0 - 128) / 256, (51 - 128) / 256]),
        (U2NET, [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]),
    ],
)
def test_network_sees_rgb_as_it_was_trained(spec: ModelSpec, expected: list[float]) -> None:
    session = Recorder(np.zeros((1, 1, 32, 32), np.float32))
    image = np.full((40, 70, 3), (255, 0, 51), np.uint8)

    network(session, spec).predict_native(image)

    assert session.tensor.shape == (1, 3, 32, 32)
    assert session.tensor.dtype == np.float32
    assert np.allclose(session.tensor[0].mean(axis=(1, 2)), expected, atol=1e-5)


def test_matte_has_the_images_size_and_the_networks_scale() -> None:
    output = np.full((1, 1, 32, 32), 0.3, np.float32)
    output[..., :16] = 1.2

    matte = network(Recorder(output)).predict(np.zeros((50, 90, 3), np.uint8))

    assert matte.shape == (50, 90)
    assert matte.dtype == np.float32
    assert matte[:, :30].min() > 0.9999
    assert matte.max() <= 1
    assert np.allclose(matte[:, 60:], 0.3, atol=1e-3), "the prediction was stretched"


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 4), (0, 5, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        network(Recorder(np.zeros((1, 1, 32, 32), np.float32))).predict(np.zeros(shape, np.uint8))


def test_shrinking_averages_even_where_the_other_axis_grows() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 1600), np.uint8)

    shrunk = shrink_or_grow(noise, (32, 64))

    assert shrunk.shape == (64, 32)
    assert shrunk[::8].std() < noise.std() / 5


def test_growing_stays_in_range_and_in_eight_bits_close_to_floats() -> None:
    matte = np.zeros((20, 20), np.float32)
    matte[5:15, 5:15] = 1

    grown = resize_matte(matte, (133, 97))
    alpha = resize_alpha(to_alpha(matte), (133, 97))

    assert 0 <= grown.min() <= grown.max() <= 1
    assert np.abs(alpha / 255 - grown).max() < 2 / 255
