"""Submit a job, wait for it: what the web process does with work, whichever dialect asked."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from apps.core import broker, handover, idempotency, tasks
from apps.core.errors import AppError, ErrorCode
from apps.core.funding import funding_named
from apps.core.identity import Identity
from apps.core.intake.uploads import Upload
from apps.core.lifecycle import cancel
from apps.core.limits import refuse_too_many_jobs
from apps.core.models import FINAL_STATES, HELD_STATES, Job, State, object_token
from apps.core.operations import Operation
from apps.core.owner import Mode
from apps.core.places import Places
from apps.core.storage import LARGE_BYTES, StoreAwayError, result_store
from apps.core.work import backlog

log = logging.getLogger(__name__)
_SPARE_PLACES = max(1, settings.WEB_THREADS // 4)
PLACES = settings.WEB_THREADS + _SPARE_PLACES
"""How many requests may wait at once: the spare ones are for others, when one account has taken WEB_THREADS."""
_places = Places(PLACES, spare=_SPARE_PLACES)
_SUBMIT_LOCK = 7_120  # the first half of our advisory locks' numbers; the second is the account
_SETTLING_GRACE_S = 3.0
_SAFETY = 1.2  # the pace swings; a refusal costs a client less than 25 s of waiting for nothing
_POLL_S = 0.5


@dataclass(frozen=True)
class Order:
    """Everything that decides what a job is: who wants what done to which files."""

    operation: Operation
    identity: Identity
    price_credits: int
    params: Mapping[str, Any]
    uploads: Mapping[str, Upload]
    request_id: str
    retention_s: int
    upload_url: str | None = None
    ticket: idempotency.Ticket | None = None

    @property
    def pace_name(self) -> str:
        """What its time is measured under."""
        return self.operation.pace_name(self.params)

    @property
    def is_large(self) -> bool:
        """Whether the store may make it wait."""
        return any(upload.size_bytes > LARGE_BYTES for upload in self.uploads.values())


@dataclass(frozen=True, eq=False)
class _Arrival:
    """A request between its admission and its row."""

    account_id: int
    mode: Mode
    pace_name: str
    key: str | None
    jobs: int = 1

    def has_key_of(self, other: _Arrival) -> bool:
        return (self.account_id, self.mode, self.key) == (other.account_id, other.mode, other.key)


_arrivals: set[_Arrival] = set()
_arrivals_lock = threading.Lock()


class CrowdedError(AppError):
    """Too many wait: OVERLOADED, which need not be for a job that nobody waits for."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(ErrorCode.OVERLOADED, message, retry_after_s=retry_after_s)


@contextlib.contextmanager
def admitted(order: Order, *, deadline_s: float | None) -> Iterator[None]:
    """
    Refuse work that could not be done in time, before any money moves; submit inside the `with`.

    Inside, the request counts as waiting although its row is not there yet: else all of many who come at once would find
    the queue empty. Of several with one Idempotency-Key only the first comes in.

    Args:
        deadline_s: seconds in which the job must be done; None where it may take longer, so that only the queue's cap
            refuses.

    Raises:
        AppError: OVERLOADED with Retry-After; CONFLICT beside a request with the same key.
    """
    with _admitted(_arrival(order.identity, order.pace_name, order.ticket), deadline_s=deadline_s):
        yield


@contextlib.contextmanager
def all_admitted(identity: Identity, *, pace_name: str, jobs: int, ticket: idempotency.Ticket | None) -> Iterator[None]:
    """
    The same for so many jobs of one request, which nobody waits for: they fit into the queue, or none of them comes in.

    Raises:
        AppError: as `admitted`.
    """
    with _admitted(_arrival(identity, pace_name, ticket, jobs=jobs), deadline_s=None):
        yield


def _arrival(identity: Identity, pace_name: str, ticket: idempotency.Ticket | None, *, jobs: int = 1) -> _Arrival:
    return _Arrival(identity.account_id, identity.mode, pace_name, key=ticket.key if ticket else None, jobs=jobs)


