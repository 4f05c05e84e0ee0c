"""An image that stands in the request as base64 text."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from typing import BinaryIO, cast

from apps.core.errors import Fault, invalid
from apps.core.fetch import SPOOL_BYTES
from apps.core.inspection import too_large

_DATA_URL = re.compile(r"\s*data:[^,;]{0,100}(?:;[^,;]{0,100}){0,4};base64,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_SPACE = str.maketrans("", "", " \t\r\n\f\v")


def read_base64(text: str, *, max_bytes: int, field: str) -> BinaryIO:
    """
    Decode base64: standard or URL-safe alphabet, with or without a `data:` prefix, padding and white space.

    Args:
        max_bytes: of the decoded file, checked before it is decoded.
        field: the request's field, for the error.

    Returns:
        A spooled file at its start; the caller closes it.

    Raises:
        AppError: `VALIDATION_ERROR` on `field`; the fault is `FILE_TOO_LARGE`, or `INVALID_VALUE` where it is not
            base64.
    """
    prefix = _DATA_URL.match(text)
    digits = text[prefix.end() if prefix else 0 :].translate(_SPACE).rstrip("=")
    size_bytes = len(digits) * 3 // 4
    if size_bytes > max_bytes:
        raise too_large(field, size_bytes, max_bytes=max_bytes)
    try:
        padded = digits.translate(_URL_SAFE) + "=" * (-len(digits) % 4)
        data = base64.b64decode(padded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid(field, "The text is not valid base64.", Fault.INVALID_VALUE) from error
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115  the caller closes it
    file.write(data)
    file.seek(0)
    return file
