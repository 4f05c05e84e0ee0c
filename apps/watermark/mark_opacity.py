"""Whether a PNG of a mark shows one: what its opacity tells, without numpy."""

from __future__ import annotations

import threading
from typing import BinaryIO

from PIL import Image

from apps.core.errors import invalid
from ml.watermark.template.usable import CLEAR, LARGEST_SIDE_PX, LEAST_OPAQUE_PX, OPAQUE, SMALLEST_SIDE_PX

MOST_PIXELS = 4_000_000
"""Of the whole picture: 40 ms and 16 MB. A larger one is asked when the worker learns it."""

_CLEAR_LEVELS, _OPAQUE_LEVELS = int(CLEAR * 255) + 1, int(OPAQUE * 255) + 1
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError)
_one_at_a_time = threading.Lock()


def refuse_without_mark(file: BinaryIO) -> None:
    """
    Refuse a picture that is clear, opaque all over, or whose mark is too small or too large to be looked for.

    Args:
        file: a whole PNG, seekable; at its start afterwards.

    Raises:
        AppError: VALIDATION_ERROR on `image`.
    """
    with _one_at_a_time:
        opacity = _opacity(file)
    if opacity is None:
        return
    levels = opacity.histogram()
    if sum(levels[_CLEAR_LEVELS:]) < LEAST_OPAQUE_PX:
        raise invalid(
            "image",
            "The PNG shows no mark: all or nearly all of it is fully transparent. Send the mark in its own opacity.",
        )
    if not any(levels[:_OPAQUE_LEVELS]):
        issue = (
            "Nothing in the PNG is transparent: send the mark alone, transparent around it, or marked photos as images."
        )
        raise invalid("image", issue)
    left, top, right, bottom = opacity.point([0] * _CLEAR_LEVELS + [255] * (256 - _CLEAR_LEVELS)).getbbox() or (
        0,
        0,
        0,
        0,
    )
    width, height = right - left, bottom - top
    if min(width, height) < SMALLEST_SIDE_PX or max(width, height) > LARGEST_SIDE_PX:
        issue = f"The mark in the PNG is {width} x {height} px; its sides must be {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX} px."
        raise invalid("image", issue)


def _opacity(file: BinaryIO) -> Image.Image | None:
    """The alpha channel, 0..255; None of what is too large, or what this decoder does not read."""
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS or not picture.has_transparency_data:
                return None
            return picture.convert("RGBA").getchannel("A")
    except _DAMAGED:
        return None  # the worker's decoder judges it
    finally:
        file.seek(0)
