"""Write the trained judge as one ONNX file with fp16 weights that ONNX Runtime widens when it loads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ml.training.judge.network import MAPS, Judge
from ml.training.judge.samples import SIDE_PX

_WORTH_HALVING = 64
"""Tensors of fewer values stay as they are."""


class _Served(nn.Module):
    """One input, as `ml.models.judge` sends it: (1, 5, S, S): red, green, blue as the encoder sees them, two maps."""

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
    served = _Served(judge.cpu().eval())
    torch.onnx.export(
        served,
        (torch.zeros(1, 3 + MAPS, SIDE_PX, SIDE_PX),),
        file,
        input_names=["input"],
        output_names=["output"],
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(file)
    _halve(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def _halve(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _WORTH_HALVING:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for position, node in enumerate(casts):
        graph.node.insert(position, node)