@contextlib.contextmanager
def _admitted(arrival: _Arrival, *, deadline_s: float | None) -> Iterator[None]:
    with _arrivals_lock:
        if arrival.key is not None and any(arrival.has_key_of(other) for other in _arrivals):
            raise AppError(ErrorCode.CONFLICT, retry_after_s=1)
        before: Counter[tuple[int, str]] = Counter()
        for other in _arrivals:
            before[other.account_id, other.pace_name] += other.jobs
        _arrivals.add(arrival)
    try:
        _refuse_if_too_many_wait(arrival, before=before, deadline_s=deadline_s)
        yield
    finally:
        with _arrivals_lock:
            _arrivals.remove(arrival)


def _refuse_if_too_many_wait(arrival: _Arrival, *, before: Counter[tuple[int, str]], deadline_s: float | None) -> None:
    rows = Job.objects.filter(state=State.QUEUED).values_list("account_id", "pace_name").annotate(n=Count("id"))
    waiting = before + Counter({(account_id, name): n for account_id, name, n in rows.order_by()})
    if waiting.total() + arrival.jobs > settings.MAX_QUEUED_JOBS:
        raise AppError(ErrorCode.OVERLOADED, "The queue is full; try again in a minute.", retry_after_s=60)
    if deadline_s is None:
        return
    held = list(Job.objects.filter(state__in=HELD_STATES).values_list("pace_name", "started_at"))
    if not waiting and not held:
        return  # however slow such a job is: somebody has to be the first
    paces = broker.paces_s({arrival.pace_name, *(name for _, name in waiting), *(name for name, _ in held)})
    now = timezone.now()
    expected_s = _SAFETY * backlog.expected_s(
        paces[arrival.pace_name],
        in_hand=[backlog.InHand(paces[name], (now - began).total_seconds()) for name, began in held if began],
        ahead_s=_ahead_s(arrival.account_id, waiting, paces),
        slots=sum(worker.get("slots", 1) for worker in broker.living_workers()) or 1,
    )
    if expected_s > deadline_s:
        wait_s = max(1, round(expected_s - deadline_s))
        raise CrowdedError("Too many images are waiting to be done in time; try again shortly.", retry_after_s=wait_s)


def _ahead_s(account_id: int, waiting: Counter[tuple[int, str]], paces: Mapping[str, float]) -> float:
    """
    Seconds of a slot that those take who wait and come before the account's next job.

    Workers take turns between accounts, so another account gets ahead of us at most as often as we have jobs waiting; which
    of its jobs these are does not matter enough to read them all: they count as its mean one.
    """
    counts: Counter[int] = Counter()
    seconds: defaultdict[int, float] = defaultdict(float)
    for (account, name), count in waiting.items():
        counts[account] += count
        seconds[account] += count * paces[name]
    turns = counts[account_id] + 1
    return seconds[account_id] + sum(
        seconds[account] * min(1.0, turns / count) for account, count in counts.items() if account != account_id
    )


@contextlib.contextmanager
def waiting_room(caller: Hashable) -> Iterator[None]:
    """
    A place for one request that holds its thread: until its job ends, a URL is fetched or a large file is stored.

    There are a few more threads than places, so that health checks and polls are answered however many wait.

    Args:
        caller: the account, which never has all places.

    Raises:
        AppError: OVERLOADED when every place is taken that the caller may have.
    """
    if not _places.take(caller):
        raise CrowdedError("Too many requests are waiting here already; try again shortly.", retry_after_s=5)
    try:
        yield
    finally:
        _places.give_back(caller)


