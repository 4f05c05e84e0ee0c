"""Requests a minute: per credential and plan, per address where there is none."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.core.limits import count_request, refuse_if_exceeded


class RequestThrottle(BaseThrottle):
    """Counts the request, keeps the quota for the answer's headers, and refuses what is over the limit."""

    def allow_request(self, request: Request, view: Any) -> bool:  # noqa: ARG002 - DRF's signature
        identity = request.auth
        if identity is None:
            count_anonymous(request._request)
            return True
        quota = count_request(identity.rate_key, limit=identity.limits.requests_a_minute)
        request._request.quota = quota
        refuse_if_exceeded(quota)
        return True


def count_anonymous(request: HttpRequest) -> None:
    """Count a request without a right credential by its address. Raises AppError(RATE_LIMITED)."""
    quota = count_request(f"ip:{client_address(request)}", limit=settings.ANONYMOUS_PER_MINUTE)
    request.quota = quota
    refuse_if_exceeded(quota)


def client_address(request: HttpRequest) -> str:
    """The peer's address, or what a trusted proxy says it is: the last address in X-Forwarded-For that is no proxy."""
    peer = request.META.get("REMOTE_ADDR") or "unknown"
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    while forwarded and _is_trusted(peer):
        peer = forwarded.pop()
    return peer[:64]


def _is_trusted(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in settings.TRUSTED_PROXIES)
