"""Answers to requests that reach no view, in the envelope."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps.core.api.exceptions import answer_in
from apps.core.dialects.base import Dialect
from apps.core.dialects.envelope import ENVELOPE
from apps.core.errors import AppError, ErrorCode


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer_in(ENVELOPE, exception, request)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer_in(ENVELOPE, exception, request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    return _nothing_at(request, ENVELOPE)


def nothing_here(dialect: Dialect) -> Callable[[HttpRequest], HttpResponse]:
    """A view for the addresses of another API that are none of ours."""

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponse:
        return _nothing_at(request, dialect)

    return view


def _nothing_at(request: HttpRequest, dialect: Dialect) -> HttpResponse:
    error = AppError(ErrorCode.NOT_FOUND, f"There is nothing at {request.path}; /docs lists the addresses.")
    return answer_in(dialect, error, request)


def server_error(request: HttpRequest) -> HttpResponse:
    return answer_in(ENVELOPE, AppError(ErrorCode.INTERNAL_ERROR), request)
