"""
The ranges of one network, by NNCF (https://github.com/openvinotoolkit/nncf, Apache-2.0).

NNCF gives a network with a FakeQuantize node wherever values should have few levels; their ends are what is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
from nncf.quantization.range_estimator import (
    AggregatorType,
    RangeEstimatorParameters,
    StatisticsCollectorParameters,
    StatisticsType,
)

from ml.sessions.compiling import read_network
from ml.training.calibration.recipes import TAIL, Recipe
from ml.training.calibration.recording import Tensors

_DIGITS = 4
_WITHOUT_TAIL = StatisticsCollectorParameters(
    statistics_type=StatisticsType.QUANTILE, aggregator_type=AggregatorType.MEAN, quantile_outlier_prob=TAIL
)
_CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})


def ranges_of(path: Path, seen: Sequence[Tensors], recipe: Recipe, *, outputs: Sequence[str] = ()) -> dict[str, Any]:
    """
    Calibrate a network: once by the whole of its values, once without their outermost ends.

    Args:
        path: its ONNX file.
        seen: what it is given.
        recipe: which values count whole.
        outputs: the values that it is run for; its first output by default.

    Returns:
        What `ml.sessions.ranges.Ranges.read` reads.
    """
    content = path.read_bytes()

    def quantised(ends: RangeEstimatorParameters) -> list[openvino.Node]:
        made = nncf.quantize(
            read_network(content, path.stem, outputs),
            nncf.Dataset(list(seen)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(seen),
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE, disable_bias_correction=True, activations_range_estimator_params=ends
            ),
        )
        return list(made.get_ordered_ops())

    nodes = quantised(RangeEstimatorParameters())
    whole, finer = _values(nodes), _values(quantised(RangeEstimatorParameters(min=_WITHOUT_TAIL, max=_WITHOUT_TAIL)))
    return {
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "values": {name: whole[name] if recipe.whole.search(name) else ends for name, ends in finer.items()},
        "wide": sorted(
            node.get_friendly_name() for node in nodes if node.get_type_name() in _CONVOLUTIONS and _is_wide(node)
        ),
    }


def _values(nodes: Sequence[openvino.Node]) -> dict[str, list[float]]:
    return {
        _source(node).get_friendly_name(): [_end(node, 1), _end(node, 2)]
        for node in nodes
        if node.get_type_name() == "FakeQuantize" and not _is_of_kernel(node)
    }


def _source(node: openvino.Node) -> openvino.Node:
    return node.input(0).get_source_output().get_node()


def _end(node: openvino.Node, place: int) -> float:
    value = float(np.ravel(node.input(place).get_source_output().get_node().get_data())[0])
    return float(f"{value:.{_DIGITS}g}")


def _is_of_kernel(node: openvino.Node) -> bool:
    while node.get_type_name() in {"FakeQuantize", "Convert", "Reshape"}:
        node = _source(node)
    return bool(node.get_type_name() == "Constant")


def _is_wide(convolution: openvino.Node) -> bool:
    """NNCF lays levels over the kernels that it quantises, or makes integers of them."""
    node = convolution.input(1).get_source_output().get_node()
    while node.get_type_name() not in {"Constant", "FakeQuantize"}:
        node = node.input(0).get_source_output().get_node()
    return node.get_type_name() == "Constant" and bool(node.get_element_type().is_real())