def submit(order: Order) -> Job:
    """
    Store the inputs, then insert the row, bind its key and hold the price in one transaction; the wake-up goes out when
    it commits. Submits of one account line up behind its lock, so that its limits hold whatever runs at once.

    Raises:
        AppError: no cover (from the funding), too many jobs at once, or the store is away.
        KeyTakenError: another request with the same Idempotency-Key was faster.
    """
    job = Job(
        account_id=order.identity.account_id,
        operation=order.operation.slug,
        pace_name=order.pace_name,
        params=dict(order.params),
        request_id=order.request_id,
        mode=order.identity.mode,
        key_prefix=order.identity.key_prefix,
        funding=order.identity.funding,
        price_credits=order.price_credits,
        object_token=object_token(),
        retention_s=order.retention_s,
        created_at=timezone.now(),
    )
    handed_over = handover.order(job, order.upload_url) if order.upload_url else None
    connection.close()  # back to the pool: a slow store must not keep it from requests that need only the rows
    _store_inputs(job, order.uploads)
    try:
        with transaction.atomic():
            _line_up(job.account_id)
            job.save(force_insert=True)
            if handed_over:
                handed_over.save(force_insert=True)
            idempotency.take(order.ticket, job)
            refuse_too_many_jobs(job, jobs_at_once=order.identity.limits.jobs_at_once)
            funding_named(job.funding).hold(job)
            transaction.on_commit(tasks.wake_worker, robust=True)
    except (AppError, idempotency.KeyTakenError):
        _forget_inputs(job)
        raise  # after any other error the row may be there all the same, and then its job needs its inputs
    return job


def visible_to(identity: Identity) -> QuerySet[Job]:
    """The jobs that a credential may read, list and delete: its account's, in its mode, of operations in its scopes."""
    rows = Job.objects.filter(account_id=identity.account_id, mode=identity.mode, deleted_at=None)
    return rows if identity.scopes is None else rows.filter(operation__in=identity.scopes)


def wait(job: Job, *, timeout_s: float) -> Job:
    """
    Wait until the job is final, at most `timeout_s` seconds; the row is the truth, the bell only saves time.

    The thread's database connection goes back to the pool meanwhile. A database that is away for a moment is waited for.

    Raises:
        OperationalError: it was still away in the end.
    """
    deadline = time.monotonic() + timeout_s
    away: Exception | None = None
    is_deaf = False
    while job.state not in FINAL_STATES and (left := deadline - time.monotonic()) > 0:
        connection.close()
        if is_deaf or away:
            time.sleep(min(left, _POLL_S))
        else:
            is_deaf = not _listen(job, timeout_s=left)
        try:
            job.refresh_from_db()
            away = None
        except (OperationalError, InterfaceError) as error:
            away = error
    if away:
        raise away
    return job


def _listen(job: Job, *, timeout_s: float) -> bool:
    """Wait for the bell; False when the broker is away, and a broker that hangs is not asked twice."""
    try:
        broker.hear_bell(job.id, timeout_s=timeout_s)
    except redis.RedisError:
        return False
    return True


def give_up(job: Job) -> Job:
    """
    The client can wait no longer: cancel, so that nothing is charged; a job that is just settling is waited for a little.

    Returns:
        The job, which has ended: with a result that came in the last moment, or uncharged.
    """
    job.refresh_from_db()
    if job.state == State.SETTLING:
        job = wait(job, timeout_s=_SETTLING_GRACE_S)
    cancel(job)
    job.refresh_from_db()
    return job


def _line_up(account_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_SUBMIT_LOCK, account_id % 2**31])


def _store_inputs(job: Job, uploads: Mapping[str, Upload]) -> None:
    """All or none. Raises StoreAwayError."""
    stored = 0
    try:
        for name, upload in uploads.items():
            upload.file.seek(0)
            result_store().put(job.input_prefix + name, upload.file, content_type=upload.content_type)
            stored += 1
    except StoreAwayError:
        if stored:  # else nobody waits once more for a store that does not answer
            _forget_inputs(job)
        raise


def _forget_inputs(job: Job) -> None:
    try:
        result_store().delete_prefix(job.input_prefix)
    except StoreAwayError:
        log.warning("inputs of a refused request are left to the bucket's lifecycle rule")
