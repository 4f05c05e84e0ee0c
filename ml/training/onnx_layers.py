"""What a network and its exported ONNX file have in common: their layers, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn


def called_in(network: nn.Module, example: tuple[Tensor, ...], kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """The modules of some kinds, in the order in which they run."""
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda ran, *_: called.append(ran))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    with torch.inference_mode():
        network.eval()(*example)
    for hook in hooks:
        hook.remove()
    return called


def layers_of(model: onnx.ModelProto) -> Iterator[tuple[str, Tensor, Tensor | None]]:
    """Kind, weight and bias of each convolution and group norm (a product and a sum with constants)."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    halved = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    adders = {node.input[0]: node for node in graph.node if node.op_type == "Add"}

    def constant(name: str) -> Tensor | None:
        tensor = constants.get(halved.get(name, name))
        return None if tensor is None else torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()

    for node in graph.node:
        if node.op_type == "Conv":
            weight = constant(node.input[1])
            if weight is not None:
                yield "convolution", weight, constant(node.input[2]) if len(node.input) > 2 else None
        elif node.op_type == "Mul" and (gain := constant(node.input[1])) is not None:
            yield "norm", gain, constant(adders[node.output[0]].input[1])
