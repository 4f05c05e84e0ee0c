"""
int8 by quantisation after training: what calibration found, laid into a network as it is read.

Every value that goes into a convolution gets 256 levels between two numbers that calibration saw (`ml.calibration`),
every kernel 128 levels between minus and plus its greatest weight, channel by channel. The weights themselves need no
file of their own. OpenVINO turns convolutions between two such places into integer ones when it compiles the network.

A kernel could have 256 levels. With 128 the products of two neighbours fit into 16 bits, which processors without VNNI
(AVX2, AVX-512) add them up in; with more they saturate there, and the same photo gave another picture on each machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13

_LEVELS = 256
_KERNEL_LEVELS = 255
"""Of twice the range: the inner half is used."""

_CONVOLUTIONS = {"Convolution": 1, "GroupConvolution": 2}
"""How many leading axes of the kernel tell its output channels."""

_BLIND = frozenset({"Result", "ShapeOf"})
"""Consumers that see the values as they are, or do not see them at all."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """
    What calibration found of one network.

    Attributes:
        weights_sha256: of the file that it was found with; for another it means nothing.
        values: the least and the greatest of what a node gives, by the node's name in the file.
        wide: convolutions that stay in floats, by name.
    """

    weights_sha256: str
    values: dict[str, tuple[float, float]]
    wide: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> Ranges:
        """Read a file that `ml.calibration` wrote."""
        said = json.loads(path.read_text())
        values = {name: (low, high) for name, (low, high) in said["values"].items()}
        return cls(said["weights_sha256"], values, frozenset(said["wide"]))

    def lay_into(self, network: openvino.Model) -> None:
        """
        Change a network that was just read.

        Raises:
            ValueError: a node that the ranges name is not there.
        """
        nodes = network.get_ordered_ops()
        if strange := self.values.keys() - {node.get_friendly_name() for node in nodes}:
            raise ValueError(f"the network has no node {sorted(strange)[0]}: its ranges were found with another one")
        for node in nodes:
            name = node.get_friendly_name()
            if name in self.values:
                low, high = (np.float32(end) for end in self.values[name])
                _quantise(node.output(0), low, high, _LEVELS)
            if node.get_type_name() in _CONVOLUTIONS and name not in self.wide:
                _quantise_kernel(node)


def _quantise_kernel(node: openvino.Node) -> None:
    source = node.input(1).get_source_output()
    kernel = _constant_of(source.get_node()).reshape(source.get_shape())
    axes = tuple(range(_CONVOLUTIONS[node.get_type_name()], kernel.ndim))
    greatest = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), np.finfo(np.float32).tiny)
    reach = 2 * greatest
    levels = opset13.fake_quantize(source, -reach, reach, -reach, reach, _KERNEL_LEVELS)
    node.input(1).replace_source_output(levels.output(0))


def _quantise(output: openvino.Output, low: np.float32, high: np.float32, levels: int) -> None:
    consumers = [each for each in output.get_target_inputs() if each.get_node().get_type_name() not in _BLIND]
    quantised = opset13.fake_quantize(output, low, high, low, high, levels)
    for each in consumers:
        each.replace_source_output(quantised.output(0))


def _constant_of(node: openvino.Node) -> NDArray[np.float32]:
    """The weights behind what widens them (files may hold them as float16)."""
    while node.get_type_name() != "Constant":
        node = node.input(0).get_source_output().get_node()
    return np.asarray(node.get_data(), np.float32)
