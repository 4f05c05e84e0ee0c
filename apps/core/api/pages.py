"""Addresses that are read and nothing else: pages, probes and documents."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps.core.api.exceptions import refuse_method
from apps.core.dialects.envelope import ENVELOPE

_READING = ("GET", "HEAD")
View = Callable[[HttpRequest], HttpResponse]


def for_reading(view: View) -> View:
    """Any other method is a 405 in the envelope, for everybody: not Django's page, and not CSRF's 403."""

    @csrf_exempt
    @wraps(view)
    def reading(request: HttpRequest) -> HttpResponse:
        if request.method not in _READING:
            return refuse_method(request, ENVELOPE, allowed=_READING)
        return view(request)

    return reading
