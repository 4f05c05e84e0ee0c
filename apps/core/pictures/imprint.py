"""
What of a file's metadata belongs to the picture: its resolution, who made it and whose it is. Worker only.

Read from JFIF, EXIF, XMP, IPTC and PNG's own chunks; never copied: each is a few short texts and two numbers,
which `imprint_writing` beside this writes anew. All else (place, camera, serial numbers,
owner, thumbnails, software) is left behind.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.parsers import expat

from apps.core.pictures import bmp, jpeg, png, webp
from apps.core.pictures.exif import MAX_EXIF_BYTES, first_directory
from apps.core.pictures.formats import HeaderError, ImageFormat

MAX_TEXT = 2_000  # characters; with every one of them escaped, all texts fit into one segment of a JPEG
MAX_CREATORS = 10
MAX_XMP_BYTES = 512 * 1024  # editors keep their history in it
MAX_IPTC_STEPS = 4_096
LEAST_DPI, MOST_DPI = 1.0, 65_535.0

_PNG_XMP = b"XML:com.adobe.xmp"
_DC, _RIGHTS = "http://purl.org/dc/elements/1.1/ ", "http://ns.adobe.com/xap/1.0/rights/ "
_FIELDS = {
    _DC + "creator": "creator",
    _DC + "rights": "rights",
    _RIGHTS + "UsageTerms": "terms",
    _RIGHTS + "WebStatement": "statement",
}
_LIST_ITEM = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li"


@dataclass(frozen=True)
class Imprint:
    """
    Args:
        density_xy: dots an inch, across and down; None where nobody says.
        artist, copyright: as EXIF has them, the others' where it has none.
        creators, rights: as XMP has them, the others' where it has none.
        terms, statement: XMP's usage terms, and the address of its statement of rights.
    """

    density_xy: tuple[float, float] | None = None
    artist: str = ""
    copyright: str = ""
    creators: tuple[str, ...] = ()
    rights: str = ""
    terms: str = ""
    statement: str = ""

    @property
    def has_text(self) -> bool:
        """Whether anybody is named."""
        return bool(self.artist or self.copyright or self.creators or self.rights or self.terms or self.statement)

    def of_a_mask(self) -> Imprint:
        """The same for what shows nothing of the picture: its resolution alone."""
        return Imprint(self.density_xy)


NO_IMPRINT = Imprint()


def read_imprint(data: bytes, image_format: ImageFormat, *, orientation: int = 1) -> Imprint:
    """
    Read a file's imprint. Time and memory are bounded, and nothing in it is an error.

    Args:
        data: the whole file.
        orientation: EXIF 1..8: from 5 on across becomes down.
    """
    found = _Found()
    try:
        match image_format:
            case ImageFormat.JPEG:
                _jpeg(data, found)
            case ImageFormat.PNG:
                _png(data, found)
            case ImageFormat.WEBP:
                _webp(data, found)
            case ImageFormat.BMP:
                found.density("own", *(side * 0.0254 for side in bmp.read_resolution(io.BytesIO(data))))
            case ImageFormat.GIF:
                pass
    except (HeaderError, struct.error):
        pass  # what was read until then holds
    imprint = found.imprint()
    if orientation >= 5 and imprint.density_xy is not None:
        return replace(imprint, density_xy=imprint.density_xy[::-1])
    return imprint


class _Found:
    """Texts and numbers by where they stand; the first of each wins."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._density: dict[str, tuple[float, float]] = {}

    def text(self, where: str, value: str) -> None:
        cleaned = clean(value)
        if cleaned and len(self._texts.setdefault(where, [])) < MAX_CREATORS:
            self._texts[where].append(cleaned)

    def density(self, where: str, across: float, down: float) -> None:
        if LEAST_DPI <= across <= MOST_DPI and LEAST_DPI <= down <= MOST_DPI:
            self._density.setdefault(where, (across, down))

    def imprint(self) -> Imprint:
        artist, holder = self._first("exif artist"), self._first("exif copyright")
        creators = self._all("xmp creator") or self._all("iptc creator") or self._all("png Author")
        rights = self._first("xmp rights") or self._first("iptc rights") or self._first("png Copyright")
        return Imprint(
            density_xy=self._density.get("own") or self._density.get("exif"),
            artist=artist or "; ".join(creators)[:MAX_TEXT],
            copyright=holder or rights,
            creators=creators or ((artist,) if artist else ()),
            rights=rights or holder,
            terms=self._first("xmp terms"),
            statement=self._first("xmp statement"),
        )

    def _first(self, where: str) -> str:
        return self._texts.get(where, [""])[0]

    def _all(self, where: str) -> tuple[str, ...]:
        kept, room = [], MAX_TEXT
        for text in self._texts.get(where, ()):
            room -= len(text)
            if room >= 0:
                kept.append(text)
        return tuple(kept)


