"""Write the trained judge as `ml.background.judge_network` runs it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ml.training.judge.network import MAPS, Judge
from ml.training.judge.samples import SIDE_PX
from ml.training.onnx_file import write_onnx


class _Served(nn.Module):
    """One input, as `ml.background.judge_network` sends it: (1, 5, S, S): red, green, blue as the encoder sees them, two maps."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, tensor: Tensor) -> Tensor:
        return torch.sigmoid(self.judge(tensor[:, :3], tensor[:, 3:]))


def export(judge: Judge, file: Path) -> None:
    """
    Write `file`: input `input` (1, 5, 320, 320) float32, output `output` (1, 3, 320, 320) float32, 0..1.

    Raises:
        onnx.checker.ValidationError: the graph is not valid.
    """
    write_onnx(_Served(judge), torch.zeros(1, 3 + MAPS, SIDE_PX, SIDE_PX), file)
