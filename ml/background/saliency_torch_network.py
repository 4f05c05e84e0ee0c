"""
IS-Net and U²-Net in torch, for a GPU: the same networks as the ONNX files, which lend their weights.

U²-Net is a U of U's (Qin et al. 2020, "U²-Net: Going deeper with nested U-structure for salient object detection",
arXiv 2005.09007, figure 5): six encoder stages and five decoder stages, each a residual U-block ("RSU-L", figure 2d).
U²-Net-p has the same shape with 16 inner and 64 outer channels everywhere.
IS-Net (Qin et al. 2022, "Highly accurate dichotomous image segmentation", arXiv 2203.03041, section 4) puts a strided
convolution in front, works at half the input's resolution, and has no fusion of its side outputs: the finest is the answer.

Batch normalisations are folded into the convolutions, as they are in the files. Submodules are registered in the order
in which they run, so that the n-th convolution here is the n-th of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.errors import WeightsMismatchError
from ml.sessions.onnx_weights import Convolution


@dataclass(frozen=True, slots=True)
class _Widths:
    """Channels of one stage."""

    into: int
    inner: int
    out: int


def _conv_relu(into: int, out: int, *, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True))


def _halve(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 2, stride=2, ceil_mode=True)


def _grow_like(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class _ResidualU(nn.Module):
    """RSU-L: a small U-net of `height` levels, added to its own input."""

    def __init__(self, height: int, widths: _Widths) -> None:
        super().__init__()
        inner = widths.inner
        self.enter = _conv_relu(widths.into, widths.out)
        self.down = nn.ModuleList(_conv_relu(inner if level else widths.out, inner) for level in range(height - 1))
        self.bottom = _conv_relu(inner, inner, dilation=2)
        self.up = nn.ModuleList(
            _conv_relu(2 * inner, inner if level else widths.out) for level in reversed(range(height - 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        entered = x = self.enter(x)
        levels: list[Tensor] = []
        for down in self.down:
            x = down(_halve(x) if levels else x)
            levels.append(x)
        x = self.bottom(x)
        for up in self.up:
            level = levels.pop()
            x = up(torch.cat((_grow_like(x, level), level), 1))
        return x + entered


class _DilatedResidualU(nn.Module):
    """RSU-4F: at the coarsest levels dilation takes the place of shrinking."""

    def __init__(self, widths: _Widths) -> None:
        super().__init__()
        inner = widths.inner
        self.enter = _conv_relu(widths.into, widths.out)
        self.down = nn.ModuleList(
            _conv_relu(widths.out if dilation == 1 else inner, inner, dilation=dilation) for dilation in (1, 2, 4)
        )
        self.bottom = _conv_relu(inner, inner, dilation=8)
        self.up = nn.ModuleList(
            _conv_relu(2 * inner, widths.out if dilation == 1 else inner, dilation=dilation) for dilation in (4, 2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        entered = x = self.enter(x)
        levels: list[Tensor] = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = self.bottom(x)
        for up in self.up:
            x = up(torch.cat((x, levels.pop()), 1))
        return x + entered


_HEIGHTS = (7, 6, 5, 4, None, None)
"""Levels of the blocks from fine to coarse; None is RSU-4F."""


def _block(height: int | None, widths: _Widths) -> nn.Module:
    return _DilatedResidualU(widths) if height is None else _ResidualU(height, widths)


class _UOfBlocks(nn.Module):
    """The two networks' common body: gives its decoder's maps from fine to coarse, the encoder's coarsest last."""

    def __init__(self, encoder: Sequence[_Widths], decoder: Sequence[_Widths]) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(map(_block, _HEIGHTS, encoder))
        self.decoder = nn.ModuleList(map(_block, _HEIGHTS[-2::-1], decoder))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        for stage in self.encoder:
            x = stage(_halve(x) if levels else x)
            levels.append(x)
        maps = [levels.pop()]
        for stage in self.decoder:
            level = levels.pop()
            maps.append(stage(torch.cat((_grow_like(maps[-1], level), level), 1)))
        return maps[::-1]


