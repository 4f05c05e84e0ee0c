"""
Read the convolutions out of an ONNX file, without the `onnx` package, for a network built in torch.

An ONNX file is a protobuf ModelProto (github.com/onnx/onnx, onnx/onnx.proto3). Of its GraphProto this reads the nodes
(field 1), the initialisers (5) and the outputs (12).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.sessions.onnx_fields import GRAPH_FIELD, OUTPUT_FIELD, VARINT, fields, read_varint

_NODE_FIELD, _INITIALISER_FIELD = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGERS = 1, 8
_TENSOR_DIMENSION, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_DTYPES: dict[int, np.dtype[np.floating]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
"""By TensorProto.DataType: FLOAT and FLOAT16."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """
    One convolution with its batch normalisation folded in.

    Attributes:
        weight: (out, in, height, width) float16 or float32, as stored.
        bias: (out,) of the same dtype.
        strides, dilations: rows, columns.
        pads: top, left, bottom, right.
    """

    weight: NDArray[np.floating]
    bias: NDArray[np.floating]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, tuple[int, ...]]


def convolutions_of(model: bytes) -> list[Convolution]:
    """
    Give the convolutions that the first output needs, in the file's order: exporters write them as they run.

    Args:
        model: an ONNX file's content.

    Raises:
        ValueError: it is no ONNX file, or a convolution has no bias, or weights of another type than 16 or 32 bit floats.
    """
    graph = _graph_in(memoryview(model))
    nodes: list[_Node] = []
    initialisers: dict[str, memoryview] = {}
    outputs: list[str] = []
    for field, _, body, end in fields(graph):
        if field == _NODE_FIELD:
            nodes.append(_node(graph[body:end]))
        elif field == _INITIALISER_FIELD:
            initialisers[_text(graph[body:end], _TENSOR_NAME)] = graph[body:end]
        elif field == OUTPUT_FIELD:
            outputs.append(_text(graph[body:end], 1))
    if not outputs:
        raise ValueError("not an ONNX file: it has no output")
    wanted = _leading_to(outputs[0], nodes)
    return [_convolution(node, initialisers) for node in wanted if node.operator == "Conv"]


def _graph_in(model: memoryview) -> memoryview:
    for field, _, body, end in fields(model):
        if field == GRAPH_FIELD:
            return model[body:end]
    raise ValueError("not an ONNX file: it has no graph")


def _leading_to(name: str, nodes: list[_Node]) -> list[_Node]:
    """The nodes that the value of that name depends on, in the file's order (converters append their casts at the end)."""
    makers = {output: node for node in nodes for output in node.outputs}
    needed, to_visit = set(), [name]
    while to_visit:
        maker = makers.get(to_visit.pop())
        if maker is not None and maker.outputs[0] not in needed:
            needed.add(maker.outputs[0])
            to_visit.extend(maker.inputs)
    return [node for node in nodes if node.outputs[0] in needed]


def _convolution(node: _Node, initialisers: dict[str, memoryview]) -> Convolution:
    missing = [name for name in node.inputs[1:] if name not in initialisers]
    if len(node.inputs) != 3 or missing:
        raise ValueError(f"the convolution that gives {node.outputs[0]} has no weights or no bias in the file")
    weight, bias = (_array(initialisers[name]) for name in node.inputs[1:])
    attributes = node.attributes
    return Convolution(
        weight,
        bias,
        strides=attributes.get("strides", (1, 1)),
        dilations=attributes.get("dilations", (1, 1)),
        pads=attributes.get("pads", (0, 0, 0, 0)),
    )


def _node(message: memoryview) -> _Node:
    attributes = (message[body:end] for field, _, body, end in fields(message) if field == _NODE_ATTRIBUTE)
    return _Node(
        operator=_text(message, _NODE_OPERATOR),
        inputs=tuple(_texts(message, _NODE_INPUT)),
        outputs=tuple(_texts(message, _NODE_OUTPUT)),
        attributes={_text(part, _ATTRIBUTE_NAME): tuple(_integers(part, _ATTRIBUTE_INTEGERS)) for part in attributes},
    )


def _array(tensor: memoryview) -> NDArray[np.floating]:
    kind = next(_integers(tensor, _TENSOR_TYPE), 0)
    raw = next((tensor[body:end] for field, _, body, end in fields(tensor) if field == _TENSOR_RAW), None)
    if kind not in _DTYPES or raw is None:
        raise ValueError(f"weights of ONNX type {kind}: only raw 16 and 32 bit floats are read")
    return np.frombuffer(raw, _DTYPES[kind]).reshape(list(_integers(tensor, _TENSOR_DIMENSION)))


def _text(message: memoryview, wanted: int) -> str:
    return next(_texts(message, wanted), "")


def _texts(message: memoryview, wanted: int) -> Iterator[str]:
    return (bytes(message[body:end]).decode() for field, _, body, end in fields(message) if field == wanted)


def _integers(message: memoryview, wanted: int) -> Iterator[int]:
    """The whole numbers of a repeated field, which stand one by one or packed into one piece."""
    for field, start, body, end in fields(message):
        if field != wanted:
            continue
        position = body
        if message[start] & 7 == VARINT:
            yield read_varint(message, position)[0]
            continue
        while position < end:
            value, position = read_varint(message, position)
            yield value
