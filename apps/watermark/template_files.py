"""The files of a template, from a form to checked uploads: everything that can be told without pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from rest_framework import serializers

from apps.core.errors import Fault, invalid
from apps.core.intake.uploads import Upload, missing_image
from apps.core.operations import MEGABYTE
from apps.core.own_words import Text
from apps.core.pictures import png
from apps.core.pictures.formats import HeaderError, ImageFormat
from apps.core.pictures.inspection import ImageLimits, inspect, too_large, unreadable
from apps.core.pictures.wholeness import check_whole
from apps.watermark.mark_opacity import refuse_without_mark
from apps.watermark.models import Kind
from ml.watermark.template.usable import SMALLEST_SIDE_PX

FEWEST_PHOTOS, MOST_PHOTOS = 3, 10
MOST_BYTES = 25 * MEGABYTE
"""Of all files together."""

MOST_PIXELS = 60_000_000
"""Of all photos together: the worker learns the mark from all of them at once."""

_SIDES = {"max_width_px": 10_000, "max_height_px": 10_000, "max_pixels": 50_000_000}
MARK_LIMITS = ImageLimits(formats=frozenset({ImageFormat.PNG}), max_bytes=MOST_BYTES, **_SIDES)
PHOTO_LIMITS = ImageLimits(
    formats=frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.BMP, ImageFormat.WEBP}),
    max_bytes=MOST_BYTES,
    **_SIDES,
)
PHOTO_FIELDS = ("images", "images[]")


class TemplateSerializer(serializers.Serializer[Any]):
    """What is text in a template's form."""

    name = Text(
        required=False, allow_blank=True, default="", max_length=100, help_text="For you; it need not be unique."
    )


_MEGABYTES = MOST_BYTES // MEGABYTE
_NAME: Any = TemplateSerializer().fields["name"]
FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": _NAME.max_length, "description": _NAME.help_text},
        "image": {
            "type": "string",
            "format": "binary",
            "contentMediaType": "image/png",
            "description": f"The mark alone: a PNG with alpha, at most {_MEGABYTES} MB.",
        },
        "images": {
            "type": "array",
            "items": {"type": "string", "format": "binary", "contentMediaType": "image/*"},
            "minItems": FEWEST_PHOTOS,
            "maxItems": MOST_PHOTOS,
            "description": f"Or {FEWEST_PHOTOS} to {MOST_PHOTOS} photos of one size that carry it at the same place: JPEG, PNG, "
            f"BMP or WEBP, at most {_MEGABYTES} MB in all.",
        },
    },
}
"""For the OpenAPI document."""


def read_files(fields: Mapping[str, Any]) -> tuple[Kind, list[Upload]]:
    """
    One PNG with alpha in `image`, or 3 to 10 marked photos of one size in `images`.

    Raises:
        AppError: VALIDATION_ERROR on the field at fault.
    """
    marks = _files(fields, "image")
    photos = [file for name in PHOTO_FIELDS for file in _files(fields, name)]
    if marks and photos:
        raise invalid("image", "Send the mark itself as image, or marked photos as images.", Fault.SEVERAL_SOURCES)
    if photos:
        return Kind.PHOTOS, _photos(photos)
    if not marks:
        raise missing_image("image")
    if len(marks) > 1:
        raise invalid("image", "Send one file as image; marked photos go in images.", Fault.SEVERAL_SOURCES)
    return Kind.PNG, [_mark(marks[0])]


def _files(fields: Mapping[str, Any], name: str) -> list[UploadedFile]:
    given = fields.getlist(name) if hasattr(fields, "getlist") else [fields.get(name)]
    files = [value for value in given if value not in (None, "")]
    if not all(isinstance(file, UploadedFile) for file in files):
        raise invalid(name, f"{name} must be a file part of multipart/form-data.")
    return files


def _mark(file: UploadedFile) -> Upload:
    upload = _checked(file, MARK_LIMITS, "image")
    if not _has_alpha(cast(BinaryIO, upload.file)):
        issue = "The PNG has no alpha channel: send the mark alone, transparent around it, or marked photos as images."
        raise invalid("image", issue)
    refuse_without_mark(cast(BinaryIO, upload.file))
    return upload


def _photos(files: list[UploadedFile]) -> list[Upload]:
    if not FEWEST_PHOTOS <= len(files) <= MOST_PHOTOS:
        issue = f"Send {FEWEST_PHOTOS} to {MOST_PHOTOS} photos that carry the mark at the same place, not {len(files)}."
        raise invalid("images", issue)
    size_bytes = sum(file.size or 0 for file in files)
    if size_bytes > MOST_BYTES:
        raise too_large("images", size_bytes, max_bytes=MOST_BYTES)
    uploads = [_checked(file, PHOTO_LIMITS, "images") for file in files]
    sizes = sorted({(upload.header.width, upload.header.height) for upload in uploads})
    if len(sizes) > 1:
        told = " and ".join(f"{width} x {height} px" for width, height in sizes[:2])
        raise invalid("images", f"The photos must all have the same size, upright; there are {told}.")
    if min(sizes[0]) < SMALLEST_SIDE_PX:
        issue = f"The photos must be at least {SMALLEST_SIDE_PX} px wide and high; there are {sizes[0][0]} x {sizes[0][1]} px."
        raise invalid("images", issue, Fault.RESOLUTION_TOO_LOW)
    if len({_digest(upload) for upload in uploads}) < len(uploads):
        raise invalid(
            "images", "Two of the photos are the same file; the mark is what different photos share. Send others."
        )
    if sum(width * height for width, height in sizes) * len(uploads) > MOST_PIXELS:
        issue = (
            f"The photos have more than {MOST_PIXELS // 1_000_000} megapixels together; send fewer, or smaller ones."
        )
        raise invalid("images", issue, Fault.RESOLUTION_TOO_HIGH)
    return uploads


def _checked(file: UploadedFile, limits: ImageLimits, field: str) -> Upload:
    """Whole, so that it still can be read when it is first used. Raises AppError."""
    if not file.size:
        raise missing_image(field)
    content = cast(BinaryIO, file.file)
    header = inspect(content, limits=limits, field=field)
    try:
        check_whole(content, header)
    except HeaderError as error:
        raise unreadable(field) from error
    return Upload(file=content, header=header)


def _digest(upload: Upload) -> bytes:
    upload.file.seek(0)
    return hashlib.file_digest(cast(Any, upload.file), "sha256").digest()


def _has_alpha(file: BinaryIO) -> bool:
    """Whether a whole PNG has an alpha channel, or a transparent colour or palette."""
    if png.read_ihdr(file).has_alpha:
        return True
    first = (name for name, _, _ in png.chunks(file) if name in {b"tRNS", b"IDAT"})
    return next(first, None) == b"tRNS"
