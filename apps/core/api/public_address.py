"""Where clients reach this service: never what a stranger's `Host` alone says."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def public_address(request: HttpRequest) -> str:
    """
    Scheme and host, without a slash behind them; empty where nobody has said it.

    A host that ALLOWED_HOSTS names is the one that the client asked for, and there may be several; else it is KEYLINE_URL.

    Raises:
        DisallowedHost: ALLOWED_HOSTS names others.
    """
    configured: str = settings.PUBLIC_URL.rstrip("/")
    if "*" in settings.ALLOWED_HOSTS or urlsplit(configured).hostname == request.get_host().partition(":")[0].lower():
        return configured
    return request.build_absolute_uri("/").rstrip("/")


def absolute(request: HttpRequest) -> str:
    """The address that was asked for, in full; by `Host` where there is nothing better, since half an address is none."""
    public = public_address(request)
    return f"{public}{request.get_full_path()}" if public else request.build_absolute_uri()
