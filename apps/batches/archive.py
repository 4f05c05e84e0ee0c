"""
A finished batch as one ZIP, streamed entry by entry from the store; nothing of it is built in memory or on disk.

Every size is known from the rows, so that the whole is known before its first byte: a download that breaks is seen to be short.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from django.utils import timezone
from zipstream import ZipStream

from apps.batches import names
from apps.batches.answers import job_error, warnings_of
from apps.batches.models import Batch, Item
from apps.core import answers
from apps.core.answers import ApiError, ApiWarning, JobStatus, Moment, Part, Uuid, about
from apps.core.errors import AppError, ErrorCode
from apps.core.models import State
from apps.core.operations import operation_named
from apps.core.outcome import Artifact, Outcome
from apps.core.results import iso, outcome_of, visible_state
from apps.core.storage import result_store

MANIFEST = "manifest.json"
_AGAIN_AFTER_S = 5


class ManifestItem(Part):
    """What became of one image."""

    index: answers.Count
    name: str
    file: Annotated[str | None, about("Its result in this archive.")]
    status: JobStatus
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    credits_charged: answers.Count
    warnings: list[ApiWarning]
    error: ApiError | None
    model: str | None


class Manifest(Part):
    """What became of a batch."""

    batch_id: Uuid
    operation: str
    params: dict[str, Any]
    finished_at: Moment
    items: list[ManifestItem]


@dataclass(frozen=True)
class Stored:
    """A result, and its path in the archive."""

    path: str
    artifact: Artifact


class Contents:
    """The bytes of an archive; `len` tells how many there are."""

    def __init__(self, manifest: Manifest, files: list[Stored]) -> None:
        self._zip = ZipStream(sized=True)
        self._zip.add(msgspec.json.format(msgspec.json.encode(manifest), indent=1), MANIFEST)
        for file in files:
            self._zip.add(_Object(file.artifact), file.path, size=file.artifact.bytes)

    def __len__(self) -> int:
        return len(self._zip)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._zip)


@dataclass(frozen=True)
class _Object:
    """An object of the store, opened when its turn comes."""

    artifact: Artifact

    def __iter__(self) -> Iterator[bytes]:
        return result_store().stream(self.artifact.key)


def downloadable(batch: Batch) -> Batch:
    """
    The batch, if it has an archive now.

    Raises:
        AppError: CONFLICT with Retry-After while it runs, GONE when it was deleted or has expired.
    """
    if batch.deleted_at is not None or (batch.expires_at is not None and batch.expires_at <= timezone.now()):
        raise AppError(ErrorCode.GONE, "The results of this batch were kept for their time and have been deleted.")
    if batch.finished_at is None:
        raise AppError(
            ErrorCode.CONFLICT,
            "The batch still runs; its archive is there when it is finished.",
            retry_after_s=_AGAIN_AFTER_S,
        )
    return batch


def contents_of(batch: Batch) -> Contents:
    """The archive of a batch that has one; its rows are read here, its objects when they are sent."""
    taken = {MANIFEST}
    files: list[Stored] = []
    items = [_entry(item, taken, files) for item in batch.items.select_related("job").order_by("index")]
    manifest = Manifest(
        batch_id=str(batch.id),
        operation=batch.operation,
        params=batch.params,
        finished_at=iso(batch.finished_at or timezone.now()),
        items=items,
    )
    return Contents(manifest, files)


def _entry(item: Item, taken: set[str], files: list[Stored]) -> ManifestItem:
    """An item's line of the manifest; its files are added to `files`."""
    job = item.job
    outcome = outcome_of(job) if visible_state(job) == State.SUCCEEDED else None
    main = _add(item, outcome, taken, files) if outcome else None
    return ManifestItem(
        index=item.index,
        name=item.name,
        file=main.path if main else None,
        status=JobStatus(visible_state(job).value),
        sha256=main.artifact.sha256 if main else None,
        bytes=main.artifact.bytes if main else None,
        width=main.artifact.width if main else None,
        height=main.artifact.height if main else None,
        credits_charged=job.charged_credits,
        warnings=warnings_of(outcome),
        error=job_error(job),
        model=outcome.model or None if outcome else None,
    )


def _add(item: Item, outcome: Outcome, taken: set[str], files: list[Stored]) -> Stored:
    """Its main result under its name, the others as NAME.RESULT. Returns the main one."""
    chosen = operation_named(item.job.operation).main_artifact(item.job.params)
    stem = posixpath.splitext(item.name)[0]
    for name, artifact in sorted(outcome.artifacts.items(), key=lambda pair: pair[0] != chosen):
        extension = posixpath.splitext(artifact.key)[1]
        path = f"{stem}{extension}" if name == chosen else f"{stem}.{name}{extension}"
        files.append(Stored(names.take(path, taken), artifact))
    return files[-len(outcome.artifacts)]
