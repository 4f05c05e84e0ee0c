"""Turns whatever a request can raise into an AppError, and hands it to the route's dialect."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import redis
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf

from apps.core.api.access import note_error
from apps.core.api.front import BodyError, UnreadError
from apps.core.dialects.base import Dialect
from apps.core.dialects.envelope import ENVELOPE
from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid

log = logging.getLogger(__name__)
_FAULTS = {"required": Fault.MISSING, "invalid_choice": Fault.UNSUPPORTED_VALUE}


def answer_exception(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's exception handler: the same for bad input, throttling and bugs, in the form of the view's dialect."""
    view, request = context["view"], context["request"]._request
    dialect = getattr(view, "dialect", ENVELOPE)
    if isinstance(exc, drf.MethodNotAllowed):
        return refuse_method(request, dialect, allowed=view.allowed_methods)
    return answer_in(dialect, exc, request)


def refuse_method(request: HttpRequest, dialect: Dialect, *, allowed: Sequence[str]) -> HttpResponse:
    """The answer to a method that the address does not take; it names those that it does."""
    issue = f"This address takes {' and '.join(allowed)}, not {str(request.method)[:20]}."
    response = answer_in(dialect, AppError(ErrorCode.METHOD_NOT_ALLOWED, issue), request)
    response.headers["Allow"] = ", ".join(allowed)
    return response


def answer_in(dialect: Dialect, exc: Exception, request: HttpRequest) -> HttpResponse:
    """The dialect's answer to an exception; a bug is logged with its trace, which never leaves the server."""
    error = as_app_error(exc)
    if error.code is ErrorCode.INTERNAL_ERROR:
        log.error("unexpected error", exc_info=exc, extra={"facts": {"path": request.path}})
    note_error(request, error.code)
    response = dialect.failure(error, request)
    if error.retry_after_s is not None:
        response.headers.setdefault("Retry-After", str(error.retry_after_s))
    if error.code is ErrorCode.UNAUTHENTICATED:
        response.headers.setdefault("WWW-Authenticate", 'Bearer realm="keyline"')
    return response


def as_app_error(exc: Exception) -> AppError:
    """The AppError that says the same."""
    match exc:
        case AppError():
            return exc
        case drf.ValidationError():
            details = list(_details(exc.detail))
            return AppError(ErrorCode.VALIDATION_ERROR, details[0].issue if details else None, details=details)
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return AppError(ErrorCode.UNAUTHENTICATED, str(exc.detail))
        case drf.PermissionDenied() | PermissionDenied():
            return AppError(ErrorCode.FORBIDDEN)
        case drf.NotFound() | Http404():
            return AppError(ErrorCode.NOT_FOUND)
        case drf.UnsupportedMediaType():
            return AppError(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
        case drf.ParseError():
            return _unreadable_body(str(exc.detail))
        case RequestDataTooBig():
            return AppError(ErrorCode.PAYLOAD_TOO_LARGE)
        case UnreadablePostError():
            return _broken_body(exc)
        case TooManyFieldsSent():  # a form's are counted by its parser
            return invalid("query", "The address has too many parameters.")
        case DisallowedHost():
            return invalid("Host", "This service does not answer for that host; ask for the one that you were given.")
        case TooManyFilesSent() | SuspiciousOperation() | BadRequest() | MultiPartParserError():
            return _unreadable_body("The body cannot be read.")
        case OperationalError() | InterfaceError() | redis.RedisError():  # its other errors are bugs of ours
            log.warning("a backing service does not answer", exc_info=exc)
            return AppError(
                ErrorCode.OVERLOADED, "A backing service does not answer; try again shortly.", retry_after_s=5
            )
        case _:
            return AppError(ErrorCode.INTERNAL_ERROR)


def _broken_body(error: UnreadablePostError) -> AppError:
    if isinstance(error.__cause__, UnreadError):
        return AppError(ErrorCode.OVERLOADED, str(error), retry_after_s=1)
    told = isinstance(error.__cause__, BodyError)
    return _unreadable_body(str(error) if told else "The connection ended before the whole body had arrived.")


def _unreadable_body(issue: str) -> AppError:
    return AppError(ErrorCode.VALIDATION_ERROR, issue, details=[Detail("body", issue, Fault.UNREADABLE_FILE)])


def _details(detail: Any, field: str = "") -> list[Detail]:
    if isinstance(detail, dict):
        return [found for name, inner in detail.items() for found in _details(inner, f"{field}.{name}".lstrip("."))]
    if isinstance(detail, list):
        return [found for inner in detail for found in _details(inner, field)]
    fault = _FAULTS.get(getattr(detail, "code", ""), Fault.INVALID_VALUE)
    return [Detail(field or "body", str(detail), fault)]
