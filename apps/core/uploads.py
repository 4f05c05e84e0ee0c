"""From a request to checked bytes: exactly one of file, URL and base64, inspected before any money moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid
from apps.core.fetch import fetch_image
from apps.core.inline import read_base64
from apps.core.inspection import ImageFormat, ImageHeader, ImageLimits, inspect

_CONTENT_TYPES = {
    ImageFormat.JPEG: "image/jpeg",
    ImageFormat.PNG: "image/png",
    ImageFormat.WEBP: "image/webp",
    ImageFormat.GIF: "image/gif",
    ImageFormat.BMP: "image/bmp",
}


@dataclass(frozen=True)
class Upload:
    """A checked image file: `file` is seekable, `header` was read from it, `content_type` follows its magic bytes."""

    file: IO[bytes]
    header: ImageHeader

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self.header.format]


@dataclass(frozen=True)
class Source:
    """Where the client says that the image is: `value` is a file, a URL or base64 text; `field` is how it was sent."""

    name: str
    field: str
    value: Any


def missing_image(name: str) -> AppError:
    """The error for an absent or empty file."""
    detail = Detail(name, "File is required and cannot be empty", Fault.MISSING)
    return AppError(ErrorCode.VALIDATION_ERROR, f"Missing or empty {name} file", details=[detail])


def choose_source(data: Mapping[str, Any], *, name: str = "image") -> Source:
    """
    Find the one source of an image among `name`, `name_url` and `name_base64`.

    Raises:
        AppError: VALIDATION_ERROR when there is none, more than one, or one of the wrong type.
    """
    fields = (name, f"{name}_url", f"{name}_base64")
    given = [field for field in fields if data.get(field) not in (None, "")]
    several = len(given) > 1 or any(len(data.getlist(field)) > 1 for field in given if hasattr(data, "getlist"))
    if several:
        issue = f"Send exactly one of {', '.join(fields)}."
        details = [Detail(field, issue, Fault.SEVERAL_SOURCES) for field in given]
        raise AppError(ErrorCode.VALIDATION_ERROR, issue, details=details)
    if not given:
        raise missing_image(name)
    field, value = given[0], data[given[0]]
    if field == name and not isinstance(value, UploadedFile):
        raise invalid(
            name,
            f"{name} must be a file part of multipart/form-data; send text as {name}_url or {name}_base64.",
        )
    if field != name and not isinstance(value, str):
        raise invalid(field, f"{field} must be a string.")
    return Source(name=name, field=field, value=value)


def open_source(source: Source, *, limits: ImageLimits) -> Upload:
    """
    Get the bytes and check them from their header.

    Raises:
        AppError: VALIDATION_ERROR on the field at fault.
    """
    name, field = source.name, source.field
    if field == f"{name}_url":
        allowed = tuple(settings.FETCH_ALLOW_CIDRS)
        file = fetch_image(source.value, max_bytes=limits.max_bytes, allow_cidrs=allowed, field=field)
    elif field == f"{name}_base64":
        file = read_base64(source.value, max_bytes=limits.max_bytes, field=field)
        field = name
    else:
        if not source.value.size:
            raise missing_image(name)
        file = source.value.file
    return Upload(file=file, header=inspect(file, limits=limits, field=field))
