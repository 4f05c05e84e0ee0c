"""The layout of a JPEG (ITU-T T.81, annex B): markers, the segments behind them, and the scans' data between these."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, TypeAlias

from apps.core.pictures.formats import (
    MAX_METADATA_BYTES,
    MAX_SEGMENTS,
    MAX_STEPS,
    HeaderError,
    TooMuchWorkError,
    read_exactly,
)

MAX_SCANS = 500
"""The bound of libjpeg-turbo's own fuzzers; programs write ten to twenty."""

SIGNATURE = b"\xff\xd8\xff"
SOI, EOI, SOS, DHT, DAC, DNL, DQT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xCC, 0xDC, 0xDB, 0xDD, 0xFE
APP0, APP1, APP2, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
SOF = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, DAC}
SEQUENTIAL, PROGRESSIVE, ARITHMETIC = frozenset({0xC0, 0xC1, 0xC9}), frozenset({0xC2, 0xCA}), frozenset({0xC9, 0xCA})
END = bytes([0xFF, EOI])
JFIF_TAG, EXIF_TAG, XMP_TAG = b"JFIF\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"  # with which payloads begin
ICC_TAG, PHOTOSHOP_TAG = b"ICC_PROFILE\0", b"Photoshop 3.0\0"

Segment: TypeAlias = tuple[int, int, int]
"""
Its marker's code; where its marker stands, in bytes from the file's start; and the length of its payload, which begins 4 bytes
behind that.
"""

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_MAX_FILL_BYTES = 65_536  # 0xFF may be repeated before a marker; each costs a step here, and nobody writes them
_PIECE_BYTES = 262_144
# 0xFF is followed by 0 within a scan; restart markers and TEM (1) stand alone, and decoders pass over them.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def segments(file: BinaryIO) -> Iterator[Segment]:
    """
    Walk the segments up to the first scan's header, which is the last.

    Args:
        file: seekable; it stands at each segment's payload when that one comes, and may be moved.

    Raises:
        HeaderError: no scan follows, or there are more than `MAX_SEGMENTS` or `MAX_METADATA_BYTES` before it.
    """
    file.seek(2)
    metadata_bytes, steps = 0, iter(range(MAX_STEPS))
    for _ in range(MAX_SEGMENTS):
        marker = _marker(file, steps)
        if marker in _STANDALONE:
            continue
        if marker == EOI:
            raise HeaderError("ends before the scan")
        length = struct.unpack(">H", read_exactly(file, 2))[0] - 2
        if length < 0:
            raise HeaderError("segment of negative length")
        start = file.tell()
        metadata_bytes += length
        if metadata_bytes > MAX_METADATA_BYTES and marker != SOS:
            break
        yield marker, start - 4, length
        if marker == SOS:
            return
        file.seek(start + length)
    raise HeaderError("too much metadata")


def segments_behind(file: BinaryIO, place: int) -> Iterator[Segment]:
    """
    Walk on from a scan's data: over it, and from segment to segment and scan to scan.

    Args:
        file: seekable; it stands at each segment's payload when that one comes, and may be moved.
        place: where the data begins.

    Returns:
        The same as `segments`, and at last one whose length is -1: the end marker, a segment whose length is cut or
        impossible, or the end of the file, which has the marker 0.

    Raises:
        HeaderError: fill bytes without end.
        TooMuchWorkError: more than `MAX_SEGMENTS` and `MAX_SCANS` together.
    """
    fill = iter(range(_MAX_FILL_BYTES))
    for _ in range(MAX_SEGMENTS + MAX_SCANS):
        place, marker = _next_marker(file, place, fill)
        told = b"" if marker in {EOI, 0} else file.read(2)
        length = max(-1, int.from_bytes(told, "big") - 2) if len(told) == 2 else -1
        yield marker, place, length
        if length < 0:
            return
        place += 4 + length
    raise TooMuchWorkError("too many segments between the scans")


def behind_restart(file: BinaryIO, start: int, end: int, *, count: int) -> int | None:
    """Where the data goes on behind the `count`th restart marker between two places, in bytes; None where there are fewer."""
    for place, window in _windows(file, start, end):
        found = len(_RESTART.findall(window))  # of a million of them in a picture, only the last one's place is wanted
        if found < count:
            count -= found
            continue
        return place + next(islice(_RESTART.finditer(window), count - 1, None)).end()
    return None


def pack_segment(marker: int, payload: bytes) -> bytes:
    """A segment as it is written: marker and length before the payload, of 65,533 bytes at most."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _marker(file: BinaryIO, steps: Iterator[int]) -> int:
    """The next marker's code; fill bytes and a little rubbish before it are skipped, as libjpeg does."""
    previous = 0
    for _ in steps:
        byte = read_exactly(file, 1)[0]
        if previous == 0xFF and byte not in {0x00, 0xFF}:
            return byte
        previous = byte
    raise HeaderError("no marker")


def _next_marker(file: BinaryIO, place: int, fill: Iterator[int]) -> tuple[int, int]:
    """The place and the code of the next marker that ends a scan's data; the file's end and 0 where there is none."""
    for start, window in _windows(file, place):
        at = 0
        while found := _MARKER.search(window, at):
            code = found[0][1]
            if code != 0xFF:
                file.seek(start + found.end())
                return start + found.start(), code
            if next(fill, None) is None:
                raise HeaderError("full of fill bytes")
            at = found.start() + 1
    file.seek(0, os.SEEK_END)
    return file.tell(), 0


def _windows(file: BinaryIO, place: int, end: int = sys.maxsize) -> Iterator[tuple[int, bytes]]:
    """Pieces of the file from `place` on, each with its own place; a 0xFF at a piece's end comes again with the next."""
    file.seek(place)
    carried = b""
    while piece := file.read(min(_PIECE_BYTES, end - place)):
        window = carried + piece
        yield place - len(carried), window
        place += len(piece)
        carried = window[-1:] if window.endswith(b"\xff") else b""
