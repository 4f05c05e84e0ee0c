"""The layout of a GIF (89a): a screen, and blocks up to the trailer; their data comes in pieces of 255 bytes at most."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from apps.core.pictures.formats import MAX_STEPS, HeaderError, read_exactly

SIGNATURES = (b"GIF87a", b"GIF89a")
IMAGE, TERMINATOR = b",", b"\0"


def read_screen(file: BinaryIO) -> tuple[int, int]:
    """Width and height of the canvas in px; an image may reach beyond it. Raises HeaderError where it is cut."""
    file.seek(6)
    width, height = struct.unpack("<HHxxx", read_exactly(file, 7))
    return width, height


def blocks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """
    Walk the images up to the trailer; extensions are passed over, and so is rubbish between blocks.

    Args:
        file: seekable; it stands at the place that comes, and may be moved.

    Returns:
        IMAGE and where its descriptor begins, then TERMINATOR and where its data ends: behind the file's own end where a
        piece is cut, and at it where the terminator itself is missing.

    Raises:
        HeaderError: there is no trailer, or more than `MAX_STEPS` pieces and blocks.
    """
    file.seek(10)
    file.seek(2 + _table_bytes(read_exactly(file, 1)[0]), 1)
    steps = iter(range(MAX_STEPS))
    while _is_image_next(file, steps):
        place = file.tell()
        yield IMAGE, place
        file.seek(place)
        file.seek(_table_bytes(read_exactly(file, 9)[8]) + 1, 1)
        _skip_data(file, steps)
        place = file.tell()
        yield TERMINATOR, place
        file.seek(place)


def read_frame(file: BinaryIO) -> tuple[int, int, int, int]:
    """Left, top, width and height of an image in px, by the descriptor at which the file stands. Raises HeaderError."""
    left, top, width, height = struct.unpack("<HHHHx", read_exactly(file, 9))
    return left, top, width, height


def _table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _is_image_next(file: BinaryIO, steps: Iterator[int]) -> bool:
    """Skip extensions (!); true when an image descriptor comes, false at the trailer (;)."""
    for _ in steps:
        match read_exactly(file, 1):
            case b",":
                return True
            case b";":
                return False
            case b"!":
                file.seek(1, 1)
                _skip_data(file, steps)
    raise HeaderError("too many blocks")


def _skip_data(file: BinaryIO, steps: Iterator[int]) -> None:
    """Up to the terminator, or the file's end."""
    for _ in steps:
        length = file.read(1)
        if length in {b"", b"\0"}:
            return
        file.seek(length[0], 1)
    raise HeaderError("too many blocks")
