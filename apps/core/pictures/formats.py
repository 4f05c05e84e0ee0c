"""What the five formats have in common: their names, what their readers raise, and how much work a reader does at most."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import BinaryIO

MAX_STEPS = 65_536  # blocks of a GIF, 16 MB of them, or bytes passed over one by one
MAX_CHUNKS = 16_384  # of one PNG or WebP; an honest 70 MB PNG in 8 KB pieces has 9,000
MAX_SEGMENTS = 1_024  # before the pixels: decoders handle these one by one, in Python
MAX_METADATA_BYTES = 17 * 1024 * 1024  # before the pixels: decoders join these; 255 segments of a profile fit


class ImageFormat(StrEnum):
    """The formats that can be decoded here."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    BMP = "BMP"


class HeaderError(Exception):
    """The header does not parse: broken, truncated, or built to exhaust its reader."""


class TooMuchWorkError(HeaderError):
    """The file is legal, and built so that decoding it takes minutes."""


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """
    The next bytes, all of them.

    Raises:
        HeaderError: the file ends before.
    """
    data = file.read(count)
    if len(data) < count:
        raise HeaderError("too short")
    return data


def size_of(file: BinaryIO) -> int:
    """A file's length in bytes; its position is used and not restored."""
    file.seek(0, os.SEEK_END)
    return file.tell()  # an upload's seek() may return nothing
