"""
Take a file apart before Pillow sees it: pixels for the decoder, the colour profile for us, the rest for nobody.

Decoders inflate text chunks, join EXIF blocks and walk their directories, in time that a hostile file can drive
to minutes; and a broken comment or profile makes them refuse a photo that is whole. They need none of it.
"""

from __future__ import annotations

import io
import zlib
from typing import NamedTuple

from apps.core.pictures import jpeg, png, webp
from apps.core.pictures.formats import ImageFormat
from apps.core.pictures.png_colour import COLOUR_CHUNKS, png_colour

MAX_PROFILE_BYTES = 4 * 1024 * 1024  # the large ones for CMYK presses have 1 to 3 MB

_PNG_KEPT = frozenset({b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class Stripped(NamedTuple):
    """
    Attributes:
        data: the file without its metadata (JPEG, PNG; the others as they are).
        icc_profile: unchecked bytes; None where there is none, or a PNG says sRGB.
        is_profile_made: it is an RGB profile made here of what a PNG says in numbers; grey pixels are to be taken for RGB.
    """

    data: bytes
    icc_profile: bytes | None
    is_profile_made: bool = False


def strip(data: bytes, image_format: ImageFormat) -> Stripped:
    """
    Separate what a decoder needs from an inspected file.

    Raises:
        HeaderError: as from `headers.read_header`.
    """
    match image_format:
        case ImageFormat.JPEG:
            return _jpeg(data)
        case ImageFormat.PNG:
            return _png(data)
        case ImageFormat.WEBP:
            return Stripped(data, _webp_profile(data))
        case _:
            return Stripped(data, None)


def _jpeg(data: bytes) -> Stripped:
    view = memoryview(data)
    kept: list[memoryview | bytes] = [b"\xff\xd8"]
    profile: dict[int, bytes] = {}
    segments = list(jpeg.segments(io.BytesIO(data)))
    has_inks = any(marker in jpeg.SOF and data[place + 9] == 4 for marker, place, _ in segments)
    for marker, place, length in segments:
        payload = view[place + 4 : place + 4 + length]
        if marker == jpeg.APP2 and payload[:12] == jpeg.ICC_TAG and length > 14:
            profile.setdefault(payload[12], bytes(payload[14:]))
        is_metadata = jpeg.APP0 < marker <= jpeg.APP15 or marker == jpeg.COM
        if marker == jpeg.SOS:
            kept.append(view[place:])
        elif marker == jpeg.APP14 or not is_metadata:
            kept.append(_in_known_terms(marker, bytes(view[place : place + 4 + length]), has_inks=has_inks))
    joined = b"".join(profile[number] for number in sorted(profile))
    return Stripped(b"".join(kept), joined if 0 < len(joined) <= MAX_PROFILE_BYTES else None)


def _in_known_terms(marker: int, segment: bytes, *, has_inks: bool) -> bytes:
    """
    A segment with a revision of JFIF that libjpeg knows, and a transform of Adobe's: it complains of others before it has
    decoded anything. What it would take them for is what stands in their place.
    """
    if marker == jpeg.APP0 and segment[4:9] == jpeg.JFIF_TAG and segment[9] != 1:
        return b"".join([segment[:9], b"\x01\x01", segment[11:]])
    if (
        marker == jpeg.APP14
        and segment[4:9] == b"Adobe"
        and len(segment) >= 16
        and segment[15] not in ({0, 2} if has_inks else {0, 1})
    ):
        return b"".join([segment[:15], b"\x02" if has_inks else b"\x01", segment[16:]])
    return segment


def _png(data: bytes) -> Stripped:
    file, view = io.BytesIO(data), memoryview(data)
    kept = [view[: png.IHDR_END]]
    told: dict[bytes, bytes] = {}
    for name, place, length in png.chunks(file):
        if name in _PNG_KEPT:
            kept.append(view[place : place + 12 + length])
        elif len(kept) == 1 and name in COLOUR_CHUNKS - told.keys() and png.is_intact(file, name, length):
            told[name] = bytes(view[place + 8 : place + 8 + length])  # behind palette or pixels they mean nothing
    embedded = _inflate_profile(told[b"iCCP"]) if b"iCCP" in told else None
    profile, is_made = png_colour(told, is_grey=png.read_ihdr(file).is_grey, embedded=embedded)
    return Stripped(b"".join(kept), profile, is_made)


def _inflate_profile(chunk: bytes) -> bytes | None:
    """A name of at most 79 bytes, a zero, the method, and the deflated profile."""
    start = chunk.find(b"\0", 0, 80)
    if start < 0:
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(chunk[start + 2 :], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _webp_profile(data: bytes) -> bytes | None:
    file = io.BytesIO(data)
    for name, _, length in webp.chunks(file):
        if name == b"ICCP":
            return file.read(length) if length <= MAX_PROFILE_BYTES else None
    return None
