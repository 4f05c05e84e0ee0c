"""
Cut an ONNX graph down to its first output, without the `onnx` package.

Networks with deep supervision give a matte at each depth for their training. The runtime computes every declared
output, and keeps its memory until the end; undeclared, its optimiser drops the nodes that lead nowhere else.

An ONNX file is a protobuf ModelProto: field 7 is the graph, and in the graph each field 12 is an output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

_GRAPH_FIELD = 7
_OUTPUT_FIELD = 12
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
    for field, start, body, end in _fields(view):
        if field == _GRAPH_FIELD:
            kept = list(_first_output_parts(view[body:end]))
            target.write(_varint(_GRAPH_FIELD << 3 | _BYTES) + _varint(sum(map(len, kept))))
            target.writelines(kept)
        else:
            target.write(view[start:end])


def _first_output_parts(graph: memoryview) -> Iterator[memoryview]:
    seen = False
    for field, start, _, end in _fields(graph):
        if field == _OUTPUT_FIELD and seen:
            continue
        seen = seen or field == _OUTPUT_FIELD
        yield graph[start:end]


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, where it starts, where its body starts, where it ends) for each field."""
    position = 0
    while position < len(message):
        start = position
        key, position = _read_varint(message, position)
        wire = key & 7
        body = position
        if wire == _VARINT:
            _, position = _read_varint(message, position)
        elif wire == _BYTES:
            length, body = _read_varint(message, position)
            position = body + length
        elif wire in (_FIXED32, _FIXED64):
            position += 4 if wire == _FIXED32 else 8
        else:
            raise ValueError("not an ONNX file")
        if position > len(message):
            raise ValueError("a truncated ONNX file")
        yield key >> 3, start, body, position


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
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
