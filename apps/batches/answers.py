"""What `/v1/batches` answers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

from django.db.models import Count
from django.utils import timezone
from msgspec import structs

from apps.batches.models import Batch, Item
from apps.billing.funding import CreditFunding
from apps.core import answers
from apps.core.answers import ApiError, ApiWarning, Image, JobStatus, Moment, Part, Uuid, about
from apps.core.api.cursors import NextCursor
from apps.core.dialects.envelope import error_data
from apps.core.models import OPEN_STATES, Job, State
from apps.core.operations import operation_named
from apps.core.outcome import Artifact, Outcome
from apps.core.results import error_of, image_until, iso, outcome_of, visible_state

_SIGNED_FOR_S = 60
_COUNTED_AS = {State.SETTLING: "running", State.EXPIRED: "succeeded"}


class BatchStatus(StrEnum):
    """How far a batch is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class BatchCounts(Part):
    """How many of its items are how far; one whose result has expired counts as succeeded."""

    total: answers.Count
    queued: answers.Count
    running: answers.Count
    succeeded: answers.Count
    failed: answers.Count
    cancelled: answers.Count


class BatchItem(Part):
    """One image of a batch, in the order in which they were sent."""

    index: answers.Count
    name: Annotated[
        str, about("The file's, the path in the archive or the address's last part; only once in the batch.")
    ]
    job_id: Uuid
    status: JobStatus
    credits_charged: answers.Count
    warnings: list[ApiWarning]
    error: ApiError | None
    image: Annotated[Image | None, about("As in the job's result; the job has the rest of it.")]


class ListedBatch(Part):
    """A batch without its items."""

    batch_id: Uuid
    operation: str
    status: BatchStatus
    counts: BatchCounts
    credits_held: Annotated[answers.Count, about("For items that have not ended.")]
    credits_charged: answers.Count
    created_at: Moment
    finished_at: Moment | None
    expires_at: Annotated[Moment | None, about("When the results and the archive are deleted.")]


class BatchAnswer(ListedBatch):
    """The batch."""

    items: list[BatchItem]


class BatchPage(Part):
    """A page of batches."""

    batches: Annotated[
        list[ListedBatch], about("The newest first; the items of each are at GET /v1/batches/{batch_id}.")
    ]
    next_cursor: NextCursor


def batch_answer(batch: Batch) -> BatchAnswer:
    """A batch as `GET /v1/batches/{id}` shows it."""
    items = list(batch.items.select_related("job").order_by("index"))
    jobs = [item.job for item in items]
    listed = _listed(
        batch, _counted(jobs), held=sum(map(_held, jobs)), charged=sum(job.charged_credits for job in jobs)
    )
    return BatchAnswer(**structs.asdict(listed), items=[_item(item) for item in items])


def listed_batches(batches: Iterable[Batch]) -> list[ListedBatch]:
    """As a list shows them: of those that are finished no job is read, of all others together one statement asks."""
    rows = list(batches)
    running = _of_unfinished([batch.id for batch in rows if batch.finished_at is None])
    return [_listed(batch, *running.get(batch.id, _kept(batch))) for batch in rows]


def warnings_of(outcome: Outcome | None) -> list[ApiWarning]:
    return [ApiWarning(code=code.value, message=code.sentence) for code in outcome.warnings] if outcome else []


def job_error(job: Job) -> ApiError | None:
    """Why an item has no result; None while it may have one, and for one that was cancelled."""
    return error_data(error_of(job)) if visible_state(job) == State.FAILED else None


def _item(item: Item) -> BatchItem:
    job: Job = item.job
    outcome = outcome_of(job) if visible_state(job) == State.SUCCEEDED else None
    main = outcome.artifacts[operation_named(job.operation).main_artifact(job.params)] if outcome else None
    return BatchItem(
        index=item.index,
        name=item.name,
        job_id=str(job.id),
        status=JobStatus(visible_state(job).value),
        credits_charged=job.charged_credits,
        warnings=warnings_of(outcome),
        error=job_error(job),
        image=_image(job.expires_at, main, int(time.time()) // _SIGNED_FOR_S) if main else None,
    )


@lru_cache(maxsize=2048)
def _image(expires_at: datetime | None, artifact: Artifact, minute: int) -> Image:  # noqa: ARG001 - until when it is kept here
    """With a link that a few polls share: to sign a hundred takes 30 ms, and all die when the object does."""
    return image_until(expires_at, artifact)


def _listed(batch: Batch, counts: dict[str, int], held: int, charged: int) -> ListedBatch:
    told = BatchCounts(
        total=batch.total,
        queued=counts.get("queued", 0),
        running=counts.get("running", 0),
        succeeded=counts.get("succeeded", 0),
        failed=counts.get("failed", 0),
        cancelled=counts.get("cancelled", 0),
    )
    return ListedBatch(
        batch_id=str(batch.id),
        operation=batch.operation,
        status=_status(batch, told),
        counts=told,
        credits_held=held,
        credits_charged=charged,
        created_at=iso(batch.created_at),
        finished_at=iso(batch.finished_at),
        expires_at=iso(batch.expires_at),
    )


def _status(batch: Batch, counts: BatchCounts) -> BatchStatus:
    if batch.deleted_at is not None:
        was_finished = batch.finished_at is not None and batch.finished_at <= batch.deleted_at
        return BatchStatus.EXPIRED if was_finished else BatchStatus.CANCELLED
    if batch.finished_at is None:
        return BatchStatus.RUNNING if counts.running or counts.succeeded else BatchStatus.QUEUED
    if counts.cancelled == counts.total:
        return BatchStatus.CANCELLED
    is_over = batch.expires_at is not None and batch.expires_at <= timezone.now()
    return BatchStatus.EXPIRED if is_over else BatchStatus.FINISHED


def _counted(jobs: Iterable[Job]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for job in jobs:
        name = _COUNTED_AS.get(State(job.state), job.state)
        counts[name] = counts.get(name, 0) + 1
    return counts


def _held(job: Job) -> int:
    return job.price_credits if job.funding == CreditFunding.slug and job.state in OPEN_STATES else 0


def _kept(batch: Batch) -> tuple[dict[str, int], int, int]:
    kept = {"succeeded": batch.succeeded, "failed": batch.failed, "cancelled": batch.cancelled}
    return kept, 0, batch.charged_credits


def _of_unfinished(ids: list[Any]) -> dict[Any, tuple[dict[str, int], int, int]]:
    """(counts, credits held, credits charged) of each."""
    found: dict[Any, tuple[dict[str, int], int, int]] = {}
    columns = ("batch_id", "job__state", "job__funding", "job__price_credits", "job__charged_credits")
    rows = Item.objects.filter(batch_id__in=ids).order_by().values_list(*columns).annotate(n=Count("pk"))
    for batch_id, state, funding, price, charged, n in rows if ids else ():
        counts, held, all_charged = found.get(batch_id, ({}, 0, 0))
        name = _COUNTED_AS.get(State(state), state)
        is_held = funding == CreditFunding.slug and state in OPEN_STATES
        counts = {**counts, name: counts.get(name, 0) + n}
        found[batch_id] = (counts, held + price * n * is_held, all_charged + charged * n)
    return found
