"""
Every change of a job's state.

Each arrow is one `UPDATE ... WHERE state IN (...)`: whoever changes the row wins, everybody else finds zero rows and leaves.
A worker's writes are guarded by its attempt number too, so a worker that lost its lease can't write over its successor.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.core import broker, counts, endings, steps
from apps.core.errors import AppError, ErrorCode
from apps.core.funding import funding_named
from apps.core.models import FINAL_STATES, HELD_STATES, IS_LEFTOVER, OPEN_STATES, Handover, Job, State
from apps.core.outcome import Outcome
from apps.core.storage import StoreAwayError, result_store
from apps.core.turns import CLAIM, WHO_IS_NEXT

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_PAUSE_S = 5
_RETRY_EVERY_S = 0.5
_TOO_OLD = timedelta(hours=1)  # nobody waits for an item of a batch, so that may be as old as the queue is long
_LONGEST_QUEUE = timedelta(hours=6)  # a full queue takes four on the smallest machine, and so does a batch
_LAST_WRITE = timedelta(seconds=60)  # from the watchdog's end of a worker to the last object that it can have sent
_UNKEPT_S = 45  # with retention=0: for an answer that never goes out; the sweeper comes every 5 s


class LeaseLostError(Exception):
    """The job was cancelled, deleted or claimed by another worker while this one worked on it."""


def claim(worker: str) -> Job | None:
    """Take the next job, fair between accounts, with a fresh lease; None when nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute(WHO_IS_NEXT)
        accounts = [row[0] for row in cursor.fetchall()]
    for account_id in accounts:
        now = timezone.now()
        facts = {"worker": worker, "now": now, "lease_until": now + timedelta(seconds=settings.LEASE_S)}
        job = next(iter(Job.objects.raw(CLAIM, {**facts, "account_id": account_id})), None)
        if job is not None:
            steps.tell(job, State.RUNNING, stage=job.stage, progress=job.progress)
            return job
    return None


def input_is_there(job: Job) -> bool:
    """The file of a job that waited for it is stored: from now on it can be claimed. False: it ended before."""
    return bool(Job.objects.filter(id=job.id, state=State.QUEUED, awaits_input=True).update(awaits_input=False))


def renew_leases(claims: Iterable[tuple[Any, int]]) -> None:
    """Push the lease of each (job id, attempt) on; a claim that is no longer ours is left alone."""
    lease_until = timezone.now() + timedelta(seconds=settings.LEASE_S)
    for job_id, attempt in claims:
        Job.objects.filter(id=job_id, attempt=attempt, state__in=HELD_STATES).update(lease_until=lease_until)


def report(job: Job, *, stage: str, progress: float) -> None:
    """
    Write how far the job is.

    Raises:
        LeaseLostError: the job is no longer ours; stop working on it.
    """
    if not _insist(lambda: _mine(job).filter(state=State.RUNNING).update(stage=stage, progress=progress)):
        raise LeaseLostError
    steps.tell(job, State.RUNNING, stage=stage, progress=progress)


def note_results_stored(job: Job) -> None:
    """Say, before the first object is written, that there may be result objects to delete one day. Raises LeaseLostError."""
    if not _insist(lambda: _mine(job).filter(state=State.RUNNING).update(results_stored=True)):
        raise LeaseLostError


def run(job: Job, execute: Callable[[Job], Outcome]) -> None:
    """Execute a claimed job and settle it: the one place where any exception of a pipeline is caught and kept."""
    try:
        outcome = execute(job)
    except LeaseLostError:
        log.info("job was taken away while running", extra={"facts": job.log_facts})
        _throw_away(job)
        return
    except (StoreAwayError, OperationalError, InterfaceError):
        log.exception("job given back", extra={"facts": job.log_facts})
        give_back(job)
        return
    except AppError as error:
        refused = error
        if not _insist(lambda: fail(job, refused)):
            _throw_away(job)
        return
    except Exception:  # whatever it is, the job ends here, uncharged, and the worker goes on
        log.exception("job failed", extra={"facts": {**job.log_facts, "operation": job.operation}})
        _insist(lambda: fail(job, AppError(ErrorCode.PROCESSING_FAILED)))
        return
    kept = outcome.to_json()
    moved = _insist(lambda: _move(job, State.RUNNING, State.SETTLING, stage="settle", progress=0.95, outcome=kept))
    steps.tell(job, State.SETTLING, stage="settle", progress=0.95)
    _insist(lambda: settle(job))  # whoever began it: a move whose commit was not confirmed looks like one that lost
    if not moved and not _insist(lambda: _mine(job).filter(state__in=(State.SETTLING, State.SUCCEEDED)).exists()):
        _throw_away(job)


def settle(job: Job) -> None:
    """
    Charge for a finished job, or let the hold go when its result is empty, and end it; safe to repeat.

    The capture and the last move commit together: a crash between them leaves the row in `settling` with nothing taken.
    """
    with transaction.atomic():
        row = Job.objects.select_for_update().filter(id=job.id, state=State.SETTLING).first()
        if row is None:  # the sweeper or the worker was faster
            return
        funding, charged = funding_named(row.funding), 0
        if Outcome.from_json(row.outcome or {}).chargeable:
            charged = funding.capture(row)
        else:
            funding.release(row, ended_as=State.SUCCEEDED)
        expires_at = timezone.now() + timedelta(seconds=row.retention_s or _UNKEPT_S)
        _end(row, (State.SETTLING,), State.SUCCEEDED, charged_credits=charged, progress=1.0, expires_at=expires_at)


