"""
Walk an ONNX file, without the `onnx` package: it is a protobuf ModelProto.

Field 7 is the graph, and in the graph each field 12 is an output.
"""

from __future__ import annotations

from collections.abc import Iterator

GRAPH_FIELD = 7
OUTPUT_FIELD = 12
VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
        elif wire == _BYTES:
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
