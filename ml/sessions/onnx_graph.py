"""
Choose an ONNX graph's outputs, without the `onnx` package.

Networks with deep supervision give a matte at each depth for their training. The runtime computes every declared
output, and keeps its memory until the end; undeclared, its optimiser drops the nodes that lead nowhere else.
The other way round, an exported graph may compute what it does not give, such as all of SAM's masks.

An ONNX file is a protobuf ModelProto: field 7 is the graph, and in the graph each field 12 is an output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

GRAPH_FIELD = 7
OUTPUT_FIELD = 12
VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5


def write_with_first_output_only(model: bytes, target: IO[bytes]) -> None:
    """
    Write a model without any graph output but the first; names, weights and nodes are untouched.

    Args:
        model: an ONNX file's content.
        target: takes the new file's content.

    Raises:
        ValueError: `model` is not a protobuf message.
    """
    view = memoryview(model)
    for field, start, body, end in fields(view):
        if field == GRAPH_FIELD:
            kept = list(_first_output_parts(view[body:end]))
            target.write(_varint(GRAPH_FIELD << 3 | BYTES) + _varint(sum(map(len, kept))))
            target.writelines(kept)
        else:
            target.write(view[start:end])


def write_with_outputs(model: bytes, names: Sequence[str], target: IO[bytes]) -> None:
    """
    Write a model whose outputs are these values, inner ones included, in this order; the rest is untouched.

    Args:
        model: an ONNX file's content.
        names: of float32 values that the graph computes. The runtime refuses the file where one does not exist.
        target: takes the new file's content.

    Raises:
        ValueError: `model` is not a protobuf message.
    """
    view = memoryview(model)
    outputs = b"".join(_message(OUTPUT_FIELD, _float_value(name)) for name in names)
    for field, start, body, end in fields(view):
        if field == GRAPH_FIELD:
            graph = view[body:end]
            kept = [graph[a:b] for number, a, _, b in fields(graph) if number != OUTPUT_FIELD]
            target.write(_varint(GRAPH_FIELD << 3 | BYTES) + _varint(sum(map(len, kept)) + len(outputs)))
            target.writelines(kept)
            target.write(outputs)
        else:
            target.write(view[start:end])


def _float_value(name: str) -> bytes:
    """A ValueInfoProto: its name, and its type, a tensor whose elements (field 1) are float32 (1) of any shape."""
    return _message(1, name.encode()) + _message(2, _message(1, bytes([1 << 3, 1])))


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(body)) + body


def _first_output_parts(graph: memoryview) -> Iterator[memoryview]:
    seen = False
    for field, start, _, end in fields(graph):
        if field == OUTPUT_FIELD and seen:
            continue
        seen = seen or field == OUTPUT_FIELD
        yield graph[start:end]


def fields(message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """
    Yield (field number, where it starts, where its body starts, where it ends) for each field of a protobuf message.

    Raises:
        ValueError: `message` is no protobuf message, or a piece of one.
    """
    position = 0
    while position < len(message):
        start = position
        key, position = read_varint(message, position)
        wire = key & 7
        body = position
        if wire == VARINT:
            _, position = read_varint(message, position)
        elif wire == BYTES:
            length, body = read_varint(message, position)
            position = body + length
        elif wire in (_FIXED32, _FIXED64):
            position += 4 if wire == _FIXED32 else 8
        else:
            raise ValueError("not an ONNX file")
        if position > len(message):
            raise ValueError("a truncated ONNX file")
        yield key >> 3, start, body, position


def read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Give the number that begins at `position`, and where it ends. Raises ValueError when the message ends first."""
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("a truncated ONNX file")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
