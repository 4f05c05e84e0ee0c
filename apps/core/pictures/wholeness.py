"""
Whether a file is all there, read once from end to end in bounded time and memory.

Whoever is asked to pay first must not pay for half an upload: the header alone would let one pass. The worker asks the same
again before it decodes, so that it refuses what was refused here and nothing else, but for damage inside the compressed data
that keeps every checksum: only decoding tells that, and its price is given back.
"""

from __future__ import annotations

from collections.abc import Container
from typing import BinaryIO, cast

from isal import isal_zlib

from apps.core.pictures import gif, png, webp
from apps.core.pictures.formats import MAX_CHUNKS, HeaderError, ImageFormat, size_of
from apps.core.pictures.inspection import ImageHeader
from apps.core.pictures.jpeg_layout import JpegLayout, read_layout
from apps.core.pictures.jpeg_trial import check_headers, check_last_pixels

MAX_INFLATED_BYTES = 200 * 1024 * 1024
"""
Of a PNG's pixels, followed to their end: 66 megapixels of 24 bits. ISA-L does 0.4 to 2 GB a second (zlib half to a fifth of
it); what lies beyond is vouched for by the checksums alone.
"""

_PIECE_BYTES = 262_144
_BROKEN_STREAM = cast(type[Exception], isal_zlib.error)  # its stubs call it an instance
_LAST_FILTER = 4
_PALETTE = range(3, 769, 3)
_PNG_LENGTHS: dict[int, dict[bytes, Container[int]]] = {
    0: {b"tRNS": (2,)},
    2: {b"tRNS": (6,), b"PLTE": _PALETTE},
    3: {b"tRNS": range(1, 257), b"PLTE": _PALETTE},
    4: {},
    6: {b"PLTE": _PALETTE},
}
"""Of the chunks that decoders insist on, in bytes, by the header's kind of colour."""

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def check_whole(file: BinaryIO, header: ImageHeader) -> JpegLayout | None:
    """
    Read the whole file; its position is at the start afterwards.

    Args:
        file: seekable.
        header: of the same file (`inspection.inspect`).

    Returns:
        The layout of a JPEG.

    Raises:
        HeaderError: it ends early, or its checksums say that it was damaged on the way.
    """
    try:
        match header.format:
            case ImageFormat.JPEG:
                layout = header.layout or read_layout(file)
                size_wh = layout.frame.width, layout.frame.height
                if size_wh != header.stored_wh:
                    raise HeaderError("two sizes in one file")
                check_headers(layout)
                check_last_pixels(file, layout)
                return layout
            case ImageFormat.PNG:
                _png(file)
                _png_pixels(file)
            case ImageFormat.WEBP:
                _webp(file)
            case ImageFormat.GIF:
                _gif(file)
    finally:
        file.seek(0)
    return None


def _png(file: BinaryIO) -> None:
    """Every chunk up to IEND, with its checksum. IEND itself says nothing: the pixels tell whether all of them are there."""
    fits = _PNG_LENGTHS[png.read_ihdr(file).colour]
    for name, _, length in png.chunks(file, most=MAX_CHUNKS - 1):  # IHDR is one of them
        if name == b"IEND":
            return
        if name in fits and length not in fits[name]:
            raise HeaderError("a palette or a transparent colour of an impossible length")
        if not png.is_intact(file, name, length) and name[0] < 0x61:  # an ancillary chunk may be damaged
            raise HeaderError("a chunk is damaged")


def _png_pixels(file: BinaryIO) -> None:
    """Follow the deflate stream until the picture is full: a stream may go on for ever behind that."""
    rows, inflater = _PngRows(png.read_ihdr(file)), isal_zlib.decompressobj()
    for name, _, length in png.chunks(file):
        if not rows.wanted or inflater.eof:
            break
        if name == b"IDAT":
            for done in range(0, length, _PIECE_BYTES):
                _inflate(inflater, file.read(min(_PIECE_BYTES, length - done)), rows)
    if rows.wanted:
        raise HeaderError("the pixels end early")


def _inflate(inflater: isal_zlib.Decompress, piece: bytes, rows: _PngRows) -> None:
    """What comes out is looked at and thrown away a little at a time."""
    try:
        while piece and rows.wanted and not inflater.eof:
            rows.take(inflater.decompress(piece, min(_PIECE_BYTES, rows.wanted)))
            piece = inflater.unconsumed_tail
    except _BROKEN_STREAM as error:
        raise HeaderError("the pixels are damaged") from error


class _PngRows:
    """The rows of a PNG, each behind a byte that names its filter, in one pass or in seven."""

    def __init__(self, ihdr: png.Ihdr) -> None:
        self._passes: list[tuple[int, int, int]] = []  # first byte, end, bytes a row
        self._found, end = 0, 0
        for left, top, step_x, step_y in _ADAM7 if ihdr.is_interlaced else ((0, 0, 1, 1),):
            columns, rows = -(-(ihdr.width - left) // step_x), -(-(ihdr.height - top) // step_y)
            if columns > 0 and rows > 0:
                row_bytes = 1 + -(-columns * ihdr.depth * ihdr.channels // 8)
                self._passes.append((end, end + rows * row_bytes, row_bytes))
                end += rows * row_bytes
        self._end = min(end, MAX_INFLATED_BYTES)

    @property
    def wanted(self) -> int:
        """How many bytes are still to come."""
        return self._end - self._found

    def take(self, data: bytes) -> None:
        """Raises HeaderError where a row names a filter that there is none of."""
        start, self._found = self._found, self._found + len(data)
        for first, end, row_bytes in self._passes:
            at = first if start <= first else start + (first - start) % row_bytes
            filters = data[at - start : max(0, min(end, self._found) - start) : row_bytes]
            if filters and max(filters) > _LAST_FILTER:
                raise HeaderError("the pixels are damaged")


def _webp(file: BinaryIO) -> None:
    """RIFF says how long the file is, and each chunk how long it is; an image that fits the canvas must be among them."""
    size_bytes, end, has_image = size_of(file), webp.read_end(file), False
    canvas: webp.Canvas | None = None
    if size_bytes < end:
        raise HeaderError("ends early")
    for name, place, length in webp.chunks(file):
        if place + 8 + length > end:
            raise HeaderError("a chunk ends early")
        if name == b"VP8X":
            canvas = webp.read_canvas(file)
        elif name in webp.IMAGES:
            has_image = True
            if not webp.fits(name, file.read(webp.IMAGE_HEAD_BYTES), canvas):
                raise HeaderError("an image that contradicts the file's header")
    if not has_image:
        raise HeaderError("holds no image")


def _gif(file: BinaryIO) -> None:
    """No piece of the first frame may be cut; their terminator may be missing, which costs no pixel."""
    size_bytes = size_of(file)
    ends = (place for kind, place in gif.blocks(file) if kind == gif.TERMINATOR)
    if next(ends, size_bytes + 1) > size_bytes:
        raise HeaderError("cut within the pixels, or none there")
