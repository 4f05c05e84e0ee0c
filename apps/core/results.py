"""A job's result as a client may see it: links that live as long as the objects, errors as they were."""

from __future__ import annotations

import math
from datetime import datetime
from typing import overload

from django.conf import settings
from django.utils import timezone

from apps.core.answers import Image
from apps.core.errors import AppError, Detail, ErrorCode, Fault
from apps.core.models import Job, State
from apps.core.outcome import Artifact, Outcome
from apps.core.storage import result_store


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: datetime | None) -> str | None: ...
def iso(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z" if moment else None


def visible_state(job: Job) -> State:
    """The row's state, but `expired` from the second on which the result may be or is deleted; `settling` is ours alone."""
    if job.state == State.SETTLING:
        return State.RUNNING
    is_over = job.deleted_at is not None or (job.expires_at is not None and job.expires_at <= timezone.now())
    if job.state == State.SUCCEEDED and is_over:
        return State.EXPIRED
    return State(job.state)


def outcome_of(job: Job) -> Outcome:
    """What a succeeded job ended as. Raises AppError(GONE) when its result has been deleted."""
    if job.outcome is None or visible_state(job) == State.EXPIRED:
        raise AppError(ErrorCode.GONE, "The result was kept for its time and has been deleted.")
    return Outcome.from_json(job.outcome)


def error_of(job: Job) -> AppError:
    """The error that a failed job ended with; a cancelled job has no result and never will, a deleted one no more."""
    if job.deleted_at is not None or job.state == State.EXPIRED:
        return AppError(ErrorCode.GONE, "The job was deleted." if job.deleted_at else None)
    if job.error is None:
        return AppError(ErrorCode.PROCESSING_TIMEOUT)
    details = [Detail(d["field"], d["issue"], Fault(d["fault"])) for d in job.error["details"]]
    return AppError(ErrorCode[job.error["code"]], job.error["message"], details=details)


def image_object(job: Job, artifact: Artifact) -> Image:
    """One image of a result with a presigned URL that dies no later than the object."""
    return image_until(job.expires_at, artifact)


def image_until(expires_at: datetime | None, artifact: Artifact) -> Image:
    """The same of an object that is deleted then."""
    left_s = (expires_at - timezone.now()).total_seconds() if expires_at else 0
    expires_s = max(1, min(settings.RESULT_TTL_S, math.ceil(left_s)))
    return Image(
        url=result_store().presign(artifact.key, expires_s=expires_s),
        content_type=artifact.content_type,
        width=artifact.width,
        height=artifact.height,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        expires_at=iso(expires_at),
    )
