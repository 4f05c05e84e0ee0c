"""Layers that the networks trained here share."""

from __future__ import annotations

from torch import nn


class Separable(nn.Sequential):
    """Depthwise, pointwise, a norm, ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, norm: nn.Module, *, kernel: int = 3, dilation: int = 1
    ) -> None:
        """Args: norm: of `channels_out`."""
        reach = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(
                channels_in, channels_in, kernel, padding=reach, dilation=dilation, groups=channels_in, bias=False
            ),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            norm,
            nn.ReLU(inplace=True),
        )
