"""
The worker's process: models loaded before the first job, leases renewed, a heartbeat, and a watchdog.

Celery's `threads` pool runs the tasks; threads can't be stopped from outside, so the watchdog ends the whole process when
a job exceeds its limit (docs/adr/0004): the supervisor starts a new one and the lapsed lease brings the job back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections

from apps.core import broker, lifecycle
from apps.core.engine import Runner
from apps.core.execution import Work
from apps.core.models import FINAL_STATES, Job
from apps.core.operations import operation_named
from apps.core.outcome import Outcome
from apps.core.storage import StoreAwayError

log = logging.getLogger(__name__)
_RENEW_EVERY_S = 5.0
_WATCH_EVERY_S = 1.0


class Worker:
    """The jobs in hand and the pipelines that do them."""

    def __init__(self, *, name: str, runners: dict[str, Runner], facts: dict[str, Any]) -> None:
        self.name = name
        self._runners = runners
        self._facts = facts
        self._in_hand: dict[Any, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the two threads that keep leases alive and watch for jobs that hang."""
        for loop in (self._keep_alive, self._watch):
            threading.Thread(target=loop, name=loop.__name__, daemon=True).start()

    def execute(self, job: Job) -> Outcome:
        """Run the job's operation on its input."""
        operation = operation_named(job.operation)
        return self._runners[operation.slug].run(Work(job, operation))

    @contextlib.contextmanager
    def holding(self, job: Job) -> Iterator[None]:
        """While inside, the job's lease is renewed and its time is watched."""
        with self._lock:
            self._in_hand[job.id] = (job.attempt, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._in_hand[job.id]

    def clear_inputs(self, job: Job) -> None:
        """After the bell has rung, so that no client waits for it; what fails here is left to the sweeper."""
        job.refresh_from_db()
        with contextlib.suppress(StoreAwayError):
            if job.state in FINAL_STATES:
                lifecycle.delete_inputs(job)

    def _keep_alive(self) -> None:
        while True:
            broker.beat(self.name, self._facts)
            with self._lock:
                claims = [(job_id, attempt) for job_id, (attempt, _) in self._in_hand.items()]
            try:
                lifecycle.renew_leases(claims)
            except DatabaseError:
                log.warning("leases could not be renewed")
            close_old_connections()
            time.sleep(_RENEW_EVERY_S)

    def _watch(self) -> None:
        while True:
            time.sleep(_WATCH_EVERY_S)
            with self._lock:
                ages = {job_id: time.monotonic() - began for job_id, (_, began) in self._in_hand.items()}
            for job_id, age_s in ages.items():
                if age_s > settings.JOB_LIMIT_S:
                    log.error("job exceeds its limit; ending the process", extra={"facts": {"job": str(job_id)}})
                    logging.shutdown()
                    os._exit(70)


_worker: Worker | None = None


def start_worker(runners: dict[str, Runner], facts: dict[str, Any]) -> None:
    """Make this process a worker and start its threads; called once, when the models are loaded."""
    name = settings.WORKER_NAME or f"{socket.gethostname()}:{os.getpid()}"
    worker = Worker(name=name, runners=runners, facts={"name": name, **facts})
    adopt_worker(worker)
    worker.start()


def adopt_worker(worker: Worker) -> None:
    """Make `worker` the one whose jobs this process runs."""
    global _worker  # noqa: PLW0603 - Celery offers its tasks no other place for what the process owns
    _worker = worker


def this_worker() -> Worker:
    if _worker is None:
        raise RuntimeError("start_worker() has not run: this process is no worker")
    return _worker
