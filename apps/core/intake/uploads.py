"""From a request to checked bytes: exactly one of file, URL and base64, inspected before any money moves."""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import connection

from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid
from apps.core.intake.fetch import fetch_image
from apps.core.intake.inline import LongText, read_base64
from apps.core.intake.outbound import MAX_URL_CHARS
from apps.core.operations import ImageInput, Operation
from apps.core.own_words import named
from apps.core.pictures.inspection import ImageFormat, ImageHeader, inspect

_CONTENT_TYPES = {
    ImageFormat.JPEG: "image/jpeg",
    ImageFormat.PNG: "image/png",
    ImageFormat.WEBP: "image/webp",
    ImageFormat.GIF: "image/gif",
    ImageFormat.BMP: "image/bmp",
}


@dataclass(frozen=True)
class Upload:
    """
    A checked image file: `file` is seekable, `header` was read from it, `content_type` follows its magic bytes.

    `is_fetched` says that the request named its address and did not carry it.
    """

    file: IO[bytes]
    header: ImageHeader
    is_fetched: bool = False

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self.header.format]

    @property
    def size_bytes(self) -> int:
        self.file.seek(0, os.SEEK_END)
        return self.file.tell()


@dataclass(frozen=True)
class Source:
    """Where the client says that an image is: `value` is a file, a URL or base64 text; `field` is how it was sent."""

    image: ImageInput
    field: str
    value: Any


def has_url(operation: Operation, data: Mapping[str, Any]) -> bool:
    """Whether an image has to be fetched first, which takes as long as somebody else's server likes."""
    urls = (image.fields.url for image in operation.images)
    return any(url is not None and data.get(url) not in (None, "") for url in urls)


def open_uploads(operation: Operation, data: Mapping[str, Any], *, caller: Hashable = None) -> dict[str, Upload]:
    """
    Every image of a request, by its name in the operation; all fields are looked at before any URL is fetched.

    Args:
        caller: whose fetches are counted together.

    Raises:
        AppError: VALIDATION_ERROR on the field at fault; RATE_LIMITED while the caller's other fetches take too long.
    """
    strangers = _strange_files(data, known={name for image in operation.images for name in image.fields.names})
    sources = [source for image in operation.images if (source := choose_source(data, image, strangers=strangers))]
    return {source.image.name: open_source(source, caller=caller) for source in sources}


def missing_image(name: str, *, instead: Sequence[str] = ()) -> AppError:
    """
    The error for an absent or empty file.

    Args:
        instead: fields with files that the address does not know: one of them will be the image under another name.
    """
    details = [Detail(name, "File is required and cannot be empty", Fault.MISSING)]
    details += [
        Detail(other, f"A file came as {other}; this address takes it as {name}.", Fault.MISSING) for other in instead
    ]
    return AppError(ErrorCode.VALIDATION_ERROR, f"Missing or empty {name} file", details=details)


def _strange_files(data: Mapping[str, Any], *, known: Collection[str]) -> list[str]:
    return [name for name in data if isinstance(data[name], UploadedFile) and name not in known and len(name) < 60][:3]


def choose_source(data: Mapping[str, Any], image: ImageInput, *, strangers: Sequence[str] = ()) -> Source | None:
    """
    Find the one field that carries an image; None where an optional one is absent.

    Args:
        strangers: fields with files that the operation does not know, to be named where a required image is absent.

    Raises:
        AppError: VALIDATION_ERROR when a required one is absent, there is more than one, or one of the wrong type.
    """
    fields = image.fields
    given = [field for field in fields.names if data.get(field) not in (None, "")]
    several = len(given) > 1 or any(len(data.getlist(field)) > 1 for field in given if hasattr(data, "getlist"))
    if several:
        issue = f"Send exactly one of {', '.join(fields.names)}."
        details = [Detail(field, issue, Fault.SEVERAL_SOURCES) for field in given]
        raise AppError(ErrorCode.VALIDATION_ERROR, issue, details=details)
    if not given:
        if image.required and not fields.takes_file:
            raise invalid(fields.file, f"Send the image as {' or '.join(fields.names)}.", Fault.MISSING)
        if image.required:
            raise missing_image(fields.file, instead=strangers)
        return None
    field, value = given[0], data[given[0]]
    if field == fields.file and not isinstance(value, UploadedFile):
        others = " or ".join(fields.names[1:])
        instead = f"; send text as {others}" if others else ""
        raise invalid(field, f"{field} must be a file part of multipart/form-data{instead}.")
    if field == fields.url and isinstance(value, LongText):
        raise invalid(field, f"The address is too long; send one of at most {MAX_URL_CHARS} characters.", Fault.BAD_URL)
    if field != fields.file and not isinstance(value, str | LongText):
        raise invalid(field, f"{field} must be a string, not {named(value)}.")
    return Source(image, field, value)


def open_source(source: Source, *, caller: Hashable = None) -> Upload:
    """
    Get the bytes and check them from their header.

    Raises:
        AppError: VALIDATION_ERROR on the field at fault; on the file's where base64 text is no image.
    """
    fields, limits, field = source.image.fields, source.image.limits, source.field
    if field == fields.url:
        allowed = tuple(settings.FETCH_ALLOW_CIDRS)
        connection.close()  # back to the pool: a slow server must not keep it from requests that need only the rows
        file = fetch_image(source.value, max_bytes=limits.max_bytes, allow_cidrs=allowed, field=field, caller=caller)
    elif field == fields.base64:
        file = read_base64(source.value, max_bytes=limits.max_bytes, field=field)
        field = fields.file
    else:
        if not source.value.size:
            raise missing_image(field)
        file = source.value.file
    header = inspect(file, limits=limits, field=field)
    return Upload(file=file, header=header, is_fetched=source.field == fields.url)
