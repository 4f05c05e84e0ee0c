"""What a batch is made of: exactly one of files, addresses and an archive, each image looked at by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from django.core.files.uploadedfile import UploadedFile

from apps.batches import names
from apps.batches.submission import Piece
from apps.batches.zip_reading import MOST_IMAGES, entries_of, read_zip
from apps.core.errors import AppError, Fault, invalid
from apps.core.intake.inline import LongText
from apps.core.intake.outbound import MAX_URL_CHARS
from apps.core.intake.uploads import Upload, missing_image
from apps.core.operations import Operation
from apps.core.own_words import named
from apps.core.pictures.inspection import inspect

IMAGES, URLS, ARCHIVE = "images", "image_urls", "archive"
SOURCES = (IMAGES, URLS, ARCHIVE)
_LONGEST_URLS = 1_048_576
_OF_AN_ADDRESS = frozenset({"url", "name", "upload_url"})


@dataclass(frozen=True)
class Sent:
    """A file as it came, for the request's fingerprint."""

    file: IO[bytes]
    is_fetched: bool = False


@dataclass(frozen=True)
class Source:
    """
    Where the images are.

    Args:
        field: the one field that was given.
        files: of `images` or `archive`.
        addresses: of `image_urls`: what was said of each.
    """

    field: str
    files: Sequence[UploadedFile] = ()
    addresses: Sequence[Mapping[str, str]] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size or 0 for file in self.files)

    @property
    def fingerprint(self) -> tuple[dict[str, Any], dict[str, Sent]]:
        """Fields and files for `idempotency.ticket_for`; names are part of the request, since results bear them."""
        told = [[each.get(key) for key in sorted(_OF_AN_ADDRESS)] for each in self.addresses]
        named_files = {f"{index:03}:{file.name}": Sent(opened(file)) for index, file in enumerate(self.files)}
        return {URLS: told} if told else {}, named_files


def choose(fields: Mapping[str, Any]) -> Source:
    """
    The one source that the request has.

    Raises:
        AppError: VALIDATION_ERROR: none, several, too many images, or one of the wrong kind.
    """
    given = {field: values for field in SOURCES if (values := _given(fields, field))}
    if len(given) > 1:
        issue = f"Send exactly one of {', '.join(SOURCES)}; {' and '.join(given)} came."
        raise invalid(next(iter(given)), issue, Fault.SEVERAL_SOURCES)
    if not given:
        raise invalid(IMAGES, f"Send the images as one of {', '.join(SOURCES)}.", Fault.MISSING)
    field, values = next(iter(given.items()))
    if field == URLS:
        return Source(URLS, addresses=_addresses(values))
    if not all(isinstance(value, UploadedFile) for value in values):
        raise invalid(field, f"{field} must be file parts of multipart/form-data; send addresses as {URLS}.")
    most = MOST_IMAGES if field == IMAGES else 1
    if len(values) > most:
        issue = (
            f"At most {most} image{'s' * (most > 1)} in a batch; {len(values)} came."
            if most > 1
            else "Send one archive."
        )
        raise invalid(field, issue)
    return Source(field, files=values)


def pieces_of(source: Source, operation: Operation, params: Mapping[str, Any]) -> list[Piece]:
    """
    Every image, looked at by its header; addresses are not asked yet.

    Raises:
        AppError: something speaks against the batch as a whole.
    """
    if source.field == URLS:
        pieces = [_of_address(each, number) for number, each in enumerate(source.addresses, start=1)]
    elif source.field == IMAGES:
        pieces = [
            _of_file(file.name or "", opened(file), operation, params, number=number)
            for number, file in enumerate(source.files, start=1)
        ]
    else:
        pieces = _of_archive(source.files[0], operation, params)
    return [replace(piece, name=name) for piece, name in zip(pieces, names.unique(_names(pieces)), strict=True)]


def opened(file: UploadedFile) -> BinaryIO:
    """The file behind a part of a form."""
    return cast(BinaryIO, file.file)


def looked_at(file: BinaryIO, operation: Operation, params: Mapping[str, Any], *, field: str = "image") -> Upload:
    """Raises AppError: the file is no image that the operation takes with these parameters."""
    header = inspect(file, limits=operation.image_limits, field=field)
    operation.check(params, {"image": header})
    return Upload(file=file, header=header)


