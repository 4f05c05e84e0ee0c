"""How much a caller may do: requests a minute, counted in Redis, and jobs at once, counted on the rows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import redis

from apps.core.broker import BrokerAwayError, broker
from apps.core.errors import AppError, ErrorCode
from apps.core.models import IS_OPEN, Job

WINDOW_S = 60
# Counting and starting the window are one step, and Redis's own clock measures it: a jump of ours changes nothing.
_COUNT = """
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left = tonumber(ARGV[1])
end
return {count, left}
"""


@dataclass(frozen=True)
class Limits:
    """What a plan allows."""

    requests_a_minute: int
    jobs_at_once: int


@dataclass(frozen=True)
class Quota:
    """Where a caller stands in the current window."""

    limit: int
    used: int
    resets_in_s: int

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """The fields of the IETF draft `RateLimit header fields for HTTP`."""
        left = max(0, self.limit - self.used)
        return {
            "RateLimit-Policy": f'"burst";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"burst";r={left};t={self.resets_in_s}',
        }

    @property
    def vendor_headers(self) -> dict[str, str]:
        """The same as remove.bg tells it: `Reset` in seconds since 1970."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(math.ceil(time.time()) + self.resets_in_s),
        }


def count_request(caller: str, *, limit: int, window_s: int = WINDOW_S) -> Quota:
    """
    Count one request of `caller` in a window of `window_s` seconds that begins with its first request.

    Raises:
        BrokerAwayError: Redis does not answer; without it no limit could be kept.
    """
    try:
        used, left_ms = broker().eval(_COUNT, 1, f"keyline:rate:{caller}", window_s * 1000)
    except redis.RedisError as error:
        raise BrokerAwayError from error
    return Quota(limit=limit, used=int(used), resets_in_s=max(1, math.ceil(int(left_ms) / 1000)))


def counted_requests(caller: str) -> tuple[int, int]:
    """How many were counted in the current window, and the seconds until it ends; counts nothing. Raises BrokerAwayError."""
    try:
        used, left_ms = broker().get(f"keyline:rate:{caller}"), broker().pttl(f"keyline:rate:{caller}")
    except redis.RedisError as error:
        raise BrokerAwayError from error
    return int(used or 0), max(1, math.ceil(int(left_ms) / 1000))


def uncount_request(caller: str) -> None:
    """Give back one request of the current window; it turned out not to be one of those that are limited."""
    try:
        if int(broker().get(f"keyline:rate:{caller}") or 0) > 0:
            broker().decr(f"keyline:rate:{caller}")
    except redis.RedisError:
        return


def forget_requests(callers: Iterable[str]) -> None:
    """Begin the windows of these callers anew."""
    try:
        broker().delete(*(f"keyline:rate:{caller}" for caller in callers))
    except redis.RedisError:
        return


def refuse_if_exceeded(quota: Quota) -> None:
    """Raises AppError(RATE_LIMITED) with the seconds until the window ends."""
    if quota.is_exceeded:
        raise AppError(
            ErrorCode.RATE_LIMITED,
            f"At most {quota.limit} requests a minute; try again in {quota.resets_in_s} s.",
            retry_after_s=quota.resets_in_s,
        )


def refuse_too_many_jobs(job: Job, *, jobs_at_once: int) -> None:
    """
    Hold an account to its jobs at once, live and sandbox apart; call it with `job` just inserted, in the submit transaction.

    The items of its batches are not counted: they wait for their turn, and nobody waits for them.

    Raises:
        AppError: RATE_LIMITED.
    """
    if Job.objects.filter(IS_OPEN, account_id=job.account_id, mode=job.mode, in_batch=False).count() > jobs_at_once:
        raise AppError(
            ErrorCode.RATE_LIMITED,
            f"At most {jobs_at_once} jobs at once on this plan; wait for one to end.",
            retry_after_s=2,
        )
