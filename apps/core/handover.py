"""
`upload_url`: a job's result is put into the client's own bucket, by the io worker, after the job has succeeded.

The address is a secret of the client's (whoever has it may write there): it is sealed in a row of its own, stands in no log, and
goes with that row when all is done, or when the job is deleted. What came of it stays with the job (`Job.delivery`).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.core import broker, counts, errands
from apps.core.errors import AppError
from apps.core.intake.outbound import OutboundError, send
from apps.core.models import Handover, Job, State
from apps.core.operations import operation_named
from apps.core.outcome import Artifact
from apps.core.results import outcome_of
from apps.core.retries import pause_after
from apps.core.sealing import SealBrokenError, seal, unseal
from apps.core.storage import StoreAwayError, result_store

log = logging.getLogger(__name__)
ERRAND = "uploads"
PLACES = 6
"""Each holds one result in memory."""

LIMIT_S = 60.0
_LEASE = timedelta(seconds=LIMIT_S + 15)
_DELETED = "The result was deleted."
_PAUSE = timedelta(seconds=5)  # while our own store is away, which is no fault of the client's

# Oldest first, of accounts that have fewer than half of the places.
_CLAIM = """
UPDATE core_handover SET next_attempt_at = %(lease_until)s, lease_until = %(lease_until)s
WHERE job_id = (SELECT due.job_id FROM core_handover due
                WHERE due.next_attempt_at <= %(now)s
                  AND (SELECT count(*) FROM core_handover held
                       WHERE held.account_id = due.account_id AND held.lease_until > %(now)s) < %(of_one)s
                ORDER BY due.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *
"""


def order(job: Job, url: str) -> Handover:
    """
    Say of a job that is still to be saved that its result goes to `url`.

    Returns:
        A row to save in the same transaction, after the job.
    """
    job.delivery = _told("pending", tries=0, status=None)
    return Handover(job=job, account_id=job.account_id, sealed_url=seal(url))


def address_of(job: Job) -> str | None:
    """Where the job's result is to go, in the client's own words; None for nowhere."""
    row = Handover.objects.filter(job_id=job.id).first() if job.delivery else None
    return unseal(row.sealed_url) if row else None


def on_ending(job: Job, ended_as: State) -> None:
    """The hook of `endings`: a success is due from now on; of anything else there is nothing to hand over."""
    if job.delivery is None:
        return
    if ended_as is State.SUCCEEDED:
        Handover.objects.filter(job_id=job.id).update(next_attempt_at=timezone.now())
        transaction.on_commit(partial(errands.wake, ERRAND), robust=True)
    else:
        Handover.objects.filter(job_id=job.id).delete()
        Job.objects.filter(id=job.id).update(delivery=_told("failed", tries=0, status=None))


def due(most: int) -> int:
    """The errand's `due`."""
    return Handover.objects.filter(next_attempt_at__lte=timezone.now())[:most].count()


def deliver_next() -> bool:
    """The errand's `run`: one try of one result. False where none is due, or none has a place."""
    now = timezone.now()
    facts = {"now": now, "lease_until": now + _LEASE, "of_one": PLACES // 2}
    claimed = next(iter(Handover.objects.raw(_CLAIM, facts)), None)
    if claimed is None:
        return False
    job = Job.objects.get(id=claimed.job_id)
    try:
        artifact = _artifact_of(job)
    except AppError:  # deleted, or expired
        _end(claimed, job, "failed", error=_DELETED)
        return True
    connection.close()  # back to the pool, while a bucket takes its time
    try:
        body = result_store().get(artifact.key)
    except StoreAwayError:
        _mine(claimed).update(next_attempt_at=timezone.now() + _PAUSE, lease_until=None)
        return True
    except AppError:
        _end(claimed, job, "failed", error=_DELETED)
        return True
    status, error = _put(claimed, body, artifact)
    _note(claimed, job, status=status, error=error)
    return True


def _artifact_of(job: Job) -> Artifact:
    """Raises AppError: GONE."""
    name = operation_named(job.operation).main_artifact(job.params)
    return outcome_of(job).artifacts[name]


def _put(handover: Handover, body: bytes, artifact: Artifact) -> tuple[int | None, str | None]:
    """The answer's status, and why it is no success."""
    try:
        with send(
            "PUT",
            unseal(handover.sealed_url),
            timeout_s=LIMIT_S,
            allow_cidrs=settings.FETCH_ALLOW_CIDRS,
            headers={"Content-Type": artifact.content_type},
            body=body,
            caller=f"upload:{handover.account_id}",
            https_only=True,
        ) as response:
            status = response.status_code
    except OutboundError as refused:
        return None, f"The address {refused.refusal.value}."
    except SealBrokenError:
        return None, "The address cannot be read any more."
    return status, None if 200 <= status < 300 else f"The address answers with status {status}."


def _note(handover: Handover, job: Job, *, status: int | None, error: str | None) -> None:
    tries, now = int((job.delivery or {}).get("attempts", 0)) + 1, timezone.now()
    pause = pause_after(tries)
    is_over = job.expires_at is not None and job.expires_at <= now
    job.delivery = _told("pending", tries=tries, status=status)
    if error is None:
        _end(handover, job, "delivered")
    elif pause is None or is_over:
        _end(handover, job, "failed", error=error)
    else:
        again_at: datetime = min(now + pause, job.expires_at or now + pause)  # at its end the address goes, too
        with transaction.atomic():
            if _mine(handover).update(next_attempt_at=again_at, lease_until=None):
                Job.objects.filter(id=job.id).update(delivery=job.delivery)
        _tell(job, "retried", error=error)


def _end(handover: Handover, job: Job, ended_as: str, *, error: str | None = None) -> None:
    """The last of it: the row goes, and the address with it."""
    job.delivery = {**(job.delivery or {}), "status": ended_as}
    with transaction.atomic():
        if _mine(handover).delete()[0]:
            Job.objects.filter(id=job.id).update(delivery=job.delivery)
    _tell(job, ended_as, error=error)


def _mine(handover: Handover) -> Any:
    return Handover.objects.filter(job_id=handover.job_id, lease_until=handover.lease_until)


def _told(status_word: str, *, tries: int, status: int | None) -> dict[str, Any]:
    """As answers show it."""
    return {"status": status_word, "attempts": tries, "lastStatus": status}


def _tell(job: Job, outcome: str, *, error: str | None) -> None:
    broker.count(counts.field(counts.UPLOADS, outcome))
    told = job.delivery or {}
    facts = {**job.log_facts, "outcome": outcome, "try": told.get("attempts"), "http_status": told.get("lastStatus")}
    log.log(logging.WARNING if error else logging.INFO, "upload", extra={"facts": {**facts, "why": error}})
