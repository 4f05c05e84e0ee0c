"""
Where a JPEG's scans lie and what they hold: read from its markers, no pixel, in one pass at the speed of a regular expression.

A JPEG may be cut anywhere, lack its end marker, carry a film behind its pixels, or consist of a thousand scans, each of which
costs a decoder a pass over the whole image. All of that can be told from the markers, but for the last scan's own end
(`jpeg_trial`).
"""

from __future__ import annotations

import math
import os
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from apps.core.pictures.formats import MAX_SEGMENTS, HeaderError, TooMuchWorkError
from apps.core.pictures.headers import jpeg_segments

MAX_SCANS = 500
"""The bound of libjpeg-turbo's own fuzzers; programs write ten to twenty."""

MAX_BLOCK_VISITS = 64_000_000
"""
Blocks of 8 x 8 that the scans pass over, summed up. A visit costs up to 64 ns (a refinement of a block that is still empty),
so this is 4 s; the usual ten scans make 13 million visits of 100 megapixels.
"""

ARITHMETIC_VISITS = 16
"""What a visit counts as where the coding is arithmetic, which needs up to a microsecond for it, and no data to go on."""

SOI, EOI, SOS, DRI = 0xD8, 0xD9, 0xDA, 0xDD
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1, 0xC9}), frozenset({0xC2, 0xCA})
_ARITHMETIC = frozenset({0xC9, 0xCA})
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DHT, _DAC, _DNL, _DQT, _APP14 = 0xC4, 0xCC, 0xDC, 0xDB, 0xEE
_TABLES = frozenset({_DHT, _DAC, _DQT, DRI})
_BETWEEN_SCANS = _TABLES | {_DNL, 0xFE, *range(0xE0, 0xF0)}
# 0xFF is followed by 0 within a scan; restart markers and TEM (1) stand alone, and decoders pass over them.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_PIECE_BYTES = 262_144
_MOST_FILL_BYTES = 65_536  # 0xFF may be repeated before a marker; each costs a step here, and nobody writes them
_ALL_COEFFICIENTS = (1 << 64) - 1


@dataclass(frozen=True)
class JpegComponent:
    """One channel: its sampling factors, and how many blocks of 8 x 8 it has."""

    number: int
    h: int
    v: int
    blocks: int


