"""
The repairing network's architecture: what was under a mark, or whatever else a mask covers.

A U-Net at strides 2 to 16, all plain convolutions, which two slow cores do faster than thin ones. It says how opaque a
mark is, in which colour, what the photo is by what lies around, and which of the two to believe: the un-blended pixel,
(photo - alpha colour) / (1 - alpha), or the painted one. All of these are smooth enough to be asked of a smaller copy,
while the un-blending itself happens in the photo's own pixels (`ml/watermark/repairing.py`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.watermark.repairing import LEAST_LEFT

WIDTHS = (32, 64, 96, 160)
"""Channels at strides 2, 4, 8 and 16."""

DEEP = (1, 2, 4, 8)
"""The dilations of the blocks at stride 16: strokes may be wide."""

OUT = 8
"""Alpha, colour (3), painted (3), and how far the un-blended pixel is to be believed."""


class Block(nn.Module):
    """Two convolutions that add to what came in; the second begins at nought."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return cast(Tensor, x + self.second(functional.relu(self.first(functional.relu(x)))))


class RepairNetwork(nn.Module):
    """Photo and mask in, the maps of the un-blending and of the painting out."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = nn.Conv2d(4 * 4, WIDTHS[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(WIDTHS))
        self.before = nn.ModuleList(
            [Block(WIDTHS[0]), Block(WIDTHS[1]), nn.Sequential(*(Block(WIDTHS[2]) for _ in "ab"))]
        )
        self.deep = nn.Sequential(*(Block(WIDTHS[3], dilation) for dilation in DEEP))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.after = nn.ModuleList(Block(width) for width in WIDTHS[:3])
        self.head = nn.Conv2d(WIDTHS[0], 4 * OUT, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            cast(Tensor, self.head.bias).zero_()[:4].fill_(-1.0)

    def forward(self, photo: Tensor, mask: Tensor) -> Tensor:
        """
        Args:
            photo: (N, 3, H, W) float32, (RGB - 127) / 128; sides divisible by 16.
            mask: (N, 1, H, W) float32, 0..1: what is to be repaired; may be soft, rough or incomplete.

        Returns:
            (N, 8, H, W) float32, 0..1: alpha, colour, painted, trust.
        """
        x = self.begin(functional.pixel_unshuffle(torch.cat([photo, 2 * mask - 1], 1), 2))
        kept = []
        for before, down in zip(self.before, self.down, strict=True):
            x = before(x)
            kept.append(x)
            x = down(x)
        x = self.deep(x)
        for level in (2, 1, 0):
            grown = functional.interpolate(self.up[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.after[level](grown + kept[level])
        maps = functional.pixel_shuffle(self.head(functional.relu(x)), 2).float()
        seen = (photo.float() * 128 + 127) / 255
        painted = (seen + maps[:, 4:7]).clamp(0, 1) if not self.training else seen + maps[:, 4:7]
        return torch.cat([torch.sigmoid(maps[:, :4]), painted, torch.sigmoid(maps[:, 7:])], 1)


def repaired(photo: Tensor, maps: Tensor) -> Tensor:
    """
    The photo by these maps.

    Args:
        photo: (N, 3, H, W) float32, 0..1.
        maps: (N, 8, H, W), from `RepairNetwork`.
    """
    alpha, colour, painted, trust = maps[:, :1], maps[:, 1:4], maps[:, 4:7], maps[:, 7:]
    unblended = (photo - alpha * colour) / (1 - alpha).clamp(min=LEAST_LEFT)
    return trust * unblended + (1 - trust) * painted


class Served(nn.Module):
    """The network as it is run: (N, 4, H, W) float32, 0..1, photo and mask: `RepairNetwork`'s maps."""

    def __init__(self, network: RepairNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: Tensor) -> Tensor:
        return cast(Tensor, self.network((given[:, :3] * 255 - 127) / 128, given[:, 3:]))