def _names(pieces: Iterable[Piece]) -> Iterable[str]:
    return (piece.name for piece in pieces)


def _given(fields: Mapping[str, Any], field: str) -> list[Any]:
    """All that came under a name; `images[]` is how some libraries write a repeated field."""
    written = [field, f"{field}[]"] if field == IMAGES else [field]
    values: list[Any] = []
    for name in written:
        values += fields.getlist(name) if hasattr(fields, "getlist") else [fields.get(name)]
    return [value for value in values if value not in (None, "")]


def _of_file(name: str, file: BinaryIO, operation: Operation, params: Mapping[str, Any], *, number: int) -> Piece:
    safe = names.safe(name, otherwise=f"image-{number}")
    if not file.seek(0, 2) and not file.tell():
        return Piece(safe, error=missing_image("image"))
    try:
        return Piece(safe, upload=looked_at(file, operation, params))
    except AppError as error:
        return Piece(safe, error=error)


def _of_archive(archive: UploadedFile, operation: Operation, params: Mapping[str, Any]) -> list[Piece]:
    if not archive.size:
        raise missing_image(ARCHIVE)
    pieces = []
    for number, (entry, found) in enumerate(entries_of(read_zip(opened(archive))), start=1):
        if isinstance(found, AppError):
            pieces.append(Piece(names.safe(entry.name, otherwise=f"image-{number}"), error=found))
        else:
            pieces.append(_of_file(entry.name, found, operation, params, number=number))
    return pieces


def _of_address(address: Mapping[str, str], number: int) -> Piece:
    url = address["url"]
    try:
        path = urlsplit(url).path
    except ValueError:  # a broken IPv6 address; whoever fetches it says so
        path = ""
    name = address.get("name") or unquote(path.rpartition("/")[2])
    return Piece(names.safe(name, otherwise=f"image-{number}"), url=url, upload_url=address.get("upload_url", ""))


def _addresses(values: list[Any]) -> list[Mapping[str, str]]:
    """`image_urls` as a JSON list, or its text in a form. Raises AppError."""
    listed = _loads(values)
    if not isinstance(listed, list):
        raise invalid(URLS, f"{URLS} must be a JSON list of addresses, not {named(listed)}.")
    if not listed:
        raise invalid(URLS, f"{URLS} is empty; send at least one address.", Fault.MISSING)
    if len(listed) > MOST_IMAGES:
        raise invalid(URLS, f"At most {MOST_IMAGES} images in a batch; {len(listed)} came.")
    return [_address(each, index) for index, each in enumerate(listed)]


def _loads(values: list[Any]) -> Any:
    if len(values) > 1 and all(isinstance(value, str) for value in values):
        return values  # a form that repeats the field
    value = values[0]
    if isinstance(value, LongText):
        value = value.open().read(_LONGEST_URLS + 1)
        if len(value) > _LONGEST_URLS:
            raise invalid(URLS, f"{URLS} is too long.")
    if not isinstance(value, str | bytes):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise invalid(URLS, f"{URLS} must be a JSON list of addresses.") from error


def _address(each: Any, index: int) -> Mapping[str, str]:
    field = f"{URLS}.{index}"
    told = {"url": each} if isinstance(each, str) else each
    if not isinstance(told, dict) or not isinstance(told.get("url"), str) or not told["url"]:
        raise invalid(field, 'Each must be an address, or {"url": ..., "name": ..., "upload_url": ...}.')
    unknown = [name for name in told if name not in _OF_AN_ADDRESS]
    if unknown:
        raise invalid(
            f"{field}.{unknown[0][:40]}", f"An address has {' and '.join(sorted(_OF_AN_ADDRESS))}, and no more."
        )
    for name in _OF_AN_ADDRESS:
        if not isinstance(told.get(name) or "", str):
            raise invalid(f"{field}.{name}", f"{name} must be a text.")
        if len(told.get(name) or "") > MAX_URL_CHARS:
            raise invalid(f"{field}.{name}", f"{name} is too long; send at most {MAX_URL_CHARS} characters.")
    return {name: value for name, value in told.items() if value}
