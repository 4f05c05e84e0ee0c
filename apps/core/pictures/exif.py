"""EXIF: a TIFF structure, of which nothing but the first directory is read."""

from __future__ import annotations

import struct

from apps.core.pictures.formats import HeaderError

MAX_EXIF_BYTES = 65_536  # the orientation stands in the first directory; JPEG cannot hold more anyway

_ORIENTATION, _LONG = 0x0112, 4


def first_directory(exif: bytes) -> tuple[bytes, str, range]:
    """
    Find the fields of the first directory.

    Args:
        exif: with or without the `Exif\\0\\0` prefix; may be rubbish.

    Returns:
        The TIFF structure; the order of its bytes, as `struct` has it; and where each field begins, 12 bytes of it, which may
        lie beyond the end.

    Raises:
        HeaderError: it is none, or cut.
    """
    tiff = exif[6:] if exif.startswith(b"Exif\0") else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise HeaderError("no TIFF")
    try:
        start = struct.unpack_from(order + "I", tiff, 4)[0]
        count = struct.unpack_from(order + "H", tiff, start)[0]
    except struct.error as error:
        raise HeaderError("no directory") from error
    return tiff, order, range(start + 2, start + 2 + 12 * count, 12)


def read_orientation(exif: bytes) -> int:
    """
    Find tag 0x0112 in the first directory of an EXIF block.

    Args:
        exif: as for `first_directory`.

    Returns:
        1..8; 1 where it is absent or makes no sense.
    """
    try:
        tiff, order, fields = first_directory(exif)
        for place in fields:
            tag, kind = struct.unpack_from(order + "HH", tiff, place)
            if tag == _ORIENTATION:
                value = struct.unpack_from(order + ("I" if kind == _LONG else "H"), tiff, place + 8)[0]
                return value if 1 <= value <= 8 else 1
    except (HeaderError, struct.error):
        return 1
    return 1
