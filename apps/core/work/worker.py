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
from collections.abc import Callable, Iterator
from typing import Any

import cv2
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from apps.core import broker, lifecycle
from apps.core.models import FINAL_STATES, Job
from apps.core.operations import operation_named
from apps.core.outcome import Outcome
from apps.core.storage import StoreAwayError
from apps.core.work.engine import Runner
from apps.core.work.execution import Work
from apps.core.work.heart import show_life
from ml.errors import DeviceLostError

log = logging.getLogger(__name__)
PLACES_PER_RUN = 2
"""Jobs in hand for each run that the device takes at once: one infers, one is fetched, decoded, encoded or stored. With
one and a half the cores of a small machine had nothing to do for 3 % of the time (0.4 % with two).

More in hand would only wait for the device, out of turn: a job is claimed in the order that is fair at that moment.
A GPU has a run for each core of its machine (`ml.sessions.gpu`): its batches form from what these have decoded.
"""
NICENESS_BESIDE_NETWORKS = 10
"""Of the threads that decode, encode and store. A network's run on several cores stands still as long as one of its
threads waits for a core, so what runs beside it takes what the run leaves: 13 % more images a second on two cores."""

_RENEW_EVERY_S = 5.0
_WATCH_EVERY_S = 1.0
EXIT_FOR_RESTART = 70


