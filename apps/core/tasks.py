"""The Celery messages. A message is only a wake-up: the row says what is to be done."""

from __future__ import annotations

import logging

import structlog
from celery import shared_task
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from apps.core import lifecycle

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def run_next() -> None:
    """Claim the next job, fair between accounts, and run it; nothing to do, or no place for it, is fine."""
    from apps.core.work.worker import this_worker  # pixels and networks: only a worker ever gets here

    worker = this_worker()
    with worker.place() as is_free:
        try:
            job = lifecycle.claim(worker.name) if is_free else None
        except DatabaseError:
            log.exception("the database does not answer; the sweeper will wake us again")
            return
        if job is not None:
            with worker.holding(job), structlog.contextvars.bound_contextvars(**job.log_facts):
                lifecycle.run(job, worker.execute)
    if job is not None:
        wake_worker()  # for the next one: its own wake-up may have come while every place was taken
        worker.clear_inputs(job)
    elif is_free and worker.has_turned_away():
        wake_worker()


def wake_worker() -> None:
    """Send one wake-up; if the broker is away the sweeper sends another within seconds."""
    try:
        run_next.apply_async(queue="inference", retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will wake a worker")
