"""
The watermark network's architecture.

An EfficientNet-Lite0 encoder, a wide view at stride 32, and a decoder that grows back to stride 2, where the four
pixels of each cell are seen side by side and told apart: strokes keep their edges, and no map is at full size.
Batch norm, not group norm: what is said of a pixel then doesn't depend on how much else is in the picture, and it
costs nothing once folded into the convolutions.
What says whether a mark is near has a second opinion beside it, which is taught alone (`gate.py`).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ml.training import layers
from ml.training.encoder import FEATURES

WIDE, WIDTHS, FINE = 128, (80, 48, 32), 32
"""Channels at stride 32, at strides 16, 8 and 4, and at stride 2."""

WIDER, DEEPER, FINER = (2, 4, 1, 2, 4), (3, 5, 5), 2
"""Further blocks: their dilations at stride 32; how many at strides 16, 8 and 4; how many at stride 2."""

GATE_STRIDE = 8

DOUBT, DOUBTS = 64, (1, 2, 4, 1)
"""Channels of the second opinion on the gate, and its blocks' dilations."""

RARE = -2.5
"""The first guess, as a logit: most pixels carry no mark."""


class Separable(layers.Separable):
    """Depthwise, pointwise, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int = 3, dilation: int = 1) -> None:
        super().__init__(
            channels_in, channels_out, nn.BatchNorm2d(channels_out, momentum=0.05), kernel=kernel, dilation=dilation
        )


class Inverted(nn.Module):
    """
    Widen, look around, narrow, and add to what came in.

    The last norm begins with a gain of nought: put into a trained network, the block changes nothing at first.
    """

    def __init__(self, channels: int, *, kernel: int = 5, dilation: int = 1, widen: int = 2) -> None:
        super().__init__()
        wide, reach = widen * channels, dilation * (kernel // 2)
        self.way = nn.Sequential(
            _plain(channels, wide),
            nn.Conv2d(wide, wide, kernel, padding=reach, dilation=dilation, groups=wide, bias=False),
            nn.BatchNorm2d(wide, momentum=0.05),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels, momentum=0.05),
        )
        nn.init.zeros_(cast(nn.BatchNorm2d, self.way[-1]).weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return cast(Tensor, x + self.way(x))


def _plain(channels_in: int, channels_out: int, *, kernel: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out, momentum=0.05),
        nn.ReLU(inplace=True),
    )


BENEFIT = 2.0
"""Of the doubt, as a logit: the second opinion only takes away from the first, from there on. Chosen on validation."""


class Doubt(nn.Module):
    """
    A second opinion on whether a mark is near: cloth, walls, pages and packages look like marks and are none.

    It sees all that is known at stride 8 and coarser, the finer features' means and peaks, and what the whole picture is
    like. It begins as nothing, and nothing else of the network is changed when it learns.
    """

    def __init__(self) -> None:
        super().__init__()
        seen = sum((WIDE, *WIDTHS[:2], *list(FEATURES.values())[1:3], FEATURES[2]))
        self.narrow = _plain(seen, DOUBT)
        self.whole = nn.Conv2d(DOUBT, DOUBT, 1)
        self.blocks = nn.Sequential(*(Inverted(DOUBT, dilation=dilation) for dilation in DOUBTS))
        self.last = nn.Conv2d(DOUBT, 1, 1)
        for conv in (self.whole, self.last):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(cast(Tensor, conv.bias))

    def forward(self, fine: Tensor, features: Tensor, coarse: list[Tensor]) -> Tensor:
        """
        Args:
            fine, features: the encoder's, at strides 4 and 8.
            coarse: the decoder's at strides 32, 16 and 8.

        Returns:
            (N, 1, H / 8, W / 8) float32: what is taught to be added to the gate's logits.
        """
        means, peaks = functional.avg_pool2d(fine, 2), functional.max_pool2d(fine, 2)
        x = self.narrow(torch.cat([features, means, peaks, *(_grow(part, features) for part in coarse)], 1))
        x = x + self.whole(x.mean((2, 3), keepdim=True))
        return cast(Tensor, self.last(self.blocks(x)))


class WatermarkNetwork(nn.Module):
    """Photo in; logits of strokes, of the blend's opacity, and of a mark being near out."""

    def __init__(self, encoder: nn.Module) -> None:
        """Args: encoder: `ml.training.encoder.imagenet_encoder()`."""
        super().__init__()
        self.encoder = _folded(encoder)
        channels = list(FEATURES.values())
        self.narrow = _plain(channels[4], WIDE)
        self.near, self.far = Separable(WIDE, WIDE, kernel=5), Separable(WIDE, WIDE, kernel=5, dilation=3)
        before = (WIDE, *WIDTHS[:2])
        self.laterals = nn.ModuleList(
            _plain(coming + channels[level], width)
            for coming, level, width in zip(before, (3, 2, 1), WIDTHS, strict=True)
        )
        self.smooth = nn.ModuleList(Separable(width, width, kernel=5) for width in WIDTHS)
        self.wider = nn.Sequential(*(Inverted(WIDE, dilation=dilation) for dilation in WIDER))
        self.deeper = nn.ModuleList(
            nn.Sequential(*(Inverted(width) for _ in range(count))) for width, count in zip(WIDTHS, DEEPER, strict=True)
        )
        self.edges = _plain(3 * 4, FINE, kernel=3)
        self.join = _plain(WIDTHS[2] + channels[0] + FINE, FINE)
        self.fine, self.finer = Separable(FINE, FINE), nn.Sequential(*(Inverted(FINE) for _ in range(FINER)))
        self.head = nn.Conv2d(FINE, 2 * 4, 3, padding=1)
        self.gate, self.doubt = nn.Conv2d(WIDTHS[1], 1, 1), Doubt()
        for last in (self.head, self.gate):
            nn.init.constant_(cast(Tensor, last.bias), RARE)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            photo: (N, 3, H, W) float32, (RGB - 127) / 128; sides divisible by 32.

        Returns:
            (N, 2, H, W) float32 logits of the strokes' shape and of the blend's opacity, and (N, 1, H / 8, W / 8)
            float32 logits of strokes being in or next to that cell.
        """
        f2, f4, *features = self._features(photo)
        coarse = self._grown(features)
        gate = self.gate(coarse[-1]) + (self.doubt(f4, features[0], coarse) + BENEFIT).clamp(max=0)
        x = self._level(2, coarse[-1], f4)
        edges = self.edges(functional.pixel_unshuffle(photo, 2))
        x = self.join(torch.cat([_grow(x, f2), f2, edges], 1))
        x = self.finer(x + self.fine(x))
        return functional.pixel_shuffle(self.head(x), 2), gate

    def before_doubt(self, photo: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """The gate's first opinion, and what the second is asked with."""
        _, f4, *features = self._features(photo)
        coarse = self._grown(features)
        return self.gate(coarse[-1]), (f4, features[0], coarse)

    def _grown(self, features: list[Tensor]) -> list[Tensor]:
        """From the encoder's at strides 8, 16 and 32 to the decoder's at 32, 16 and 8."""
        f8, f16, f32 = features
        x = self.narrow(f32)
        grown = [self.wider(x + self.near(x) + self.far(x))]
        for number, its in enumerate((f16, f8)):
            grown.append(self._level(number, grown[-1], its))
        return grown

    def _level(self, number: int, x: Tensor, features: Tensor) -> Tensor:
        x = self.laterals[number](torch.cat([_grow(x, features), features], 1))
        return cast(Tensor, self.deeper[number](x + self.smooth[number](x)))

    def _features(self, photo: Tensor) -> list[Tensor]:
        net = cast(Any, self.encoder)
        x = net._swish(net._bn0(net._conv_stem(photo)))
        taken = []
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in FEATURES:
                taken.append(x)
        return taken


