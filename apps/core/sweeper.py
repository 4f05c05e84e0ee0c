"""What must happen even if nobody asks for it: wake workers for forgotten jobs, take back lapsed ones, delete what is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

import redis
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Min
from django.utils import timezone

from apps.core import idempotency, lifecycle, tasks
from apps.core.broker import broker
from apps.core.errors import AppError
from apps.core.models import Job, State
from apps.core.storage import StoreAwayError

log = logging.getLogger(__name__)
_FORGOTTEN_AFTER_S = 3.0
_MOST_WAKE_UPS = 64
_BATCH = 200
_rounds: dict[str, Callable[[], int]] = {}


def register_round(name: str, run: Callable[[], int]) -> None:
    """
    Let a service do its own part of the sweeping; called once, when the service starts.

    Args:
        run: one round of it; returns how many rows it touched. In the sweeper's loop it runs beside `sweep`, in a thread of
            its own, so that whatever it waits for holds up no job.
    """
    _rounds[name] = run


def registered_rounds() -> dict[str, Callable[[], int]]:
    """The services' rounds by name."""
    return dict(_rounds)


def sweep() -> dict[str, int]:
    """One round. Returns how many jobs each step touched."""
    return {
        "taken_back": take_back_lapsed(),
        "timed_out": time_out_overdue(),
        "woken": wake_forgotten(),
        "purged": purge_expired(),
        "keys_forgotten": idempotency.forget_old(),
    }


def take_back_lapsed() -> int:
    """Move on every job whose worker stopped renewing its lease."""
    jobs = list(lifecycle.lapsed()[:_BATCH])
    for job in jobs:
        facts = {**job.log_facts, "worker": job.worker, "attempt": job.attempt}
        log.warning("lease lapsed", extra={"facts": facts})
        try:
            lifecycle.take_back(job)
        except (OperationalError, InterfaceError):
            raise
        except (AppError, DatabaseError):  # one job that cannot be moved must not hold up the others
            log.exception("a lapsed job cannot be moved on", extra={"facts": facts})
    return len(jobs)


def time_out_overdue() -> int:
    """End the jobs that waited for hours and never began."""
    return sum(lifecycle.time_out(job) for job in lifecycle.overdue(_BATCH))


def wake_forgotten() -> int:
    """Send the wake-ups that the queue lacks: messages lost with the broker, or never sent because it was away."""
    queued = Job.objects.filter(state=State.QUEUED, awaits_input=False)
    oldest = queued.aggregate(oldest=Min("created_at"))["oldest"]
    if oldest is None or (timezone.now() - oldest).total_seconds() < _FORGOTTEN_AFTER_S:
        return 0
    try:
        missing = min(queued.count() - broker().llen("inference"), _MOST_WAKE_UPS)
    except redis.RedisError:
        return 0
    for _ in range(missing):
        tasks.wake_worker()
    return max(0, missing)


def purge_expired() -> int:
    """Delete the objects of jobs that have expired or were deleted, and inputs that outlived their job."""
    purged = 0
    try:
        for job in lifecycle.due_for_purge(_BATCH):
            lifecycle.purge(job)
            purged += 1
        for job in lifecycle.due_for_input_deletion(_BATCH):
            (lifecycle.purge if job.deleted_at else lifecycle.delete_inputs)(job)
            purged += 1
    except StoreAwayError:
        log.warning("the object store does not answer; its objects are deleted later")
    return purged