class SharedTime:
    """
    A clock that runs as fast as each job in hand gets on, where all share the slots alike.

    Between two readings lie the seconds of a slot that a job had in hand took, whatever else was in hand meanwhile: a slow
    one beside quick ones does not make these look slow, nor they it quick.
    """

    def __init__(self, slots: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._rate = 1.0
        self._read_at = clock()
        self._seconds = 0.0

    def read(self) -> float:
        now = self._clock()
        self._seconds += (now - self._read_at) * self._rate
        self._read_at = now
        return self._seconds

    def now_shared_by(self, jobs: int) -> None:
        """So many are in hand from now on."""
        self.read()
        self._rate = min(1.0, self._slots / max(1, jobs))


class Worker:
    """The jobs in hand and the pipelines that do them."""

    def __init__(self, *, name: str, runners: dict[str, Runner], facts: dict[str, Any]) -> None:
        self.name = name
        self.places = PLACES_PER_RUN * facts.get("slots", 1)
        self._runners = runners
        self._facts = facts
        self._free_places = threading.BoundedSemaphore(self.places)
        self._turned_away = threading.Event()
        self._in_hand: dict[Any, tuple[int, float]] = {}
        self._shared = SharedTime(facts.get("slots", 1))
        self._gives_way = False  # in a process that is a worker and nothing else
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the two threads that keep leases alive and watch for jobs that hang."""
        self._gives_way = True
        cv2.setNumThreads(
            1
        )  # jobs fill the cores; its threads spin while they wait, 8 to 25 % of the CPU of what it does
        for loop in (self._keep_alive, self._watch):
            threading.Thread(target=loop, name=loop.__name__, daemon=True).start()

    def execute(self, job: Job) -> Outcome:
        """Run the job's operation on its input."""
        operation = operation_named(job.operation)
        with self._lock:
            began = self._shared.read()
        if self._gives_way:
            give_way()
        try:
            outcome = self._runners[operation.slug].run(Work(job, operation))
        except DeviceLostError:
            # Every job from now on would fail here; in a new process the device works, and the lapsed leases bring them back.
            log.exception("the device is lost; ending the process", extra={"facts": job.log_facts})
            logging.shutdown()
            os._exit(EXIT_FOR_RESTART)
        with self._lock:
            took_s = self._shared.read() - began
        broker.note_pace(job.pace_name or job.operation, took_s)
        return outcome

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """Inside the `with`: whether there is a place for one more job; it is given up at the end."""
        is_free = self._free_places.acquire(blocking=False)
        if not is_free:
            self._turned_away.set()
        try:
            yield is_free
        finally:
            if is_free:
                self._free_places.release()

    @contextlib.contextmanager
    def holding(self, job: Job) -> Iterator[None]:
        """While inside, the job's lease is renewed and its time is watched."""
        with self._lock:
            self._in_hand[job.id] = (job.attempt, time.monotonic())
            self._shared.now_shared_by(len(self._in_hand))
        try:
            yield
        finally:
            with self._lock:
                del self._in_hand[job.id]
                self._shared.now_shared_by(len(self._in_hand))

    def clear_inputs(self, job: Job) -> None:
        """After the bell has rung, so that no client waits for it; what fails here is left to the sweeper."""
        job.refresh_from_db()
        with contextlib.suppress(StoreAwayError):
            if job.state in FINAL_STATES:
                lifecycle.delete_inputs(job, names=[image.name for image in operation_named(job.operation).images])

    def tell(self, facts: dict[str, Any]) -> None:
        """Know more of itself than when it started, and say so at once."""
        self._facts |= facts
        broker.beat(self.name, self._facts)

    def has_turned_away(self) -> bool:
        """Whether a wake-up has found no place since this was last asked."""
        with self._lock:
            has = self._turned_away.is_set()
            self._turned_away.clear()
        return has

    def _keep_alive(self) -> None:
        while True:
            with self._lock:
                claims = [(job_id, attempt) for job_id, (attempt, _) in self._in_hand.items()]
            try:
                lifecycle.renew_leases(claims)
            except DatabaseError:
                log.warning("leases could not be renewed")
            close_old_connections()
            broker.beat(self.name, self._facts)  # after the leases: a broker that hangs must not cost us a job
            show_life()
            time.sleep(_RENEW_EVERY_S)

    def _watch(self) -> None:
        while True:
            time.sleep(_WATCH_EVERY_S)
            with self._lock:
                ages = {job_id: time.monotonic() - began for job_id, (_, began) in self._in_hand.items()}
                attempts = {job_id: attempt for job_id, (attempt, _) in self._in_hand.items()}
            for job_id, age_s in ages.items():
                if age_s > settings.JOB_LIMIT_S:
                    log.error("job exceeds its limit; ending the process", extra={"facts": {"job": str(job_id)}})
                    with contextlib.suppress(DatabaseError):  # then it fails as after any crash
                        lifecycle.time_out_on_last_attempt(job_id, attempts[job_id])
                    logging.shutdown()
                    os._exit(EXIT_FOR_RESTART)


def give_way() -> None:
    """Let the networks' runs go before this thread from now on."""
    thread = threading.get_native_id()
    # Of this thread alone; only root may be less nice than it was started.
    nicety = max(NICENESS_BESIDE_NETWORKS, os.getpriority(os.PRIO_PROCESS, thread))
    os.setpriority(os.PRIO_PROCESS, thread, nicety)


_worker: Worker | None = None


def start_worker(runners: dict[str, Runner], facts: dict[str, Any]) -> None:
    """Make this process a worker and start its threads; called once, when the models are loaded."""
    name = worker_name()
    worker = Worker(name=name, runners=runners, facts={"name": name, **facts})
    adopt_worker(worker)
    worker.start()


def worker_name() -> str:
    return settings.WORKER_NAME or f"{socket.gethostname()}:{os.getpid()}"


def inherit() -> None:
    """
    Take back what the last worker of our name held; called before the models are loaded.

    Only with WORKER_NAME: whoever sets it promises that one process at a time bears the name.
    """
    if settings.WORKER_NAME:
        try:
            lifecycle.take_back_from(settings.WORKER_NAME)
        except DatabaseError:
            log.warning(
                "the database does not answer or has no tables yet; leases of a predecessor lapse by themselves"
            )
        close_old_connections()


def adopt_worker(worker: Worker) -> None:
    """Make `worker` the one whose jobs this process runs."""
    global _worker  # noqa: PLW0603 - Celery offers its tasks no other place for what the process owns
    _worker = worker


def this_worker() -> Worker:
    if _worker is None:
        raise RuntimeError("start_worker() has not run: this process is no worker")
    return _worker
