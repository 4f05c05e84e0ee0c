"""Write a tiny ONNX file by hand: x -> Relu -> "first", x -> Sigmoid -> "second", both (1, 3, 4, 4) float32."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ml.sessions.session import Session


def tiny_model(outputs: tuple[str, ...] = ("first", "second")) -> bytes:
    nodes = _field(1, _node("Relu", "x", "first")) + _field(1, _node("Sigmoid", "x", "second"))
    values = _field(11, _value("x")) + b"".join(_field(12, _value(name)) for name in outputs)
    graph = nodes + _field(2, b"tiny") + values
    opset = _number(2, 13)
    return _number(1, 8) + _field(7, graph) + _field(8, opset)


def mixed_up(session: Session) -> list[int]:
    """Have eight threads at once run the model, fifty times each on a number of their own; gives whose answer was wrong."""

    def wrong(number: int) -> list[int]:
        tensor = np.full((1, 3, 4, 4), number, np.float32)
        return [number for _ in range(50) if not (session.run(tensor) == number).all()]

    with ThreadPoolExecutor(8) as pool:
        return [number for each in pool.map(wrong, range(8)) for number in each]


def _node(operator: str, source: str, target: str) -> bytes:
    return _field(1, source.encode()) + _field(2, target.encode()) + _field(4, operator.encode())


def _value(name: str) -> bytes:
    shape = b"".join(_field(1, _number(1, side)) for side in (1, 3, 4, 4))
    tensor = _number(1, 1) + _field(2, shape)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(body)) + body


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3]) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
