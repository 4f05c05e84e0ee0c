"""
The headers of the five image formats, read by hand: few bytes, bounded steps, no pixel, no inflating.

Pillow would do, but before the first pixel it joins every APP segment, inflates every text chunk and builds
the canvas of a WebP: a hostile file costs seconds and hundreds of megabytes in the process that answers all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from apps.core.pictures import bmp, gif, jpeg, png, webp
from apps.core.pictures.exif import MAX_EXIF_BYTES, read_orientation
from apps.core.pictures.formats import MAX_STEPS, HeaderError, ImageFormat, read_exactly, size_of


@dataclass(frozen=True)
class RawHeader:
    """
    Args:
        width, height: as stored (before the orientation), in px.
        is_slow: a JPEG that has to be read from end to end to know what decoding it costs.
        unpacked_bytes: of a PNG, when it is inflated; 0 for the others.
    """

    width: int
    height: int
    orientation: int = 1
    is_animated: bool = False
    is_slow: bool = False
    unpacked_bytes: int = 0


def read_header(file: BinaryIO, image_format: ImageFormat) -> RawHeader:
    """
    Read size, orientation and animation from the file's start.

    Args:
        file: seekable; its position is used and not restored.
        image_format: as the magic bytes say.

    Raises:
        HeaderError: see there.
    """
    match image_format:
        case ImageFormat.JPEG:
            header = _jpeg(file)
        case ImageFormat.PNG:
            header = _png(file)
        case ImageFormat.WEBP:
            header = _webp(file)
        case ImageFormat.GIF:
            header = _gif(file)
        case ImageFormat.BMP:
            header = _bmp(file)
    if header.width < 1 or header.height < 1:
        raise HeaderError("no pixels")
    return header


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
    unpacked_bytes = ihdr.width * ihdr.height * ihdr.channels * ihdr.depth // 8
    return RawHeader(ihdr.width, ihdr.height, orientation, is_animated=frames > 1, unpacked_bytes=unpacked_bytes)


def _webp(file: BinaryIO) -> RawHeader:
    size_wh: tuple[int, int] | None = None
    orientation, frames = 1, 0
    for name, _, length in webp.chunks(file):
        if name in {b"VP8 ", b"VP8L", b"VP8X"} and size_wh is None:
            size_wh = webp.size_wh(name, file.read(10))
        elif size_wh is None:
            raise HeaderError("no bitstream first")
        elif name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
            orientation = read_orientation(file.read(min(length, MAX_EXIF_BYTES)))
    if size_wh is None:
        raise HeaderError("no bitstream")
    return RawHeader(*size_wh, orientation, is_animated=frames > 1)


def _gif(file: BinaryIO) -> RawHeader:
    """The canvas, enlarged by a first frame that reaches beyond it; animated if a second image follows."""
    width, height = gif.read_screen(file)
    blocks = gif.blocks(file)
    if next(blocks, None) is None:
        raise HeaderError("no image")
    left, top, frame_width, frame_height = gif.read_frame(file)
    try:
        is_animated = any(kind == gif.IMAGE for kind, _ in blocks)
    except HeaderError:  # cut within the pixels, or over the budget: the decoder judges the first frame
        is_animated = False
    return RawHeader(max(width, left + frame_width), max(height, top + frame_height), is_animated=is_animated)


def _bmp(file: BinaryIO) -> RawHeader:
    info = bmp.read_info(file)
    if info.bits <= 8 and info.colours > MAX_STEPS:
        raise HeaderError("a palette that nobody writes")
    if not info.is_packed and info.end > size_of(file):
        raise HeaderError("fewer pixels than the header claims")
    return RawHeader(info.width, info.height)
