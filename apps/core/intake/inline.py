"""An image that stands in the request as base64 text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import tempfile
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

from apps.core.errors import Fault, invalid
from apps.core.intake.fetch import SPOOL_BYTES
from apps.core.pictures.inspection import too_large

_DATA_URL = re.compile(rb"\s*data:[^,;]{0,100}(?:;[^,;]{0,100}){0,4};base64,", re.IGNORECASE)
_PREFIX_BYTES = 1024
_CHUNK_BYTES = 64 * 1024
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\r\n\f\v"


class LongText:
    """Text that is too long to stay in memory while its request waits: UTF-8 in a temporary file, and its digest."""

    def __init__(self, text: str) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the request's fields
        digest = hashlib.sha256()
        for start in range(0, len(text), _CHUNK_BYTES):
            data = text[start : start + _CHUNK_BYTES].encode()
            digest.update(data)
            self._file.write(data)
        self._digest = digest.hexdigest()

    def __str__(self) -> str:
        """What stands for it in a log line or a fingerprint."""
        return f"text with SHA-256 {self._digest}"

    def open(self) -> IO[bytes]:
        """The text's bytes, from the start; only one reader at a time."""
        self._file.seek(0)
        return self._file


def read_base64(text: str | LongText, *, max_bytes: int, field: str) -> BinaryIO:
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
    source = text.open() if isinstance(text, LongText) else io.BytesIO(text.encode(errors="replace"))
    size_bytes = sum(len(digits.rstrip(b"=")) for digits in _digits(source)) * 3 // 4
    if size_bytes > max_bytes:
        raise too_large(field, size_bytes, max_bytes=max_bytes)
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115  the caller closes it
    try:
        _decode(source, file)
    except binascii.Error as error:
        file.close()
        raise invalid(
            field,
            "The text is not valid base64. Encode the file's bytes, and send the whole text.",
            Fault.INVALID_VALUE,
        ) from error
    file.seek(0)
    return file


def _digits(source: IO[bytes]) -> Iterator[bytes]:
    """The text in chunks, without its `data:` prefix and white space."""
    source.seek(0)
    prefix = _DATA_URL.match(source.read(_PREFIX_BYTES))
    source.seek(prefix.end() if prefix else 0)
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk.translate(_URL_SAFE, _SPACE)


def _decode(source: IO[bytes], file: IO[bytes]) -> None:
    """Chunk by chunk, four digits to three bytes; after the first padding only padding may follow."""
    rest, is_over = b"", False
    for chunk in _digits(source):
        digits, padding, after = chunk.partition(b"=")
        if after.strip(b"=") or (is_over and digits):
            raise binascii.Error("digits after the padding")
        is_over = is_over or bool(padding)
        digits = rest + digits
        whole = len(digits) // 4 * 4
        file.write(base64.b64decode(digits[:whole], validate=True))
        rest = digits[whole:]
    file.write(base64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True))
