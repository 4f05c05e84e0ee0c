"""The pixels of a JPEG, decoded once, by libjpeg-turbo; and what of its complaints costs a client his picture. Worker only."""

from __future__ import annotations

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from apps.core.pictures.formats import HeaderError
from apps.core.pictures.jpeg import END
from apps.core.pictures.jpeg_layout import JpegLayout

_COLOURS = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_CUT = "premature end of data segment"
# libjpeg decodes on after these, and says only the first; all else is an error, and nothing, or not all, was decoded.
_COMPLAINTS = re.compile(
    rf"Corrupt JPEG data: (\d+ extraneous bytes|bad Huffman code|bad arithmetic code|found marker 0x|{_CUT})"
    r"|Inconsistent progression sequence|Invalid SOS parameters|Unknown Adobe color transform|Warning: unknown JFIF"
)
_ODD_SAMPLING = "Could not determine subsampling"


def trimmed(data: bytes, layout: JpegLayout) -> bytes:
    """The file up to the end of its pixels, with an end marker: a film or a trailer behind it says nothing to a decoder."""
    if layout.has_end_marker and layout.end + len(END) == len(data):
        return data
    return data[: layout.end] + END


def decode_channels(data: bytes, layout: JpegLayout) -> NDArray[np.uint8] | None:
    """
    Decode a trimmed file.

    Args:
        layout: of the file as it came. Where it had no end marker, that its pixels are whole is known (`jpeg_trial`), and
            libjpeg's complaint about a few bits counts for nothing.

    Returns:
        (H, W, C) uint8, 0..255: grey, RGB, or CMYK as stored; None for a sampling that only Pillow decodes.

    Raises:
        HeaderError: it is damaged, or cut off within the pixels.
    """
    frame = layout.frame
    pixels = np.zeros((frame.height, frame.width, len(frame.components)), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, _COLOURS[pixels.shape[2]], strict=True, buffer=pixels)
    except ValueError as error:
        complaint = str(error)
        if _ODD_SAMPLING in complaint:
            return None
        if not _COMPLAINTS.search(complaint) or (_CUT in complaint and layout.has_end_marker):
            raise HeaderError(complaint) from error
        if not pixels.any():  # libjpeg complained of the header, and has not begun to decode
            _decode_on(data, pixels)
    return pixels


def _decode_on(data: bytes, pixels: NDArray[np.uint8]) -> None:
    """Decode whatever libjpeg complains of. Raises HeaderError where it gives up."""
    try:
        simplejpeg.decode_jpeg(data, _COLOURS[pixels.shape[2]], strict=False, buffer=pixels)
    except ValueError as error:
        raise HeaderError(str(error)) from error