def clean(text: str) -> str:
    """Printable characters and single spaces, `MAX_TEXT` of them at most."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_TEXT])
    return " ".join(printable.split())[:MAX_TEXT].strip()


# Formats ------------------------------------------------------------------------------------------------------


def _jpeg(data: bytes, found: _Found) -> None:
    file = io.BytesIO(data)
    for marker, _, length in jpeg.segments(file):
        if marker not in {jpeg.APP0, jpeg.APP1, jpeg.APP13}:
            continue
        payload = file.read(length)
        if marker == jpeg.APP0 and payload.startswith(jpeg.JFIF_TAG) and length >= 12:
            unit, across, down = struct.unpack_from(">BHH", payload, 7)
            inches = {1: 1.0, 2: 2.54}.get(unit, 0.0)
            found.density("own", across * inches, down * inches)
        elif marker == jpeg.APP1 and payload.startswith(b"Exif\0"):
            _exif(payload, found)
        elif marker == jpeg.APP1 and payload.startswith(jpeg.XMP_TAG):
            _xmp(payload[len(jpeg.XMP_TAG) :], found)
        elif marker == jpeg.APP13 and payload.startswith(jpeg.PHOTOSHOP_TAG):
            _photoshop(payload[len(jpeg.PHOTOSHOP_TAG) :], found)


def _png(data: bytes, found: _Found) -> None:
    file = io.BytesIO(data)
    for name, _, length in png.chunks(file):
        if name == b"pHYs" and length == 9:
            across, down, unit = struct.unpack(">IIB", file.read(9))
            found.density("own", across * 0.0254 * (unit == 1), down * 0.0254 * (unit == 1))
        elif name == b"eXIf" and length <= MAX_EXIF_BYTES:
            _exif(file.read(length), found)
        elif name in {b"tEXt", b"zTXt", b"iTXt"} and length <= MAX_XMP_BYTES:
            _png_text(name, file.read(length), found)


def _png_text(name: bytes, payload: bytes, found: _Found) -> None:
    keyword, _, rest = payload.partition(b"\0")
    if keyword not in {b"Author", b"Copyright", _PNG_XMP}:
        return
    if name == b"tEXt":
        text, encoding = rest, "latin-1"
    elif name == b"zTXt":
        text, encoding = _inflated(rest[1:]), "latin-1"
    else:
        text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        text, encoding = _inflated(text) if rest[:1] == b"\1" else text, "utf-8"
    if keyword == _PNG_XMP:
        _xmp(text, found)
    else:
        found.text("png " + keyword.decode(), text.decode(encoding, "replace"))


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, MAX_XMP_BYTES)
    except zlib.error:
        return b""


def _webp(data: bytes, found: _Found) -> None:
    file = io.BytesIO(data)
    for name, _, length in webp.chunks(file):
        if name == b"EXIF" and length <= MAX_EXIF_BYTES:
            _exif(file.read(length), found)
        elif name == b"XMP " and length <= MAX_XMP_BYTES:
            _xmp(file.read(length), found)


# Blocks -------------------------------------------------------------------------------------------------------


def _exif(block: bytes, found: _Found) -> None:
    """Five tags of the first directory; each is read once, wherever it points to."""
    try:
        fields = dict(_tiff_fields(*first_directory(block)))
    except (HeaderError, struct.error):
        return
    for tag, where in ((0x013B, "exif artist"), (0x8298, "exif copyright")):
        value = fields.get(tag)
        if isinstance(value, bytes):
            found.text(where, _decoded(value.strip(b"\0 ").replace(b"\0", b", ")))
    across, down = fields.get(0x011A), fields.get(0x011B, fields.get(0x011A))
    unit = fields.get(0x0128, 2)
    inches = {2: 1.0, 3: 2.54}.get(unit) if isinstance(unit, int) else None
    if inches and isinstance(across, float) and isinstance(down, float):
        found.density("exif", across * inches, down * inches)


def _tiff_fields(tiff: bytes, order: str, entries: range) -> Iterator[tuple[int, bytes | float | int]]:
    seen: set[int] = set()
    for entry in entries:
        tag, kind, many, value = struct.unpack_from(order + "HHII", tiff, entry)
        if tag in seen or tag not in {0x011A, 0x011B, 0x0128, 0x013B, 0x8298}:
            continue
        seen.add(tag)
        if kind == 2:
            at = value if many > 4 else entry + 8
            yield tag, tiff[at : at + min(many, 4 * MAX_TEXT)]
        elif kind == 3:
            yield tag, struct.unpack_from(order + "H", tiff, entry + 8)[0]
        elif kind == 5:
            above, below = struct.unpack_from(order + "II", tiff, value)
            yield tag, above / below if below else 0.0


def _decoded(text: bytes) -> str:
    """EXIF and IPTC say ASCII, and programs write UTF-8 or Latin-1."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _photoshop(block: bytes, found: _Found) -> None:
    """Image resources, of which 0x0404 holds IPTC's records."""
    at = 0
    for _ in range(MAX_IPTC_STEPS):
        if block[at : at + 4] != b"8BIM":
            return
        kind, name_bytes = struct.unpack_from(">HB", block, at + 4)
        at += 6 + (name_bytes + 2) // 2 * 2
        length = struct.unpack_from(">I", block, at)[0]
        if kind == 0x0404:
            _iptc(block[at + 4 : at + 4 + length], found)
        at += 4 + length + length % 2


