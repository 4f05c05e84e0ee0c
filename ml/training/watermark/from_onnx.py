"""
Read the two watermark networks back out of their exported files, to go on training where no state was kept.

The files' batch norms are folded into the convolutions. Here each gets the statistics that it would have had on some
batches, and the gain and shift that undo them: the network says the same, and trains on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from ml.training.onnx_layers import called_in, layers_of

_LEAST_VARIANCE = 1e-4


def start_from_onnx(
    network: nn.Module, file: Path, inputs: Sequence[tuple[Tensor, ...]], *, newer: nn.Module | None = None
) -> None:
    """
    Give a network the weights of an exported one.

    Args:
        inputs: what to call the network with: some batches as in training.
        newer: a part of it that the file may lack, which then stays as it is.

    Raises:
        ValueError: the file is of another network.
    """
    network.eval()
    called = called_in(network, tuple(part[:1] for part in inputs[0]), (nn.Conv2d, nn.BatchNorm2d))
    wanted = [module for module in called if isinstance(module, nn.Conv2d)]
    found = [(weight, bias) for kind, weight, bias in layers_of(onnx.load(file)) if kind == "convolution"]
    if newer is not None and len(found) < len(wanted):
        its = set(newer.modules())
        called = [module for module in called if module not in its]
        wanted = [module for module in wanted if module not in its]
    if [module.weight.shape for module in wanted] != [weight.shape for weight, _ in found]:
        raise ValueError(f"{file} is not {type(network).__name__} as it is built here")
    norms = {before: after for before, after in pairwise(called) if isinstance(after, nn.BatchNorm2d)}
    with torch.no_grad():
        for module, (weight, bias) in zip(wanted, found, strict=True):
            module.weight.copy_(weight)
            norm = norms.get(module)
            shift = torch.zeros(len(weight)) if bias is None else bias
            if norm is not None:
                _set(norm, torch.zeros_like(shift), 1 - norm.eps * torch.ones_like(shift), shift)
            elif module.bias is not None:
                module.bias.copy_(shift)
        _settle(network, list(norms.values()), inputs)


def stroke_from_of(file: Path) -> float:
    """The probability of a stroke that an exported finder says one half for (`network.Served`)."""
    (shifts,) = (part for part in onnx.load(file).graph.initializer if part.name == "shifts")
    return float(torch.sigmoid(torch.from_numpy(numpy_helper.to_array(shifts).copy()).ravel()[0]))


def _settle(network: nn.Module, norms: Sequence[nn.BatchNorm2d], inputs: Sequence[tuple[Tensor, ...]]) -> None:
    sums = {norm: [torch.zeros(norm.num_features, dtype=torch.float64) for _ in "ab"] for norm in norms}
    counts = dict.fromkeys(norms, 0)

    def note(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        its, values = cast(nn.BatchNorm2d, norm), given[0].double()
        sums[its][0] += values.sum((0, 2, 3))
        sums[its][1] += (values**2).sum((0, 2, 3))
        counts[its] += values.numel() // values.shape[1]

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    for batch in inputs:
        network(*batch)
    for hook in hooks:
        hook.remove()
    for norm, (total, squares) in sums.items():
        mean = total / counts[norm]
        variance = (squares / counts[norm] - mean**2).clamp(min=_LEAST_VARIANCE)
        _set(norm, mean.float(), variance.float(), norm.bias + mean.float())


def _set(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, shift: Tensor) -> None:
    """Give a norm statistics, and a gain that undoes them."""
    cast(Tensor, norm.running_mean).copy_(mean)
    cast(Tensor, norm.running_var).copy_(variance)
    norm.weight.copy_(torch.sqrt(variance + norm.eps))
    norm.bias.copy_(shift)
