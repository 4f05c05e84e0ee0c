"""How often a password may be guessed: by address, and by user name from all addresses together."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest

from apps.core.api.throttles import client_network
from apps.core.errors import AppError, ErrorCode
from apps.core.limits import count_request, forget_requests

WINDOW_S = 15 * 60
TRIES_OF_ADDRESS = 10
TRIES_OF_NAME = 30  # more: one stranger alone must not be able to lock an administrator out


def count_try(request: HttpRequest, name: str) -> None:
    """
    Count one try.

    Raises:
        AppError: RATE_LIMITED with the seconds to wait; OVERLOADED where Redis does not answer.
    """
    quotas = [count_request(caller, limit=limit, window_s=WINDOW_S) for caller, limit in _counted(request, name)]
    if over := [quota for quota in quotas if quota.is_exceeded]:
        wait_s = max(quota.resets_in_s for quota in over)
        minutes = -(-wait_s // 60)
        raise AppError(
            ErrorCode.RATE_LIMITED, f"Too many tries to log in. Try again in {minutes} min.", retry_after_s=wait_s
        )


def forget_tries(request: HttpRequest, name: str) -> None:
    """The password was right: begin anew."""
    forget_requests(caller for caller, _ in _counted(request, name))


def _counted(request: HttpRequest, name: str) -> tuple[tuple[str, int], ...]:
    digest = hashlib.sha256(name.casefold().encode()).hexdigest()
    return (f"login:ip:{client_network(request)}", TRIES_OF_ADDRESS), (f"login:name:{digest}", TRIES_OF_NAME)