def fail(job: Job, error: AppError) -> bool:
    """End an open job with an error and return its hold; False when somebody else ended it first."""
    kept = {
        "code": error.code.name,
        "message": error.message,
        "details": [{"field": d.field, "issue": d.issue, "fault": d.fault.value} for d in error.details],
        "retryable": error.code.retryable,
    }
    with transaction.atomic():
        if not _end(job, (State.QUEUED, State.RUNNING), State.FAILED, error=kept):
            return False
        funding_named(job.funding).release(job, ended_as=State.FAILED)
    return True


def cancel(job: Job) -> bool:
    """
    End a job that nobody waits for any more, unpaid; what a worker still does for it is thrown away. False: it ended before.

    One that settles is cancelled as well: its row's lock decides whether the charge or this came first.
    """
    with transaction.atomic():
        return _cancel(job)


def give_back(job: Job) -> None:
    """
    The store or the database went away: no fault of the job, so it is not counted against it.

    The short lease is a pause before the next try; the empty worker name tells the sweeper that nobody crashed.
    """
    lease_until = timezone.now() + timedelta(seconds=_PAUSE_S)
    with contextlib.suppress(DatabaseError):  # if the row can't be reached either, the old lease simply lapses
        _insist(lambda: _mine(job).filter(state=State.RUNNING).update(worker="", lease_until=lease_until))


def delete(job: Job) -> None:
    """
    The owner wants it gone: an open one is cancelled unpaid, and the row's content goes with the mark; its objects go now or
    with the next sweep.
    """
    gone: dict[str, Any] = {"deleted_at": timezone.now(), "params": {}, "outcome": None, "error": None}
    with transaction.atomic():
        if not _cancel(job, **gone):  # it has ended, and stays so
            Job.objects.filter(id=job.id, deleted_at=None, state__in=FINAL_STATES).update(**gone)
        Handover.objects.filter(job_id=job.id).delete()  # the client's address, which is a secret of his
    job.refresh_from_db()
    purge_if_reachable(job)


def purge(job: Job) -> None:
    """
    Delete a final job's objects; once more later, where a worker may still be storing one. Raises StoreAwayError.

    Args:
        job: as the row is since it has ended.
    """
    if job.results_stored:
        result_store().delete_prefix(job.result_prefix)
    if job.inputs_stored:
        result_store().delete_prefix(job.input_prefix)
    rows = Job.objects.filter(id=job.id, state__in=FINAL_STATES)
    gone = {**Job.NO_INPUTS, **(Job.NO_RESULTS if job.results_stored else {})}
    last_write_at = job.purge_again_at or _last_write_at(job)
    if last_write_at is not None and last_write_at > timezone.now():
        rows.update(**gone | {"results_stored": F("results_stored"), "purge_again_at": last_write_at})
    else:
        rows.update(**gone)
    rows.filter(state=State.SUCCEEDED).update(state=State.EXPIRED, outcome=None)
    log.info("objects deleted", extra={"facts": job.log_facts})


def _last_write_at(job: Job) -> datetime | None:
    """
    Until when a worker may store a result of a final job; None where none can any more.

    A worker that lost the job finds out at its next step, and ends with the watchdog at the latest; what it had sent by then
    the store may take a moment longer to write.
    """
    is_done = job.state in (State.SUCCEEDED, State.EXPIRED) and job.attempt == 1 and job.deleted_at is None
    if job.started_at is None or is_done:  # its only worker said that everything was there
        return None
    return job.started_at + timedelta(seconds=settings.JOB_LIMIT_S) + _LAST_WRITE


def expire(job: Job) -> None:
    """The result is handed over for the first and last time: from now on it counts as deleted."""
    Job.objects.filter(id=job.id, state=State.SUCCEEDED).update(expires_at=timezone.now())


def purge_if_reachable(job: Job) -> None:
    """Delete a final job's objects now; the sweeper does it within seconds where the store or the database is away."""
    with contextlib.suppress(StoreAwayError, DatabaseError):
        purge(job)


def delete_inputs(job: Job, *, names: Iterable[str] = ()) -> None:
    """
    A final job's inputs are of no more use.

    Args:
        names: all that it can have; without them the store is asked.

    Raises:
        StoreAwayError
    """
    if names:
        for name in names:
            result_store().delete(job.input_prefix + name)
    else:
        result_store().delete_prefix(job.input_prefix)
    Job.objects.filter(id=job.id).update(**Job.NO_INPUTS)


def lapsed() -> QuerySet[Job]:
    """Jobs in work whose worker stopped renewing the lease."""
    return Job.objects.filter(state__in=HELD_STATES, lease_until__lt=timezone.now()).order_by("lease_until")


