"""Write a trained network as one ONNX file with fp16 weights that ONNX Runtime widens when it loads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

_WORTH_HALVING = 64
"""Tensors of fewer values stay as they are."""


def write_onnx(network: nn.Module, example: Tensor, file: Path, *, any_sides: bool = False) -> None:
    """
    Write `file`: one `input` as `example`, one `output`, float32.

    Args:
        any_sides: height and width of the input may change.

    Raises:
        onnx.checker.ValidationError: the graph is not valid.
    """
    free = {2: "height", 3: "width"}
    torch.onnx.export(
        network.cpu().eval(),
        (example,),
        file,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": free, "output": {2: "rows", 3: "columns"}} if any_sides else None,
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
