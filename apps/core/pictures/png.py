"""The layout of a PNG (third edition, chapter 5): a signature, IHDR, and chunks up to IEND. Nothing is inflated here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, TypeAlias

from isal import isal_zlib

from apps.core.pictures.formats import (
    MAX_CHUNKS,
    MAX_METADATA_BYTES,
    MAX_SEGMENTS,
    HeaderError,
    read_exactly,
    size_of,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR_END = 33  # bytes from the file's start

Chunk: TypeAlias = tuple[bytes, int, int]
"""
Its name, four letters, the first of which is a capital where nobody can do without it; where it begins, in bytes from the file's
start; and the length of its payload, which begins 8 bytes behind that, and behind which 4 bytes of checksum follow.
"""

_HEAD = struct.Struct(">I4s")
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE_BYTES = 262_144


class Ihdr(NamedTuple):
    """
    Attributes:
        width, height: px.
        depth: bits a channel.
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        is_interlaced: in Adam7's seven passes.
    """

    width: int
    height: int
    depth: int
    colour: int
    is_interlaced: bool

    @property
    def channels(self) -> int:
        return _CHANNELS[self.colour]

    @property
    def is_grey(self) -> bool:
        return self.colour in {0, 4}

    @property
    def has_alpha(self) -> bool:
        """A channel of it; a palette, or one colour, may be transparent without."""
        return self.colour in {4, 6}


def read_ihdr(file: BinaryIO) -> Ihdr:
    """
    Read the header that stands right behind the signature.

    Raises:
        HeaderError: it is cut or damaged, or there are no such pixels.
    """
    file.seek(len(SIGNATURE))
    ihdr = read_exactly(file, IHDR_END - len(SIGNATURE))
    if ihdr[:8] != b"\0\0\0\rIHDR" or zlib.crc32(ihdr[4:21]) != struct.unpack(">I", ihdr[21:])[0]:
        raise HeaderError("damaged IHDR")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", ihdr[8:21])
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise HeaderError("impossible IHDR")
    return Ihdr(width, height, depth, colour, bool(interlace))


def chunks(file: BinaryIO, *, most: int = MAX_CHUNKS) -> Iterator[Chunk]:
    """
    Walk the chunks behind IHDR, up to IEND or as far as the file goes.

    Args:
        file: seekable; it stands at each chunk's payload when that one comes, and may be moved.
        most: so many, and IEND is among them.

    Raises:
        HeaderError: a chunk before the pixels is cut, or there are too many, or too much before the pixels.
    """
    size_bytes, place, metadata_bytes, seen_pixels = size_of(file), IHDR_END, 0, False
    for step in range(most):
        file.seek(place)
        try:
            length, name = _HEAD.unpack(file.read(8))
        except struct.error:
            return
        seen_pixels = seen_pixels or name == b"IDAT"
        if not seen_pixels:
            metadata_bytes += length
            if place + 8 + length > size_bytes:
                raise HeaderError("chunk beyond the end")
            if metadata_bytes > MAX_METADATA_BYTES or step > MAX_SEGMENTS:
                raise HeaderError("too much metadata")
        yield name, place, length
        if name == b"IEND":
            return
        place += 12 + length
    raise HeaderError("too many chunks")


def is_intact(file: BinaryIO, name: bytes, length: int) -> bool:
    """
    Whether a chunk has the checksum that it says; it is read in pieces.

    Args:
        file: stands at the payload; behind the chunk afterwards.

    Raises:
        HeaderError: the file ends within it.
    """
    crc = zlib.crc32(name)
    while length:
        piece = file.read(min(length, _PIECE_BYTES))
        if not piece:
            raise HeaderError("ends early")
        crc = isal_zlib.crc32(piece, crc)  # 16 times as fast as zlib's
        length -= len(piece)
    told = file.read(4)
    if told == crc.to_bytes(4, "big"):
        return True
    if len(told) < 4:
        raise HeaderError("ends early")
    return False


def pack_chunk(name: bytes, payload: bytes) -> bytes:
    """A chunk as it is written: length and name before the payload, a checksum behind it."""
    crc = zlib.crc32(payload, zlib.crc32(name))
    return b"".join([struct.pack(">I", len(payload)), name, payload, struct.pack(">I", crc)])
