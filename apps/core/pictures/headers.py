"""
The headers of the five image formats, read by hand: few bytes, bounded steps, no pixel, no inflating.

Pillow would do, but before the first pixel it joins every APP segment, inflates every text chunk and builds
the canvas of a WebP: a hostile file costs seconds and hundreds of megabytes in the process that answers all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from apps.core.pictures import jpeg, png
from apps.core.pictures.formats import (
    MAX_CHUNKS,
    MAX_STEPS,
    HeaderError,
    ImageFormat,
    read_exactly,
)

MAX_EXIF_BYTES = 65_536  # the orientation stands in the first directory; JPEG cannot hold more anyway


@dataclass(frozen=True)
class RawHeader:
    """Size as stored (before the orientation), in px."""

    width: int
    height: int
    orientation: int = 1
    is_animated: bool = False
    is_slow: bool = False


def read_header(file: BinaryIO, image_format: ImageFormat, *, size_bytes: int) -> RawHeader:
    """
    Read size, orientation and animation from the file's start.

    Args:
        file: seekable; its position is used and not restored.
        image_format: as the magic bytes say.
        size_bytes: length of the file.

    Raises:
        HeaderError: see there.
    """
    file.seek(0)
    try:
        match image_format:
            case ImageFormat.JPEG:
                header = _jpeg(file)
            case ImageFormat.PNG:
                header = _png(file)
            case ImageFormat.WEBP:
                header = _webp(file, size_bytes)
            case ImageFormat.GIF:
                header = _gif(file)
            case ImageFormat.BMP:
                header = _bmp(file, size_bytes)
    except (struct.error, IndexError) as error:
        raise HeaderError("too short") from error
    if header.width < 1 or header.height < 1:
        raise HeaderError("no pixels")
    return header


# JPEG -----------------------------------------------------------------------------------------------------


def _jpeg(file: BinaryIO) -> RawHeader:
    size_hw: tuple[int, int] | None = None
    orientation, is_slow = 0, False
    for marker, _, length in jpeg.segments(file):
        if marker in jpeg.SOF and size_hw is None:
            size_hw, is_slow = (
                struct.unpack(">xHH", read_exactly(file, 5)),
                marker in jpeg.PROGRESSIVE | jpeg.ARITHMETIC,
            )
        elif marker == jpeg.APP1 and not orientation and file.read(min(length, 6)) == jpeg.EXIF_TAG:
            orientation = read_orientation(file.read(length - 6))
    if size_hw is None:
        raise HeaderError("no frame before the scan")
    return RawHeader(size_hw[1], size_hw[0], orientation or 1, is_slow=is_slow)


# PNG ------------------------------------------------------------------------------------------------------


def _png(file: BinaryIO) -> RawHeader:
    ihdr = png.read_ihdr(file)
    orientation, frames, seen_pixels = 1, 1, False
    for name, _, length in png.chunks(file):
        if name == b"eXIf":
            orientation = read_orientation(file.read(min(length, MAX_EXIF_BYTES)))
        elif name == b"acTL" and not seen_pixels:
            frames = struct.unpack(">I", read_exactly(file, 4))[0]
        seen_pixels = seen_pixels or name == b"IDAT"
    if not seen_pixels:
        raise HeaderError("no pixels")
    return RawHeader(ihdr.width, ihdr.height, orientation, is_animated=frames > 1)


# WebP -----------------------------------------------------------------------------------------------------


def _webp(file: BinaryIO, size_bytes: int) -> RawHeader:
    size_wh: tuple[int, int] | None = None
    orientation, frames = 1, 0
    for name, length in webp_chunks(file, size_bytes):
        if name in {b"VP8 ", b"VP8L", b"VP8X"} and size_wh is None:
            size_wh = _webp_size_wh(name, file.read(10))
        elif size_wh is None:
            raise HeaderError("no bitstream first")
        elif name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
            orientation = read_orientation(file.read(min(length, MAX_EXIF_BYTES)))
    if size_wh is None:
        raise HeaderError("no bitstream")
    return RawHeader(*size_wh, orientation, is_animated=frames > 1)


def webp_chunks(file: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, int]]:
    """
    Walk a WebP's chunks, as far as the file goes.

    Returns:
        Name and length in bytes of each; the file then stands at the payload.

    Raises:
        HeaderError: more than `MAX_CHUNKS` of them.
    """
    position = 12
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or position >= size_bytes:
            return
        name, length = struct.unpack("<4sI", head)
        yield name, length
        position += 8 + length + length % 2
    raise HeaderError("too many chunks")


def _webp_size_wh(name: bytes, data: bytes) -> tuple[int, int]:
    if name == b"VP8X":
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if name == b"VP8L":
        if data[0] != 0x2F:
            raise HeaderError("no VP8L signature")
        bits = struct.unpack("<I", data[1:5])[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[3:6] != b"\x9d\x01\x2a":
        raise HeaderError("no VP8 start code")
    width, height = struct.unpack("<HH", data[6:10])
    return width & 0x3FFF, height & 0x3FFF


# GIF ------------------------------------------------------------------------------------------------------


def _gif(file: BinaryIO) -> RawHeader:
    """The canvas, enlarged by a first frame that reaches beyond it; animated if a second image follows."""
    file.seek(6)
    width, height, flags = struct.unpack("<HHBxx", read_exactly(file, 7))
    file.seek(_gif_table_bytes(flags), 1)
    steps = iter(range(MAX_STEPS))
    if not _gif_next_image(file, steps):
        raise HeaderError("no image")
    left, top, frame_width, frame_height, flags = struct.unpack("<HHHHB", read_exactly(file, 9))
    width, height = max(width, left + frame_width), max(height, top + frame_height)
    try:
        file.seek(_gif_table_bytes(flags) + 1, 1)
        _gif_skip_blocks(file, steps)
        is_animated = _gif_next_image(file, steps)
    except HeaderError:  # cut within the pixels, or over the budget: the decoder judges the first frame
        is_animated = False
    return RawHeader(width, height, is_animated=is_animated)


def check_first_frame(file: BinaryIO) -> None:
    """
    See to it that no block of a GIF's first frame is cut; the blocks' own end may be missing, which costs no pixel.

    Raises:
        HeaderError: one is.
    """
    file.seek(0, os.SEEK_END)
    size_bytes = file.tell()
    file.seek(10)
    file.seek(2 + _gif_table_bytes(read_exactly(file, 1)[0]), 1)
    steps = iter(range(MAX_STEPS))
    if not _gif_next_image(file, steps):
        raise HeaderError("no image")
    file.seek(_gif_table_bytes(read_exactly(file, 9)[8]) + 1, 1)
    for _ in steps:
        length = file.read(1)
        if length in {b"", b"\0"}:
            return
        file.seek(length[0], 1)
        if file.tell() > size_bytes:
            raise HeaderError("cut within the pixels")
    raise HeaderError("too many blocks")


def _gif_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_next_image(file: BinaryIO, steps: Iterator[int]) -> bool:
    """Skip extensions; true when an image descriptor comes, false at the trailer."""
    for _ in steps:
        match read_exactly(file, 1):
            case b",":
                return True
            case b";":
                return False
            case b"!":
                file.seek(1, 1)
                _gif_skip_blocks(file, steps)
    raise HeaderError("too many blocks")


def _gif_skip_blocks(file: BinaryIO, steps: Iterator[int]) -> None:
    for _ in steps:
        length = read_exactly(file, 1)[0]
        if not length:
            return
        file.seek(length, 1)
    raise HeaderError("too many blocks")


# BMP ------------------------------------------------------------------------------------------------------


def _bmp(file: BinaryIO, size_bytes: int) -> RawHeader:
    file.seek(10)
    offset, header_bytes = struct.unpack("<II", read_exactly(file, 8))
    compression = colours = 0
    if header_bytes == 12:
        width, height, _, bits = struct.unpack("<HHHH", read_exactly(file, 8))
    elif header_bytes in {40, 52, 56, 64, 108, 124}:
        width, height, _, bits, compression, colours = struct.unpack("<iiHHI12xI", read_exactly(file, 32))
    else:
        raise HeaderError("unknown BMP header")
    if bits not in {1, 4, 8, 16, 24, 32} or compression not in {0, 1, 2, 3}:
        raise HeaderError("unknown BMP coding")
    if bits <= 8 and colours > MAX_STEPS:
        raise HeaderError("a palette that nobody writes")
    height = abs(height)  # negative: stored from the top
    stride, last_row = (width * bits + 31) // 32 * 4, (width * bits + 7) // 8  # the very last padding may be missing
    if compression in {0, 3} and offset + stride * (height - 1) + last_row > size_bytes:
        raise HeaderError("fewer pixels than the header claims")
    return RawHeader(width, height)


# EXIF -----------------------------------------------------------------------------------------------------


def read_orientation(exif: bytes) -> int:
    """
    Find tag 0x0112 in the first directory of an EXIF block.

    Args:
        exif: a TIFF structure, with or without the `Exif\\0\\0` prefix; may be rubbish.

    Returns:
        1..8; 1 where it is absent or makes no sense.
    """
    tiff = exif[6:] if exif.startswith(b"Exif\0") else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        start = struct.unpack_from(order + "I", tiff, 4)[0]
        count = struct.unpack_from(order + "H", tiff, start)[0]
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == 0x0112:
                value = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, entry + 8)[0]
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