@dataclass(frozen=True)
class JpegFrame:
    """What the frame header says; `marker` tells the coding."""

    marker: int
    width: int
    height: int
    components: tuple[JpegComponent, ...]

    @property
    def is_progressive(self) -> bool:
        return self.marker in _PROGRESSIVE

    @property
    def is_arithmetic(self) -> bool:
        return self.marker in _ARITHMETIC

    @property
    def mcu_wh(self) -> tuple[int, int]:
        """Size in px of the unit in which a scan of all components goes; a lone component goes block by block."""
        if len(self.components) == 1:
            return 8, 8
        return 8 * max(each.h for each in self.components), 8 * max(each.v for each in self.components)

    @property
    def mcus_wh(self) -> tuple[int, int]:
        """How many of these units lie side by side, and how many below each other."""
        width, height = self.mcu_wh
        return -(-self.width // width), -(-self.height // height)


@dataclass(frozen=True)
class JpegScan:
    """A scan's header: the components in it, the band of coefficients and the bits before and after."""

    components: tuple[JpegComponent, ...]
    first: int
    last: int
    high: int
    low: int


@dataclass(frozen=True)
class JpegLayout:
    """
    Args:
        head: the start of the file up to and with the first scan's header, without metadata.
        rest: every table and scan header after the first scan's data.
        start: where the first scan's data begins, in bytes.
        last_start: where the last scan's does.
        end: where the last scan's data ends, at the latest: behind it stands the end marker, or whatever the file goes on with.
        has_end_marker: the end marker stands there.
        restart_interval: after how many units the last scan begins anew; 0 for never.
        block_visits: how often a decoder passes over a block of 8 x 8.
    """

    frame: JpegFrame
    scans: tuple[JpegScan, ...]
    head: bytes
    rest: bytes
    start: int
    last_start: int
    end: int
    has_end_marker: bool
    restart_interval: int
    block_visits: int


def read_layout(file: BinaryIO) -> JpegLayout:
    """
    Walk a JPEG from its first byte to the end of its last scan.

    Args:
        file: seekable; its position is used and not restored.

    Raises:
        HeaderError: it ends early, a component is missing, or a header makes no sense.
        TooMuchWorkError: its scans would keep a decoder for more than seconds.
    """
    try:
        walk = _Walk(file)
        return walk.to_the_end()
    except (struct.error, StopIteration) as error:
        raise HeaderError("too short, or full of fill bytes") from error


def last_interval(file: BinaryIO, layout: JpegLayout) -> tuple[int, int]:
    """
    Where the data begins that stand behind the last restart marker of the last scan.

    Returns:
        The place, and how many units of the scan are to follow there; without restarts all of them.

    Raises:
        HeaderError: restart markers are missing.
    """
    members, interval = layout.scans[-1].components, layout.restart_interval
    units = members[0].blocks if len(members) == 1 else math.prod(layout.frame.mcus_wh)
    missing, place = (-(-units // interval) - 1 if interval else 0), layout.last_start
    for start, window in _windows(file, layout.last_start, layout.end):
        if missing == 0:
            break
        count = len(_RESTART.findall(window))  # of a million of them in a picture, only the last one's place is wanted
        if count < missing:
            missing -= count
            continue
        last = next(islice(_RESTART.finditer(window), missing - 1, None))
        missing, place = 0, start + last.end()
    if missing:
        raise HeaderError("restart markers are missing")
    return place, units - (-(-units // interval) - 1) * interval if interval else units


@dataclass
class _Walk:
    file: BinaryIO
    scans: list[JpegScan] = field(default_factory=list)
    visits: int = 0
    restart_interval: int = 0
    last_start: int = 0

    def to_the_end(self) -> JpegLayout:
        head = self._head()
        start = self.file.tell()
        progress = _Progress(self.frame)
        progress.note(self.scans[0])
        rest: list[bytes] = []
        place = start
        fill = iter(range(_MOST_FILL_BYTES))
        for _ in range(MAX_SEGMENTS + MAX_SCANS):
            place, marker = _next_marker(self.file, place, fill)
            is_end = marker == EOI
            if is_end or progress.is_complete or not self._goes_on(marker, rest, progress):
                if not (progress.is_complete or (is_end and progress.is_shown)):
                    raise HeaderError("ends before its last scan")
                return JpegLayout(
                    self.frame,
                    tuple(self.scans),
                    head,
                    b"".join(rest),
                    start,
                    self.last_start,
                    place,
                    is_end,
                    self.restart_interval,
                    self.visits,
                )
            place = self.file.tell()
        raise TooMuchWorkError("too many segments between the scans")

    def _head(self) -> bytes:
        kept, frames = [bytes([0xFF, SOI])], []
        for marker, length in jpeg_segments(self.file):
            if marker not in _BETWEEN_SCANS | _SOF:
                raise HeaderError("a segment that nobody writes")
            if marker in _SOF or marker in _TABLES or marker == _APP14:
                payload = _exactly(self.file, length)
                kept.append(_segment(marker, payload))
                self._note_restarts(marker, payload)
                if marker in _SOF:
                    frames.append(_frame(marker, payload))
        if len(frames) != 1:
            raise HeaderError("not one frame before the scan")
        self.frame = frames[0]
        self.file.seek(-2, 1)
        kept.append(_segment(SOS, self._scan_header()))
        return b"".join(kept)

    def _goes_on(self, marker: int, rest: list[bytes], progress: _Progress) -> bool:
        """Take a table or a scan's header; False for what cannot stand between scans: the file ends there."""
        if marker not in _BETWEEN_SCANS and marker != SOS:
            return False
        if marker == SOS:
            rest.append(_segment(marker, self._scan_header()))
            progress.note(self.scans[-1])
            return True
        length = struct.unpack(">H", _exactly(self.file, 2))[0] - 2
        if length < 0:
            return False
        if marker in _TABLES:
            payload = _exactly(self.file, length)
            self._note_restarts(marker, payload)
            rest.append(_segment(marker, payload))
        else:
            self.file.seek(length, 1)
        return True

    def _note_restarts(self, marker: int, payload: bytes) -> None:
        if marker == DRI:
            self.restart_interval = struct.unpack(">H", payload)[0]

    def _scan_header(self) -> bytes:
        length = struct.unpack(">H", _exactly(self.file, 2))[0] - 2
        payload = _exactly(self.file, max(0, length))
        scan = _scan(payload, self.frame)
        self.scans.append(scan)
        self.last_start = self.file.tell()
        weight = ARITHMETIC_VISITS if self.frame.is_arithmetic else 1
        self.visits += weight * sum(each.blocks for each in scan.components)
        if len(self.scans) > MAX_SCANS or self.visits > MAX_BLOCK_VISITS:
            raise TooMuchWorkError(f"{len(self.scans)} scans of {self.frame.width} x {self.frame.height} px")
        return payload


class _Progress:
    """Which coefficients of which component have come, and to which bit."""

    def __init__(self, frame: JpegFrame) -> None:
        self._is_progressive = frame.is_progressive
        self._seen = dict.fromkeys((each.number for each in frame.components), False)
        self._exact = dict.fromkeys(self._seen, 0)  # a bit for each coefficient that has come to its last bit

    def note(self, scan: JpegScan) -> None:
        band = (1 << (scan.last + 1)) - (1 << scan.first)
        for component in scan.components:
            if not self._is_progressive:
                self._seen[component.number], self._exact[component.number] = True, _ALL_COEFFICIENTS
                continue
            self._seen[component.number] |= scan.first == 0
            self._exact[component.number] |= band if scan.low == 0 else 0

    @property
    def is_shown(self) -> bool:
        """Something of every component is there: with an end marker behind it that is an image."""
        return all(self._seen.values())

    @property
    def is_complete(self) -> bool:
        """Nothing can follow that would change a pixel."""
        return self.is_shown and all(exact == _ALL_COEFFICIENTS for exact in self._exact.values())


def _frame(marker: int, payload: bytes) -> JpegFrame:
    if marker not in _SEQUENTIAL | _PROGRESSIVE:
        raise HeaderError("a coding that nobody writes")
    depth, height, width, count = struct.unpack_from(">BHHB", payload)
    if depth != 8 or count not in {1, 3, 4} or len(payload) != 6 + 3 * count or not width or not height:
        raise HeaderError("impossible frame")
    told = [(payload[at], payload[at + 1] >> 4, payload[at + 1] & 15) for at in range(6, 6 + 3 * count, 3)]
    if len({number for number, _, _ in told}) < count or not all(1 <= s <= 4 for _, h, v in told for s in (h, v)):
        raise HeaderError("impossible components")
    most_h, most_v = max(h for _, h, _ in told), max(v for _, _, v in told)
    components = tuple(
        JpegComponent(number, h, v, -(-width * h // (8 * most_h)) * -(-height * v // (8 * most_v)))
        for number, h, v in told
    )
    return JpegFrame(marker, width, height, components)


def _scan(payload: bytes, frame: JpegFrame) -> JpegScan:
    count = payload[0] if payload else 0
    if not 1 <= count <= 4 or len(payload) != 4 + 2 * count:
        raise HeaderError("impossible scan")
    known = {each.number: each for each in frame.components}
    numbers = payload[1 : 1 + 2 * count : 2]
    if len(set(numbers)) < count or not known.keys() >= set(numbers):
        raise HeaderError("a scan of unknown components")
    first, last, bits = payload[-3:]
    scan = JpegScan(tuple(known[number] for number in numbers), first, last, bits >> 4, bits & 15)
    if frame.is_progressive and not _is_possible(scan):
        raise HeaderError("impossible progression")
    return scan


def _is_possible(scan: JpegScan) -> bool:
    """As libjpeg asks of a progressive scan."""
    is_dc = scan.first == scan.last == 0
    is_band = 1 <= scan.first <= scan.last <= 63 and len(scan.components) == 1
    return (is_dc or is_band) and scan.low <= 13 and scan.high in {0, scan.low + 1}


def _next_marker(file: BinaryIO, place: int, steps: Iterator[int]) -> tuple[int, int]:
    """The place and the code of the next marker that ends a scan's data; the file's end and 0 where there is none."""
    for start, window in _windows(file, place):
        at = 0
        while found := _MARKER.search(window, at):
            code = found[0][1]
            if code != 0xFF:
                file.seek(start + found.end())
                return start + found.start(), code
            next(steps)
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


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise HeaderError("too short")
    return data
