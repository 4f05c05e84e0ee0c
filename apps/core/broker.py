"""Redis, apart from Celery's own use of it: the bell that ends a wait, worker heartbeats, the pace of work."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings

from apps.core.errors import AppError, ErrorCode

HEARTBEAT_TTL_S = 15
LONGEST_LISTEN_S = 2.0
"""How long one wait for a bell may last: less than the socket's timeout, which bounds a Redis that hangs."""
STEPS_CHANNEL = "keyline:steps"
"""What is told of rows while they change: `KIND:ID`, and perhaps a text behind it."""
_BELL_TTL_S = 60
_FORGET_AFTER_S = 3600
UNKNOWN_PACE_S = 2.0
_PACE_KEY = "keyline:pace"
_WORKERS_KEY = "keyline:workers"
_COUNTS_KEY = "keyline:counts"


class BrokerAwayError(AppError):
    """Redis does not answer."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.OVERLOADED, "The job queue does not answer; try again shortly.", retry_after_s=5)


@lru_cache(maxsize=1)
def broker() -> redis.Redis:
    """One client for the process; each blocking wait takes a connection of its own from the pool."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=2,
        socket_timeout=LONGEST_LISTEN_S + 2,
        health_check_interval=15,
        max_connections=1024,
    )


def ring_bell(job_id: object, *, counted: Mapping[str, float] | None = None) -> None:
    """
    Wake whoever waits for this job, and count what it did in the same breath.

    A lost ring costs a waiter one polling step, and a lost count nobody, so errors are ignored.
    """
    try:
        with broker().pipeline() as pipe:
            pipe.rpush(_bell(job_id), 1)
            pipe.expire(_bell(job_id), _BELL_TTL_S)
            pipe.publish(STEPS_CHANNEL, f"job:{job_id}")
            for name, amount in (counted or {}).items():
                pipe.hincrbyfloat(_COUNTS_KEY, name, amount)
            pipe.execute()
    except redis.RedisError:
        return


def tell_change(topic: str) -> None:
    """Say that the row of a `KIND:ID` is worth a look, to whoever watches it; without Redis it is looked at later."""
    try:
        broker().publish(STEPS_CHANNEL, topic)
    except redis.RedisError:
        return


def count(name: str, amount: float = 1) -> None:
    """Add to a counter of `apps.core.counts`; without Redis it is lost."""
    try:
        broker().hincrbyfloat(_COUNTS_KEY, name, amount)
    except redis.RedisError:
        return


def counted() -> dict[str, float]:
    """Every counter. Raises BrokerAwayError."""
    try:
        found = broker().hgetall(_COUNTS_KEY).items()
        return {name.decode() if isinstance(name, bytes) else name: float(value) for name, value in found}
    except redis.RedisError as error:
        raise BrokerAwayError from error


def hear_bell(job_id: object, *, timeout_s: float) -> bool:
    """
    Wait for the bell, at most LONGEST_LISTEN_S.

    Raises:
        redis.RedisError: the broker is away; the caller polls the row instead.
    """
    heard = broker().blpop([_bell(job_id)], timeout=min(max(0.01, timeout_s), LONGEST_LISTEN_S)) is not None
    if heard:  # others may wait for the same job: ring on
        ring_bell(job_id)
    return heard


def _bell(job_id: object) -> str:
    return f"keyline:bell:{job_id}"


def beat(worker: str, facts: dict[str, Any]) -> None:
    """Say that this worker lives and what it has loaded."""
    try:
        broker().hset(_WORKERS_KEY, worker, json.dumps({**facts, "at": time.time()}))
    except redis.RedisError:
        return


def forget(worker: str | bytes) -> None:
    """The worker has left; nobody should count on it."""
    try:
        broker().hdel(_WORKERS_KEY, worker)
    except redis.RedisError:
        return


def living_workers() -> list[dict[str, Any]]:
    """The facts of every worker whose heart beats. Raises BrokerAwayError."""
    try:
        beats = broker().hgetall(_WORKERS_KEY)
    except redis.RedisError as error:
        raise BrokerAwayError from error
    workers = []
    for name, value in beats.items():
        facts = json.loads(value)
        age_s = time.time() - facts["at"]
        if age_s < HEARTBEAT_TTL_S:
            workers.append(facts)
        elif age_s > _FORGET_AFTER_S:
            forget(name)
    return workers


def note_pace(name: str, seconds: float) -> None:
    """Blend one job's time in its slot into the running mean of its kind, which admission reads."""
    key = f"{_PACE_KEY}:{name}"
    try:
        known = broker().get(key)
        blended = seconds if known is None else 0.8 * float(known) + 0.2 * seconds
        broker().set(key, f"{blended:.3f}", ex=3600)
    except redis.RedisError:
        return


def paces_s(names: Iterable[str]) -> dict[str, float]:
    """Seconds that jobs of each kind take in their slot, lately; a guess where none was done. Raises BrokerAwayError."""
    names = list(names)
    try:
        known = broker().mget([f"{_PACE_KEY}:{name}" for name in names])
    except redis.RedisError as error:
        raise BrokerAwayError from error
    return {name: UNKNOWN_PACE_S if value is None else float(value) for name, value in zip(names, known, strict=True)}
