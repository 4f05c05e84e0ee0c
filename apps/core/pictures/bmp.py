"""The layout of a BMP: the file's header, the picture's, of several lengths, and rows of pixels."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from apps.core.pictures.formats import HeaderError, read_exactly

SIGNATURE = b"BM"

_CORE_BYTES = 12  # the first header, of OS/2: it has 16 bits for a side
_INFO_BYTES = frozenset({40, 52, 56, 64, 108, 124})
_UNCOMPRESSED = frozenset({0, 3})
_COMPRESSIONS = _UNCOMPRESSED | {1, 2}


class Info(NamedTuple):
    """
    Attributes:
        offset: where the pixels begin, in bytes from the file's start.
        width, height: px; whatever the file says, nothing and less than nothing, too.
        bits: of a pixel.
        compression: 0 and 3 none, 1 and 2 by the lengths of runs.
        colours: of the palette; 0 for as many as the bits can name.
    """

    offset: int
    width: int
    height: int
    bits: int
    compression: int = 0
    colours: int = 0

    @property
    def is_packed(self) -> bool:
        """Run-length encoded."""
        return self.compression not in _UNCOMPRESSED

    @property
    def end(self) -> int:
        """Where the last row's pixels end, in bytes, without its padding, which may be missing; if they are not packed."""
        stride, last_row = (self.width * self.bits + 31) // 32 * 4, (self.width * self.bits + 7) // 8
        return self.offset + stride * (self.height - 1) + last_row


def read_info(file: BinaryIO) -> Info:
    """
    Read both headers.

    Raises:
        HeaderError: they are cut, or unknown.
    """
    file.seek(10)
    offset, header_bytes = struct.unpack("<II", read_exactly(file, 8))
    if header_bytes == _CORE_BYTES:
        info = Info(offset, *struct.unpack("<HHxxH", read_exactly(file, 8)))
    elif header_bytes in _INFO_BYTES:
        width, height, bits, compression, colours = struct.unpack("<iixxHI12xI", read_exactly(file, 32))
        info = Info(offset, width, abs(height), bits, compression, colours)  # less than 0: stored from the top
    else:
        raise HeaderError("unknown BMP header")
    if info.bits not in {1, 4, 8, 16, 24, 32} or info.compression not in _COMPRESSIONS:
        raise HeaderError("unknown BMP coding")
    return info


def read_resolution(file: BinaryIO) -> tuple[int, int]:
    """Pixels a metre, across and down; 0 where the header is too short to say. Raises HeaderError where they are cut."""
    file.seek(14)
    if int.from_bytes(read_exactly(file, 4), "little") == _CORE_BYTES:
        return 0, 0
    file.seek(38)
    across, down = struct.unpack("<ii", read_exactly(file, 8))
    return across, down
