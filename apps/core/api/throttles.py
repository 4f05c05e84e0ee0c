"""Requests a minute: per credential and plan, per address where there is none."""

from __future__ import annotations

import ipaddress
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.core.api.terms import CROWDED
from apps.core.errors import AppError, ErrorCode
from apps.core.identity import Identity
from apps.core.limits import count_request, refuse_if_exceeded
from apps.core.request_facts import facts_of

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ONE_SUBSCRIBER = 64  # bits: the least that a provider gives out, so one house has all the addresses behind them


class RequestThrottle(BaseThrottle):
    """Counts the request, keeps the quota for the answer's headers, and refuses what is over the limit."""

    def allow_request(self, request: Request, view: Any) -> bool:  # noqa: ARG002 - DRF's signature
        identity: Identity | None = cast(Any, request.auth)
        if identity is None:
            count_anonymous(request._request)
            return True
        refuse_in_crowd(request._request)
        quota = count_request(identity.rate_key, limit=identity.limits.requests_a_minute)
        facts_of(request).quota = quota
        refuse_if_exceeded(quota)
        return True


def count_anonymous(request: HttpRequest) -> None:
    """Count a request without a right credential by its address. Raises AppError(RATE_LIMITED)."""
    quota = count_request(f"ip:{client_network(request)}", limit=settings.ANONYMOUS_PER_MINUTE)
    facts_of(request).quota = quota
    refuse_if_exceeded(quota)


def refuse_in_crowd(request: HttpRequest) -> None:
    """Refuse a request whose body was not taken, since too many others were on their way. Raises AppError."""
    full = request.META.get(CROWDED)
    if full is None:
        return
    if full.is_common:
        raise AppError(ErrorCode.OVERLOADED, "Too many bodies are being sent; try again shortly.", retry_after_s=5)
    issue = f"At most {full.places} bodies at once; send this one when others have arrived."
    raise AppError(ErrorCode.RATE_LIMITED, issue, retry_after_s=2)


def client_network(request: HttpRequest) -> str:
    """Whose requests are counted together where there is no key: an IPv4 address, or the /64 that a subscriber has."""
    address = _parsed(client_address(request))
    if address is None:
        return client_address(request)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), _ONE_SUBSCRIBER), strict=False))


def client_address(request: HttpRequest) -> str:
    """The peer's address, or what a trusted proxy says it is: the last address in X-Forwarded-For that is no proxy."""
    peer = request.META.get("REMOTE_ADDR") or "unknown"
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    while forwarded and is_trusted(peer):
        peer = forwarded.pop()
    return peer[:64]


def is_trusted(address: str) -> bool:
    """Whether this peer is one of our own proxies."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in settings.TRUSTED_PROXIES)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """
    An address, as proxies and sockets write it: with a port, in brackets, with a zone. One that only carries an IPv4 address
    (mapped, translated, 6to4) is that address: all of them lie in one /64, or each in one of its own.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
