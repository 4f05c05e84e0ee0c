"""
Whether a file is all there, read once from end to end in bounded memory and without a single pixel.

Whoever is asked to pay first must not pay for half an upload: the header alone would let one pass. What only a decoder can
tell (damage inside the compressed data that keeps every checksum) is left to the worker.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import BinaryIO

from apps.core.image_headers import HeaderError, ImageFormat, jpeg_segments

_PIECE_BYTES = 262_144
_EOI = b"\xff\xd9"
# Inside a scan 0xFF is followed by 0, by a restart marker, or by the next marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MOST_CHUNKS = 65_536


def check_whole(file: BinaryIO, image_format: ImageFormat) -> None:
    """
    Read the whole file; its position is at the start afterwards.

    Args:
        file: seekable, its header checked already (`inspection.inspect`).

    Raises:
        HeaderError: it ends early, or its checksums say that it was damaged on the way.
    """
    try:
        match image_format:
            case ImageFormat.PNG:
                _png(file)
            case ImageFormat.JPEG:
                _jpeg(file)
            case ImageFormat.WEBP:
                _webp(file)
    except struct.error as error:
        raise HeaderError("ends early") from error
    finally:
        file.seek(0)


def _png(file: BinaryIO) -> None:
    """Every chunk with its checksum, and the pixel data's own end, up to IEND."""
    file.seek(8)
    inflater = zlib.decompressobj()
    for _ in range(_MOST_CHUNKS):
        length, name = struct.unpack(">I4s", file.read(8))
        crc = zlib.crc32(name)
        left = length
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                raise HeaderError("ends early")
            crc = zlib.crc32(piece, crc)
            left -= len(piece)
            if name == b"IDAT":
                _inflate(inflater, piece)
        if struct.unpack(">I", file.read(4))[0] != crc and name[0] < 0x61:  # an ancillary chunk may be damaged
            raise HeaderError("a chunk is damaged")
        if name == b"IEND":
            if not inflater.eof:
                raise HeaderError("the pixels end early")
            return
    raise HeaderError("too many chunks")


def _inflate(inflater: zlib._Decompress, piece: bytes) -> None:
    """Follow the deflate stream to its end; what it holds is thrown away piece by piece."""
    try:
        while piece and not inflater.eof:
            inflater.decompress(piece, _PIECE_BYTES)
            piece = inflater.unconsumed_tail
    except zlib.error as error:
        raise HeaderError("the pixels are damaged") from error


def _jpeg(file: BinaryIO) -> None:
    """The segments up to the first scan, then scan after scan up to the end marker."""
    for _ in jpeg_segments(file):
        pass
    file.seek(-2, 1)
    if not _skip_scan_header(file):
        raise HeaderError("ends in a scan's header")
    carried = b""
    while piece := file.read(_PIECE_BYTES):
        window = carried + piece
        if any(match[0] == _EOI for match in _MARKER.finditer(window)):
            return
        carried = window[-1:]
    raise HeaderError("ends before the end marker")


def _skip_scan_header(file: BinaryIO) -> bool:
    length = struct.unpack(">H", file.read(2))[0]
    return length >= 2 and len(file.read(length - 2)) == length - 2


def _webp(file: BinaryIO) -> None:
    """RIFF says how long the file is, and each chunk how long it is; the image's own chunk must be among them."""
    file.seek(0, 2)
    size_bytes = file.tell()
    file.seek(4)
    if size_bytes < struct.unpack("<I", file.read(4))[0] + 8:
        raise HeaderError("ends early")
    place, has_image = 12, False
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        if place + 8 + length > size_bytes:
            raise HeaderError("a chunk ends early")
        has_image = has_image or name in {b"VP8 ", b"VP8L", b"ANMF"}
        place += 8 + length + (length & 1)
    if not has_image:
        raise HeaderError("holds no image")
