"""What a client's file is, and whether it is within limits: read from its header, no pixel is decoded."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import BinaryIO

from apps.core.errors import AppError, Fault, invalid
from apps.core.pictures import bmp, gif, jpeg, png, webp
from apps.core.pictures.foreign_files import is_text, name_of
from apps.core.pictures.formats import HeaderError, ImageFormat, TooMuchWorkError
from apps.core.pictures.headers import read_header
from apps.core.pictures.jpeg_layout import JpegLayout, read_layout

__all__ = ["ImageFormat", "ImageHeader", "ImageLimits", "inspect"]

MB = 1024 * 1024
MAX_UNPACKED_BYTES = 500 * MB
"""Of a PNG: 65 megapixels of RGBA in 16 bits, 87 of RGB; 100 in 8 bits. Undoing its filters is 7 s of CPU for 800 MB."""


@dataclass(frozen=True)
class ImageLimits:
    """
    What an operation takes. Bounds are inclusive: "larger than 50 and smaller than 3000 px" is 51 and 2999.

    Args:
        formats: the formats it accepts.
        max_bytes: file size.
        max_width_px, max_height_px, min_width_px, min_height_px: of the upright image.
        max_pixels: width times height.
    """

    formats: frozenset[ImageFormat]
    max_bytes: int
    max_width_px: int
    max_height_px: int
    max_pixels: int
    min_width_px: int = 1
    min_height_px: int = 1


@dataclass(frozen=True)
class ImageHeader:
    """
    Args:
        width, height: px, after the EXIF orientation.
        orientation: EXIF 1..8, 1 where there is none.
        is_animated: more than one frame (GIF, WebP, APNG).
        layout: of a progressive or arithmetic-coded JPEG, which has to be read from end to end to know what it costs.
    """

    format: ImageFormat
    width: int
    height: int
    orientation: int
    is_animated: bool
    layout: JpegLayout | None = field(default=None, compare=False, repr=False)

    @property
    def stored_wh(self) -> tuple[int, int]:
        """Size in px as a decoder sees it, before the orientation."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def inspect(file: BinaryIO, *, limits: ImageLimits, field: str = "image") -> ImageHeader:
    """
    Check a file's size, type and dimensions. Time and memory are bounded, whatever the file holds.

    Args:
        file: seekable; rewound to its start when this returns.
        limits: what the operation takes.
        field: the request's field, for the error.

    Raises:
        AppError: `VALIDATION_ERROR` on `field`; the fault is `EMPTY_FILE`, `FILE_TOO_LARGE`,
            `UNSUPPORTED_FORMAT`, `UNREADABLE_FILE`, `RESOLUTION_TOO_HIGH` or `RESOLUTION_TOO_LOW`.
    """
    try:
        file.seek(0, os.SEEK_END)
        size_bytes = file.tell()  # an upload's seek() may return nothing
        _check_bytes(size_bytes, limits, field)
        file.seek(0)
        image_format = _sniff(file.read(512), limits, field)
        raw = read_header(file, image_format)
        turned = raw.orientation >= 5
        width, height = (raw.height, raw.width) if turned else (raw.width, raw.height)
        _check_dimensions(width, height, limits, field)
        _check_depth(raw.unpacked_bytes, field)
        layout = read_layout(file) if raw.is_slow else None
    except TooMuchWorkError as error:
        issue = (
            "The JPEG would take too long to decode: it has more scans than an image of its size may have, or is large and "
            "arithmetic-coded. Save it again as a baseline JPEG."
        )
        raise invalid(field, issue, Fault.UNREADABLE_FILE) from error
    except HeaderError as error:
        raise unreadable(field) from error
    finally:
        file.seek(0)
    return ImageHeader(image_format, width, height, raw.orientation, raw.is_animated, layout)


def unreadable(field: str) -> AppError:
    """The refusal of a file that has the right magic bytes and no image behind them."""
    return invalid(
        field,
        "The image cannot be decoded: it seems truncated or damaged. Export it again and resend it.",
        Fault.UNREADABLE_FILE,
    )


def too_large(field: str, size_bytes: int | None, *, max_bytes: int) -> AppError:
    """
    The refusal of a file over its limit.

    Args:
        size_bytes: None where nobody knows, because reading stopped at the limit.
    """
    size = f"is {_megabytes(size_bytes)} MB" if size_bytes is not None else "is too large"
    limit = f"the limit is {_megabytes(max_bytes)} MB"
    return invalid(field, f"The image {size}; {limit}. Send a smaller file.", Fault.FILE_TOO_LARGE)


def _megabytes(size_bytes: int) -> str:
    """Rounded up, so that a file just over the limit never reads as the limit itself."""
    return f"{math.ceil(size_bytes * 10 / MB) / 10:g}"


def _check_bytes(size_bytes: int, limits: ImageLimits, field: str) -> None:
    if size_bytes == 0:
        raise invalid(field, "The file is empty. Send an image.", Fault.EMPTY_FILE)
    if size_bytes > limits.max_bytes:
        raise too_large(field, size_bytes, max_bytes=limits.max_bytes)


def _check_dimensions(width: int, height: int, limits: ImageLimits, field: str) -> None:
    stated = f"The image is {width} x {height} px"
    if width > limits.max_width_px or height > limits.max_height_px:
        most = f"{limits.max_width_px} x {limits.max_height_px} px"
        raise invalid(field, f"{stated}; the most is {most}. Scale it down.", Fault.RESOLUTION_TOO_HIGH)
    if width * height > limits.max_pixels:
        most = f"{limits.max_pixels / 1e6:g} megapixels"
        raise invalid(field, f"{stated}; the limit is {most}. Scale it down.", Fault.RESOLUTION_TOO_HIGH)
    if width < limits.min_width_px or height < limits.min_height_px:
        least = f"{limits.min_width_px} x {limits.min_height_px} px"
        raise invalid(field, f"{stated}; the least is {least}. Send a larger one.", Fault.RESOLUTION_TOO_LOW)


def _check_depth(unpacked_bytes: int, field: str) -> None:
    if unpacked_bytes > MAX_UNPACKED_BYTES:  # only 16 bits a channel get there within any operation's pixels
        stated = f"The PNG has 16 bits a channel, {_megabytes(unpacked_bytes)} MB of pixels"
        most = f"the limit is {_megabytes(MAX_UNPACKED_BYTES)} MB"
        raise invalid(field, f"{stated}; {most}. Save it with 8 bits a channel.", Fault.RESOLUTION_TOO_HIGH)


def _sniff(head: bytes, limits: ImageLimits, field: str) -> ImageFormat:
    found = _format(head)
    if found in limits.formats:
        return found
    wanted = ", ".join(each for each in ImageFormat if each in limits.formats)
    name = found or name_of(head)
    stated = f"The file is {name}" if name else "The file is not an image of a known type"
    raise invalid(field, f"{stated}; send one of {wanted}.", Fault.UNSUPPORTED_FORMAT)


def _format(head: bytes) -> ImageFormat | None:
    if head.startswith(jpeg.SIGNATURE):
        return ImageFormat.JPEG
    if head.startswith(png.SIGNATURE):
        return ImageFormat.PNG
    if head.startswith(gif.SIGNATURES):
        return ImageFormat.GIF
    if head[:4] == webp.RIFF and head[8:12] == webp.WEBP:
        return ImageFormat.WEBP
    if head.startswith(bmp.SIGNATURE) and not is_text(head):
        return ImageFormat.BMP
    return None