def _iptc(block: bytes, found: _Found) -> None:
    at = 0
    for _ in range(MAX_IPTC_STEPS):
        if block[at : at + 1] != b"\x1c":
            return
        record, dataset, length = struct.unpack_from(">BBH", block, at + 1)
        if (record, dataset) in {(2, 80), (2, 116)} and length <= 4 * MAX_TEXT:
            where = "iptc creator" if dataset == 80 else "iptc rights"
            found.text(where, _decoded(block[at + 5 : at + 5 + length]))
        at += 5 + length


class _RefusedError(Exception):
    """A document type: nothing honest in XMP needs entities."""


class _XmpReader:
    """Collects four properties as expat walks; keeps nothing else."""

    def __init__(self, found: _Found) -> None:
        self._found = found
        self._field = ""
        self._depth = 0
        self._text: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._field:
            self._depth += 1
            if name == _LIST_ITEM:
                self._text.clear()
            return
        self._field, self._depth = _FIELDS.get(name, ""), 0
        self._text.clear()
        for attribute, value in attributes.items():
            if attribute in _FIELDS:
                self._found.text(f"xmp {_FIELDS[attribute]}", value)

    def text(self, data: str) -> None:
        if self._field and len(self._text) < MAX_TEXT:
            self._text.append(data)

    def end(self, name: str) -> None:
        if not self._field:
            return
        if name == _LIST_ITEM or not self._depth:
            self._found.text(f"xmp {self._field}", "".join(self._text))
            self._text.clear()
        if not self._depth:
            self._field = ""
        self._depth -= 1


def _xmp(packet: bytes, found: _Found) -> None:
    reader, parser = _XmpReader(found), expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(packet[:MAX_XMP_BYTES].strip(b"\0 \r\n\t"), True)
    except (expat.ExpatError, _RefusedError, ValueError):
        return  # what was read until then holds


def _refuse(*declared: object) -> None:
    raise _RefusedError(declared)
