"""
Read a trained clothing network back out of its exported ONNX file, to go on training where no state was kept.

The file has fp16 weights, and the encoder's batch norms are folded into its convolutions. Exporters write nodes as they
run, so the file's convolutions and group norms are those of the network in the order in which it calls them.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from ml.training.clothing.network import ClothingNetwork
from ml.training.onnx_layers import called_in, layers_of

_LEAST_GAIN = 1e-3
"""Of a batch norm: a smaller one can't be divided by."""


def start_from_onnx(network: ClothingNetwork, file: Path) -> None:
    """
    Give a network the weights of an exported one.

    Args:
        network: with ImageNet's batch norms, whose statistics are kept: folded weights are unfolded by them.

    Raises:
        ValueError: the file is of another network.
    """
    called = called_in(network, (torch.zeros(1, 3, 64, 64),), (nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm))
    found = list(layers_of(onnx.load(file)))
    wanted = [module for module in called if isinstance(module, nn.Conv2d | nn.GroupNorm)]
    if [isinstance(module, nn.GroupNorm) for module in wanted] != [kind == "norm" for kind, _, _ in found]:
        raise ValueError(f"{file} is not a clothing network as it is built here")
    followers = dict(pairwise(called))
    with torch.no_grad():
        for module, (_, weight, bias) in zip(wanted, found, strict=True):
            follower = followers.get(module)
            if isinstance(module, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
                _unfold(module, follower, weight, bias)
            else:
                module.weight.copy_(weight.reshape(module.weight.shape))
                if bias is not None and module.bias is not None:
                    module.bias.copy_(bias.reshape(-1))


def _unfold(convolution: nn.Conv2d, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor | None) -> None:
    """Split a folded convolution up again; the norm keeps its gain, as only the product is known."""
    gain = norm.weight.data
    gain = torch.where(gain.abs() < _LEAST_GAIN, torch.full_like(gain, _LEAST_GAIN), gain)
    norm.weight.copy_(gain)
    assert norm.running_mean is not None  # noqa: S101  tells the type checker
    assert norm.running_var is not None  # noqa: S101
    scale = gain / torch.sqrt(norm.running_var + norm.eps)
    convolution.weight.copy_(weight / scale.reshape(-1, 1, 1, 1))
    norm.bias.copy_((0 if bias is None else bias) + norm.running_mean * scale)