class Served(nn.Module):
    """
    The network as it is run: (N, 3, H, W) float32 in 0..1: strokes, opacity, and whether a mark is near.

    `stroke_from` is the probability of a stroke, chosen on validation, that becomes one half.
    """

    shifts: Tensor

    def __init__(self, network: WatermarkNetwork, stroke_from: float = 0.5) -> None:
        super().__init__()
        self.network = network
        shifts = torch.logit(torch.tensor([stroke_from, 0.5, 0.5]))
        self.register_buffer("shifts", shifts.reshape(1, 3, 1, 1))

    def forward(self, photo: Tensor) -> Tensor:
        fine, gate = self.network(photo)
        return torch.sigmoid(torch.cat([fine, _grow(gate, fine)], 1) - self.shifts)


def _folded(encoder: nn.Module) -> nn.Module:
    """Fold the batch norms that training leaves as they are into the convolutions, and drop the classifier."""
    net = cast(Any, encoder).eval()
    net._conv_stem, net._bn0 = fuse_conv_bn_eval(net._conv_stem, net._bn0), nn.Identity()
    for block in net._blocks:
        for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
            if hasattr(block, conv):
                fused = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
                if fused.stride[0] == 1:  # the same padding on all sides
                    fused.padding, fused.static_padding = (fused.kernel_size[0] // 2,) * 2, nn.Identity()
                setattr(block, conv, fused)
                setattr(block, norm, nn.Identity())
        block._swish = nn.ReLU6(inplace=True)
    net._conv_head = net._bn1 = net._fc = nn.Identity()
    return encoder


def _grow(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
