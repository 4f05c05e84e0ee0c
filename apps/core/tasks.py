"""The Celery messages. A message is only a wake-up: the row says what is to be done."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from apps.core import lifecycle

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def run_next() -> None:
    """Claim the next job, fair between accounts, and run it; nothing to do is fine."""
    from apps.core.worker import this_worker  # pixels and networks: only a worker ever gets here

    worker = this_worker()
    try:
        job = lifecycle.claim(worker.name)
    except DatabaseError:
        log.exception("the database does not answer; the sweeper will wake us again")
        return
    if job is not None:
        with worker.holding(job):
            lifecycle.run(job, worker.execute)
        worker.clear_inputs(job)


def wake_worker() -> None:
    """Send one wake-up; if the broker is away the sweeper sends another within seconds."""
    try:
        run_next.apply_async(queue="inference", retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will wake a worker")
