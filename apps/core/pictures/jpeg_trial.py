"""
What only a decoder can tell of a JPEG, asked of libjpeg itself (through Pillow) for as little work as possible.

Two questions: do its headers hold together, and, where the end marker is missing, are its pixels all there? Neither needs a
whole picture, nor numpy: the web process asks them before anybody pays, and the worker asks the same, so that both agree.
"""

from __future__ import annotations

import io
import struct
import threading
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from apps.core.pictures.formats import HeaderError
from apps.core.pictures.jpeg import DRI, END, segments
from apps.core.pictures.jpeg_layout import JpegLayout, last_interval

MAX_TRIAL_VISITS, MAX_TRIAL_BYTES = 1_000_000, 4 * 1024 * 1024
"""
Of a JPEG in several scans without its end marker, which is decoded twice: .3 s of CPU at most, and 4 to 7 megapixels of an
ordinary progressive one.
"""

MAX_TRIAL_BYTES_OF_ONE_SCAN = 16 * 1024 * 1024
"""8 to 11 ms a MB, beside .06 s for receiving and hashing the largest file."""

_SHORT_BYTES = 4 * 1024 * 1024
_FEW_UNITS = 30_000
_MID_GREY = frozenset({127, 128})  # 127: as Pillow turns the ink of CMYK round
_TAILS = bytes(64), b"\xb2\x6d\x17\xc9" * 16
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error)
_one_at_a_time = threading.Lock()  # a picture in several scans takes up to 100 MB here


def check_headers(layout: JpegLayout) -> None:
    """
    Let libjpeg read every table and scan header, with the data left out and the frame shrunk to a few pixels.

    Raises:
        HeaderError: it would refuse the whole file for one of them.
    """
    width, height = layout.frame.mcu_wh
    _decoded(io.BytesIO(_resized(layout, width=width, height=height) + layout.rest + END), scale=8)


def check_last_pixels(file: BinaryIO, layout: JpegLayout) -> None:
    """
    See to it that the pixels of a JPEG without its end marker are all there.

    Args:
        file: seekable; its position is used and not restored.

    Raises:
        HeaderError: they are not, or that cannot be told: arithmetic coding goes on with nothing for ever, and several scans
            of many megapixels or more than 16 MB would take too long.
    """
    if layout.has_end_marker:
        return
    if layout.frame.is_arithmetic:
        raise HeaderError("without an end marker nobody can tell whether it is whole")
    with _one_at_a_time:
        if len(layout.scans) == 1:
            is_whole = layout.end <= MAX_TRIAL_BYTES_OF_ONE_SCAN and _goes_on_behind(file, layout)
        elif layout.block_visits > MAX_TRIAL_VISITS or layout.end > MAX_TRIAL_BYTES:
            raise HeaderError("several scans, many pixels and no end marker")
        else:
            is_whole = _depends_on_nothing_more(file, layout)
    if not is_whole:
        raise HeaderError("the last pixels are missing")


def _goes_on_behind(file: BinaryIO, layout: JpegLayout) -> bool:
    """
    Decode as if the picture had one unit more, and look at that one.

    libjpeg makes everything exactly mid-grey from the first unit on whose bits are short before it begins. Where the picture
    is whole that is the second unit behind it; the first comes out in the colour of the last, or in one by chance. An eighth
    of the size shows that quickly, but for pictures that are mid-grey themselves: these are looked at more closely.
    """
    start, units = last_interval(file, layout)
    (mcu_width, mcu_height), columns = layout.frame.mcu_wh, min(layout.frame.mcus_wh[0], units + 1)
    rows = units // columns + 1
    head = _resized(layout, width=columns * mcu_width, height=rows * mcu_height)
    ways = [(8, b""), (1, b""), (1, b"\x55\x55"), (1, b"\xaa\xaa")]
    is_small = layout.end - start < _SHORT_BYTES and units < _FEW_UNITS
    for wished, tail in ways if is_small else ways[:1]:
        picture, scale = _decoded(_Spliced(head, file, start, layout.end, tail + END), scale=wished)
        size_wh = mcu_width // scale, mcu_height // scale
        if not _is_mid_grey(picture, size_wh, units % columns, units // columns):
            return True
        if scale == 1 and not _is_mid_grey(picture, size_wh, (units - 1) % columns, (units - 1) // columns):
            return False  # the last unit has some bits of its own: what we put behind it would be taken for the rest of them
    return False


def _is_mid_grey(picture: Image.Image, size_wh: tuple[int, int], column: int, row: int) -> bool:
    """Whether a unit's last quarter is; its other edges borrow colour from their neighbours."""
    (width, height), (left, top) = size_wh, (column * size_wh[0], row * size_wh[1])
    quarter = picture.crop((left + width // 2, top + height // 2, left + width, top + height))
    return set(quarter.tobytes()) <= _MID_GREY


def _depends_on_nothing_more(file: BinaryIO, layout: JpegLayout) -> bool:
    """Decode twice, with something else behind the data each time: a whole picture is the same."""
    last_interval(file, layout)
    first, second = (
        _decoded(_Spliced(layout.head, file, layout.start, layout.end, tail + END), scale=1)[0] for tail in _TAILS
    )
    return ImageChops.difference(first, second).getbbox() is None


def _resized(layout: JpegLayout, *, width: int, height: int) -> bytes:
    """The head, with another size in the frame header, and without restarts."""
    head = bytearray(layout.head)
    for marker, place, _ in segments(io.BytesIO(layout.head)):
        if marker == layout.frame.marker:
            struct.pack_into(">HH", head, place + 5, height, width)
        elif marker == DRI:
            struct.pack_into(">H", head, place + 4, 0)
    return bytes(head)


def _decoded(file: io.BytesIO | _Spliced, *, scale: int) -> tuple[Image.Image, int]:
    """The picture, and by how much it is smaller: `scale`, or less where it has only a few pixels."""
    try:
        picture = JpegImageFile(cast(IO[bytes], file))
        picture.draft(None, (max(1, picture.width // scale), max(1, picture.height // scale)))
        picture.load()
    except _DAMAGED as error:
        raise HeaderError("libjpeg refuses its headers") from error
    return picture, picture.decoderconfig[0]


@dataclass
class _Spliced:
    """A head, the bytes `start` to `end` of a file, and a tail, read as one file without being copied together."""

    head: bytes
    file: BinaryIO
    start: int
    end: int
    tail: bytes
    place: int = 0

    def read(self, count: int) -> bytes:
        body = self.end - self.start
        for part, length in ((0, len(self.head)), (1, body), (2, len(self.tail))):
            offset = self.place - (0, len(self.head), len(self.head) + body)[part]
            if offset < length:
                taken = min(count, length - offset)
                data = self._part(part, offset, taken)
                self.place += len(data)
                return data
        return b""

    def _part(self, part: int, offset: int, count: int) -> bytes:
        if part == 1:
            self.file.seek(self.start + offset)
            return self.file.read(count)
        return (self.head, b"", self.tail)[part][offset : offset + count]

    def seek(self, place: int) -> None:
        self.place = place

    def tell(self) -> int:
        return self.place
