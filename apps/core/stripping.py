"""
Take a file apart before Pillow sees it: pixels for the decoder, the colour profile for us, the rest for nobody.

Decoders inflate text chunks, join EXIF blocks and walk their directories, in time that a hostile file can drive
to minutes; and a broken comment or profile makes them refuse a photo that is whole. They need none of it.
"""

from __future__ import annotations

import io
import zlib

from apps.core.image_headers import ImageFormat, jpeg_segments, png_chunks, webp_chunks

MAX_PROFILE_BYTES = 4 * 1024 * 1024  # the large ones for CMYK presses have 1 to 3 MB

_PNG_KEPT = frozenset({b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_APP0, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE
_ICC_TAG = b"ICC_PROFILE\0"


def strip(data: bytes, image_format: ImageFormat) -> tuple[bytes, bytes | None]:
    """
    Separate what a decoder needs from an inspected file.

    Returns:
        The file without its metadata (JPEG, PNG; the others as they are), and the ICC profile: unchecked bytes or None.

    Raises:
        HeaderError: as from `image_headers`.
    """
    match image_format:
        case ImageFormat.JPEG:
            return _jpeg(data)
        case ImageFormat.PNG:
            return _png(data)
        case ImageFormat.WEBP:
            return data, _webp_profile(data)
        case _:
            return data, None


def _jpeg(data: bytes) -> tuple[bytes, bytes | None]:
    file, view = io.BytesIO(data), memoryview(data)
    kept: list[memoryview | bytes] = [b"\xff\xd8"]
    profile: dict[int, bytes] = {}
    for marker, length in jpeg_segments(file):
        start = file.tell()
        payload = view[start : start + length]
        if marker == _APP2 and payload[:12] == _ICC_TAG and length > 14:
            profile.setdefault(payload[12], bytes(payload[14:]))
        is_metadata = _APP0 < marker <= _APP15 or marker == _COM
        if marker == _APP14 or not is_metadata:
            kept += [bytes([0xFF, marker]), view[start - 2 : start + length]]
    kept.append(view[file.tell() - 4 :])
    joined = b"".join(profile[number] for number in sorted(profile))
    return b"".join(kept), joined if 0 < len(joined) <= MAX_PROFILE_BYTES else None


def _png(data: bytes) -> tuple[bytes, bytes | None]:
    file, view = io.BytesIO(data), memoryview(data)
    kept = [view[:33]]
    profile: bytes | None = None
    for name, length in png_chunks(file, len(data)):
        start = file.tell()
        if name in _PNG_KEPT:
            kept.append(view[start - 8 : start + length + 4])
        elif name == b"iCCP" and profile is None:
            profile = _inflate_profile(bytes(view[start : start + length]))
    return b"".join(kept), profile


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
    for name, length in webp_chunks(file, len(data)):
        if name == b"ICCP":
            return file.read(length) if length <= MAX_PROFILE_BYTES else None
    return None
