"""Answers to requests that reach no view, in the envelope."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from apps.core.api.exceptions import answer_in
from apps.core.dialects.envelope import ENVELOPE
from apps.core.errors import AppError, ErrorCode


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer_in(ENVELOPE, exception, request)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer_in(ENVELOPE, exception, request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    error = AppError(ErrorCode.NOT_FOUND, f"There is nothing at {request.path}; /docs lists the addresses.")
    return answer_in(ENVELOPE, error, request)


def server_error(request: HttpRequest) -> HttpResponse:
    return answer_in(ENVELOPE, AppError(ErrorCode.INTERNAL_ERROR), request)
