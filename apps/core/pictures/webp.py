"""The layout of a WebP (RFC 9649): a RIFF file of chunks, one of which holds the picture, or each a frame of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, TypeAlias

from apps.core.pictures.formats import MAX_CHUNKS, HeaderError, read_exactly

RIFF, WEBP = b"RIFF", b"WEBP"
"""What the file begins with, and what follows 4 bytes of length behind that."""

Chunk: TypeAlias = tuple[bytes, int, int]
"""
Its name; where it begins, in bytes from the file's start; and the length of its payload, which begins 8 bytes behind that and is
filled up to an even number.
"""

IMAGES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
"""The chunks that hold a picture; the last one a frame of it."""

IMAGE_HEAD_BYTES = 12
_ANIMATION, _RESERVED = 0x02, 0xC1

_HEAD = struct.Struct("<4sI")


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """
    Walk the chunks, up to the file's end by its own account, or as far as it goes.

    Args:
        file: seekable; it stands at each chunk's payload when that one comes, and may be moved.

    Raises:
        HeaderError: more than `MAX_CHUNKS` of them.
    """
    place, end = 12, read_end(file)
    for _ in range(MAX_CHUNKS):
        if place + _HEAD.size > end:
            return
        file.seek(place)
        try:
            name, length = _HEAD.unpack(file.read(_HEAD.size))
        except struct.error:
            return
        yield name, place, length
        place += 8 + length + length % 2
    raise HeaderError("too many chunks")


def read_end(file: BinaryIO) -> int:
    """Where the file ends by its own account, in bytes; what follows is no part of it. Raises HeaderError where that is cut."""
    file.seek(4)
    return int.from_bytes(read_exactly(file, 4), "little") + 8


def size_wh(name: bytes, payload: bytes) -> tuple[int, int]:
    """
    The picture's size in px.

    Args:
        name: of the first chunk: VP8X (the canvas), VP8L or VP8.
        payload: its first 10 bytes.

    Raises:
        HeaderError: it does not begin as such a bitstream does, or is cut.
    """
    if name == b"VP8X":
        return int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1
    if name == b"VP8L":
        if payload[:1] != b"\x2f" or len(payload) < 5:
            raise HeaderError("no VP8L signature")
        bits = int.from_bytes(payload[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if payload[3:6] != b"\x9d\x01\x2a" or len(payload) < 10:
        raise HeaderError("no VP8 start code")
    width, height = struct.unpack("<HH", payload[6:10])
    return width & 0x3FFF, height & 0x3FFF


class Canvas(NamedTuple):
    """
    What VP8X says of the whole file.

    Attributes:
        width, height: px.
        flags: of what the file holds.
    """

    width: int
    height: int
    flags: int


def read_canvas(file: BinaryIO) -> Canvas:
    """The payload of VP8X, at which the file stands. Raises HeaderError where it is cut."""
    payload = read_exactly(file, 10)
    return Canvas(*size_wh(b"VP8X", payload), payload[0])


def fits(name: bytes, payload: bytes, canvas: Canvas | None) -> bool:
    """
    Whether decoders take this image in a file with this header: a still fills the canvas, a frame lies within it.

    Args:
        name: of the chunk, one of `IMAGES`.
        payload: its first `IMAGE_HEAD_BYTES`.
        canvas: None for a file without VP8X, which holds one still.

    Raises:
        HeaderError: as from `size_wh`.
    """
    if name != b"ANMF":
        return canvas is None or (size_wh(name, payload) == canvas[:2] and not canvas.flags & _ANIMATION)
    if canvas is None or len(payload) < IMAGE_HEAD_BYTES:
        return False
    left, top, width, height = (int.from_bytes(payload[at : at + 3], "little") for at in (0, 3, 6, 9))
    is_within = 2 * left + width + 1 <= canvas.width and 2 * top + height + 1 <= canvas.height
    return is_within and canvas.flags & (_ANIMATION | _RESERVED) == _ANIMATION