def take_back(job: Job) -> None:
    """
    Move a lapsed job on: through the settlement that it had begun, or back to the queue.

    A job whose workers died MAX_ATTEMPTS times probably kills them, and one that is too old is of no use: both fail.
    """
    if job.state == State.SETTLING:
        settle(job)
        return
    crashes = job.crashes + bool(job.worker)
    is_late = timezone.now() - job.created_at > (_LONGEST_QUEUE if job.in_batch else _TOO_OLD)
    if crashes >= settings.MAX_ATTEMPTS or is_late:
        fail(job, AppError(ErrorCode.PROCESSING_TIMEOUT if is_late else ErrorCode.PROCESSING_FAILED))
        return
    _mine(job).filter(state=State.RUNNING, lease_until__lt=timezone.now()).update(
        state=State.QUEUED, stage="queued", lease_until=None, progress=0.0, crashes=crashes
    )


def take_back_from(worker: str) -> int:
    """Move on at once all that a worker of this name still held when it died; nobody need wait for its leases to lapse."""
    left = Job.objects.filter(state__in=HELD_STATES, worker=worker)
    left.update(lease_until=timezone.now())
    jobs = list(left)
    for job in jobs:
        take_back(job)
    return len(jobs)


def overdue(most: int) -> list[Job]:
    """Jobs that no worker has ever come to."""
    return list(Job.objects.filter(state=State.QUEUED, created_at__lt=timezone.now() - _LONGEST_QUEUE)[:most])


def time_out(job: Job) -> bool:
    """End a job that nobody should wait for any longer, and return its hold; False when it ended, or began, before."""
    return fail(job, AppError(ErrorCode.PROCESSING_TIMEOUT))


def time_out_on_last_attempt(job_id: Any, attempt: int) -> None:
    """
    Its worker is about to end itself because the job hangs.

    After MAX_ATTEMPTS of them it is known why it failed; before that another worker tries, as after any crash.
    """
    job = Job.objects.filter(id=job_id, attempt=attempt, crashes__gte=settings.MAX_ATTEMPTS - 1).first()
    if job is not None:
        time_out(job)


def due_for_purge(most: int) -> list[Job]:
    """Final jobs whose results have expired or whose owner deleted them, and cancelled or failed ones with leftovers."""
    now = timezone.now()
    is_due = Q(purge_again_at__isnull=True) | Q(purge_again_at__lt=now)
    final = Job.objects.filter(is_due, state__in=FINAL_STATES, results_stored=True)
    expired = final.filter(expires_at__lt=now).order_by("expires_at")
    return [*final.filter(IS_LEFTOVER).order_by("finished_at")[:most], *expired[:most]]


def due_for_input_deletion(most: int) -> list[Job]:
    """Final jobs whose inputs still lie in the store."""
    ended = Job.objects.filter(inputs_stored=True, finished_at__isnull=False, state__in=FINAL_STATES)
    return list(ended.order_by("finished_at")[:most])


def _insist(write: Callable[[], _Result]) -> _Result:
    """
    Repeat a worker's guarded write while the database is away, as long as its lease may live: its work is dear.

    Raises:
        OperationalError, InterfaceError: it was away for longer.
    """
    deadline = time.monotonic() + settings.LEASE_S
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(_RETRY_EVERY_S)


def _throw_away(job: Job) -> None:
    """Delete what this attempt has stored: whoever took the job away may have looked before the last object was there."""
    if job.results_stored:
        with contextlib.suppress(StoreAwayError):  # then it is found by the second purge
            result_store().delete_prefix(job.attempt_prefix)


def _cancel(job: Job, **fields: Any) -> bool:
    """Inside a transaction: end an open job and return its hold. False: it ended before."""
    if not _end(job, OPEN_STATES, State.CANCELLED, any_attempt=True, **fields):
        return False
    funding_named(job.funding).release(job, ended_as=State.CANCELLED)
    return True


def _mine(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(id=job.id, attempt=job.attempt)


def _move(job: Job, source: State, target: State, **fields: Any) -> bool:
    return bool(_mine(job).filter(state=source).update(state=target, **fields))


def _end(job: Job, sources: tuple[State, ...], target: State, *, any_attempt: bool = False, **fields: Any) -> bool:
    """Inside a transaction, in which what hangs on the end is written too (`endings`). False: it ended before."""
    rows = Job.objects.filter(id=job.id) if any_attempt else _mine(job)
    ended = rows.filter(state__in=sources).update(
        state=target, stage=target.value, finished_at=timezone.now(), lease_until=None, **fields
    )
    if ended:
        endings.tell(job, target)
        transaction.on_commit(lambda: _tell_end(job, target, credits=fields.get("charged_credits", 0)), robust=True)
    return bool(ended)


def _tell_end(job: Job, ended_as: State, *, credits: int) -> None:
    """To whoever waits for the job, to the counters and to the log."""
    broker.ring_bell(job.id, counted=dict(counts.of_end(job, ended_as)))
    facts = {"operation": job.operation, "state": ended_as.value, "credits": credits, "attempt": job.attempt}
    log.info("job ended", extra={"facts": job.log_facts | facts})