_ENCODER_LARGE = tuple(
    _Widths(*w) for w in ((64, 32, 128), (128, 64, 256), (256, 128, 512), (512, 256, 512), (512, 256, 512))
)
_DECODER_LARGE = tuple(
    _Widths(*w) for w in ((1024, 256, 512), (1024, 128, 256), (512, 64, 128), (256, 32, 64), (128, 16, 64))
)


class IsNet(nn.Module):
    """(N, 3, H, W) in the network's dtype to (N, 1, H, W) float32, 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        self.body = _UOfBlocks((_Widths(64, 32, 64), *_ENCODER_LARGE), _DECODER_LARGE)
        self.side = nn.Conv2d(64, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        logits = self.side(self.body(self.enter(x))[0])
        # The last steps in 32 bits: half precision has too few levels near 1, and these are a thousandth of the work.
        return torch.sigmoid(_grow_like(logits.float(), x))


class U2Net(nn.Module):
    """(N, 3, H, W) in the network's dtype to (N, 1, H, W) float32, 0..1: the fusion of six side outputs."""

    def __init__(self, encoder: Sequence[_Widths], decoder: Sequence[_Widths]) -> None:
        super().__init__()
        self.body = _UOfBlocks(encoder, decoder)
        outs = [widths.out for widths in (*reversed(decoder), encoder[-1])]
        self.sides = nn.ModuleList(nn.Conv2d(out, 1, 3, padding=1) for out in outs)
        self.fuse = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        first, *coarser = (side(level) for side, level in zip(self.sides, self.body(x), strict=True))
        logits = self.fuse(torch.cat((first, *(_grow_like(each, first) for each in coarser)), 1))
        return torch.sigmoid(logits.float())


def _u2net() -> U2Net:
    return U2Net((_Widths(3, 32, 64), *_ENCODER_LARGE), _DECODER_LARGE)


def _u2netp() -> U2Net:
    return U2Net((_Widths(3, 16, 64), *(_Widths(64, 16, 64),) * 5), (_Widths(128, 16, 64),) * 5)


BUILDERS: dict[str, Callable[[], nn.Module]] = {"isnet": IsNet, "u2net": _u2net, "u2netp": _u2netp}
"""By the name of the ModelSpec, whose first file holds the weights."""


def build(name: str, weights: Sequence[Convolution]) -> nn.Module:
    """
    Build a network and load its weights, on the CPU in float32, ready for inference.

    Args:
        name: one of `BUILDERS`.
        weights: the convolutions of its ONNX file, in order (`ml.sessions.onnx_weights.convolutions_of`).

    Raises:
        WeightsMismatchError: they are not this network's.
    """
    with torch.device("meta"):  # no time for random weights that are overwritten at once
        network = BUILDERS[name]()
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    targets = [(path, part) for path, part in network.named_modules() if isinstance(part, nn.Conv2d)]
    if len(targets) != len(weights):
        raise WeightsMismatchError(f"{name} has {len(targets)} convolutions, and the file {len(weights)}.")
    for (path, target), source in zip(targets, weights, strict=True):
        _load(target, source, at=f"{name}.{path}")
    return network


def _load(target: nn.Conv2d, source: Convolution, *, at: str) -> None:
    pads = tuple(int(pad) for pad in target.padding)
    wanted = (tuple(target.weight.shape), target.stride, target.dilation, pads * 2)
    found = (source.weight.shape, source.strides, source.dilations, source.pads)
    if wanted != found:
        raise WeightsMismatchError(
            f"{at} takes (shape, strides, dilations, pads) {wanted}, and the file's convolution has {found}."
        )
    bias = target.bias
    if bias is None or bias.shape != source.bias.shape:
        raise WeightsMismatchError(f"{at}: the file's bias has the shape {source.bias.shape}.")
    target.weight.copy_(torch.from_numpy(source.weight.astype(np.float32)))
    bias.copy_(torch.from_numpy(source.bias.astype(np.float32)))
