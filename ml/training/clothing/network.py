"""
The clothing network's architecture.

An EfficientNet-Lite0 encoder, the whole person's context at stride 32 (several receptive fields and the mean of all),
a feature pyramid down to stride 4, and logits at stride 2. Any sides that are multiples of 32.
Group norm instead of batch norm: street photos and flat-lays come in batches of their own, whose statistics differ.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.training import layers
from ml.training.clothing.labels import BACKGROUND, CLASSES
from ml.training.encoder import FEATURES, FROZEN_BLOCKS

WIDTH = 64
_GROUPS = 8


class Separable(layers.Separable):
    """Depthwise, pointwise, group norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int = 3, dilation: int = 1) -> None:
        super().__init__(
            channels_in, channels_out, nn.GroupNorm(_GROUPS, channels_out), kernel=kernel, dilation=dilation
        )


class Context(nn.Module):
    """What else is in the picture: windows of 3, 7 and 13 cells of 32 px, and the mean over all."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(channels_in, channels, 1, bias=False), nn.GroupNorm(_GROUPS, channels))
        self.windows = nn.ModuleList(
            Separable(channels, channels, kernel=kernel, dilation=dilation)
            for kernel, dilation in ((3, 1), (7, 1), (7, 2))
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))
        self.join = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        x = functional.relu(self.narrow(features))
        seen = torch.cat([window(x) for window in self.windows], 1)
        return x + cast(Tensor, self.join(seen)) + cast(Tensor, self.whole(x))


class ClothingNetwork(nn.Module):
    """Photo in, logits of every class out."""

    def __init__(self, encoder: nn.Module) -> None:
        """Args: encoder: `ml.training.encoder.imagenet_encoder()`."""
        super().__init__()
        self.encoder = encoder
        channels = list(FEATURES.values())
        self.context = Context(channels[4], 2 * WIDTH)
        self.narrow = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        self.laterals = nn.ModuleList(nn.Conv2d(channels[level], WIDTH, 1) for level in (3, 2, 1))
        self.smooth = nn.ModuleList(Separable(WIDTH, WIDTH, kernel=5) for _ in range(3))
        self.mix = Separable(3 * WIDTH, WIDTH)
        self.dropout = nn.Dropout2d(0.1)
        self.head = nn.Conv2d(WIDTH, 4 * CLASSES, 1)

    def forward(self, photo: Tensor) -> Tensor:
        """
        Args:
            photo: (N, 3, H, W) float32, (RGB - 127) / 128; sides divisible by 32.

        Returns:
            (N, CLASSES, H / 2, W / 2) float32 logits.
        """
        f4, f8, f16, f32 = self._features(photo)
        x = self.narrow(self.context(f32))
        levels = []
        for lateral, smooth, features in zip(self.laterals, self.smooth, (f16, f8, f4), strict=True):
            x = smooth(_grow(x, features) + lateral(features))
            levels.append(x)
        mixed = self.mix(torch.cat([_grow(level, f4) for level in levels], 1))
        return functional.pixel_shuffle(self.head(self.dropout(mixed)), 2)

    def _features(self, photo: Tensor) -> list[Tensor]:
        net = cast(Any, self.encoder)
        taken = []
        with torch.no_grad():
            x = net._swish(net._bn0(net._conv_stem(photo)))
            for index in range(FROZEN_BLOCKS):
                x = net._blocks[index](x)
        taken.append(x)
        for index in range(FROZEN_BLOCKS, len(net._blocks)):
            x = net._blocks[index](x)
            if index in FEATURES:
                taken.append(x)
        return taken


class Served(nn.Module):
    """The network as `ml.clothing.network` runs it: shares of the garments, of the body and of nothing."""

    def __init__(self, network: ClothingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, photo: Tensor) -> Tensor:
        shares = torch.softmax(self.network(photo), 1)
        body = shares[:, BACKGROUND + 1 :].sum(1, keepdim=True)
        return torch.cat([shares[:, :BACKGROUND], body, shares[:, BACKGROUND : BACKGROUND + 1]], 1)


def _grow(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
