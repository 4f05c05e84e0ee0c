"""
Where a JPEG's scans lie and what they hold: read from its markers, no pixel, in one pass at the speed of a regular expression.

A JPEG may be cut anywhere, lack its end marker, carry a film behind its pixels, or consist of a thousand scans, each of which
costs a decoder a pass over the whole image. All of that can be told from the markers, but for the last scan's own end
(`jpeg_trial`).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from apps.core.pictures import jpeg
from apps.core.pictures.formats import HeaderError, TooMuchWorkError, read_exactly

MAX_BLOCK_VISITS = 64_000_000
"""
Blocks of 8 x 8 that the scans pass over, summed up. A visit costs up to 64 ns (a refinement of a block that is still empty),
so this is 4 s; the usual ten scans make 13 million visits of 100 megapixels.
"""

ARITHMETIC_VISITS = 64
"""
What a visit counts as where the coding is arithmetic, which needs no data to go on, and up to 5 microseconds: where all 63
coefficients are large, and alike in all blocks, each is two dozen decisions, which the coding has for a hundredth of a bit.
"""

_TABLES = frozenset({jpeg.DHT, jpeg.DAC, jpeg.DQT, jpeg.DRI})
_BETWEEN_SCANS = _TABLES | {jpeg.DNL, jpeg.COM, *range(jpeg.APP0, jpeg.APP15 + 1)}
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
        return self.marker in jpeg.PROGRESSIVE

    @property
    def is_arithmetic(self) -> bool:
        return self.marker in jpeg.ARITHMETIC

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
    except struct.error as error:
        raise HeaderError("too short") from error


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
    restarts = -(-units // interval) - 1 if interval else 0
    if not restarts:
        return layout.last_start, units
    place = jpeg.behind_restart(file, layout.last_start, layout.end, count=restarts)
    if place is None:
        raise HeaderError("restart markers are missing")
    return place, units - restarts * interval


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
        for marker, place, length in jpeg.segments_behind(self.file, start):
            end, is_end = place, marker == jpeg.EOI
            if is_end or progress.is_complete or not self._goes_on(marker, length, rest, progress):
                break
        if not (progress.is_complete or (is_end and progress.is_shown)):
            raise HeaderError("ends before its last scan")
        return JpegLayout(
            self.frame,
            tuple(self.scans),
            head,
            b"".join(rest),
            start,
            self.last_start,
            end,
            is_end,
            self.restart_interval,
            self.visits,
        )

    def _head(self) -> bytes:
        kept, frames = [bytes([0xFF, jpeg.SOI])], []
        for marker, _, length in jpeg.segments(self.file):
            if marker == jpeg.SOS:
                break
            if marker not in _BETWEEN_SCANS | jpeg.SOF:
                raise HeaderError("a segment that nobody writes")
            if marker in jpeg.SOF or marker in _TABLES or marker == jpeg.APP14:
                payload = read_exactly(self.file, length)
                kept.append(jpeg.pack_segment(marker, payload))
                self._note_restarts(marker, payload)
                if marker in jpeg.SOF:
                    frames.append(_frame(marker, payload))
        if len(frames) != 1:
            raise HeaderError("not one frame before the scan")
        self.frame = frames[0]
        kept.append(jpeg.pack_segment(jpeg.SOS, self._scan_header(length)))
        return b"".join(kept)

    def _goes_on(self, marker: int, length: int, rest: list[bytes], progress: _Progress) -> bool:
        """Take a table or a scan's header; False for what cannot stand between scans: the file ends there."""
        if length < 0 or (marker not in _BETWEEN_SCANS and marker != jpeg.SOS):
            return False
        if marker == jpeg.SOS:
            rest.append(jpeg.pack_segment(marker, self._scan_header(length)))
            progress.note(self.scans[-1])
        elif marker in _TABLES:
            payload = read_exactly(self.file, length)
            self._note_restarts(marker, payload)
            rest.append(jpeg.pack_segment(marker, payload))
        return True

    def _note_restarts(self, marker: int, payload: bytes) -> None:
        if marker == jpeg.DRI:
            self.restart_interval = struct.unpack(">H", payload)[0]

    def _scan_header(self, length: int) -> bytes:
        payload = read_exactly(self.file, length)
        scan = _scan(payload, self.frame)
        self.scans.append(scan)
        self.last_start = self.file.tell()
        weight = ARITHMETIC_VISITS if self.frame.is_arithmetic else 1
        self.visits += weight * sum(each.blocks for each in scan.components)
        if len(self.scans) > jpeg.MAX_SCANS or self.visits > MAX_BLOCK_VISITS:
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
    if marker not in jpeg.SEQUENTIAL | jpeg.PROGRESSIVE:
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
