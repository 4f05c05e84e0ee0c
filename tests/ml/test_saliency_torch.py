"""Networks in torch and the weights of their ONNX files, without weights: shapes, order and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from ml.background.saliency_torch_network import BUILDERS, build  # noqa: E402
from ml.errors import WeightsMismatchError  # noqa: E402
from ml.sessions.onnx_weights import Convolution, convolutions_of  # noqa: E402
from tests.ml.tiny_onnx import tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def weights() -> list[Convolution]:
    """Weights that fit u2netp, drawn at random."""
    rng = np.random.default_rng(0)
    with torch.device("meta"):
        parts = [part for part in BUILDERS["u2netp"]().modules() if isinstance(part, torch.nn.Conv2d)]
    return [
        Convolution(
            rng.normal(0, 0.05, tuple(part.weight.shape)).astype(np.float16),
            rng.normal(0, 0.05, part.out_channels).astype(np.float16),
            strides=part.stride,
            dilations=part.dilation,
            pads=part.padding * 2,
        )
        for part in parts
    ]


@pytest.mark.parametrize("side", [64, 70])
def test_map_has_the_images_size_and_range(weights: list[Convolution], side: int) -> None:
    with torch.inference_mode():
        result = build("u2netp", weights)(torch.rand(2, 3, side, side))

    assert (tuple(result.shape), result.dtype) == ((2, 1, side, side), torch.float32)
    assert 0 <= float(result.min()) < float(result.max()) <= 1


def test_file_of_another_network_is_refused(weights: list[Convolution]) -> None:
    with pytest.raises(WeightsMismatchError, match="isnet has 114 convolutions, and the file 119"):
        build("isnet", weights)
    with pytest.raises(WeightsMismatchError, match=r"^u2net\.body\.encoder\.0\.down\.0\.0 takes"):
        build("u2net", weights)


@pytest.mark.parametrize(
    "change", [{"dilations": (2, 2)}, {"strides": (2, 2)}, {"pads": (1, 1, 1, 1)}, {"bias": np.zeros(3, np.float32)}]
)
def test_convolution_that_differs_in_one_thing_is_refused(
    weights: list[Convolution], change: dict[str, object]
) -> None:
    wrong = [*weights[:-1], replace(weights[-1], **change)]

    with pytest.raises(WeightsMismatchError, match="fuse"):
        build("u2netp", wrong)


def test_file_without_convolutions_has_none() -> None:
    assert convolutions_of(tiny_model()) == []


@pytest.mark.parametrize("junk", [b"", b"\xff" * 20, tiny_model()[:-5]])
def test_what_is_no_onnx_file_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX"):
        convolutions_of(junk)
