"""What happens to every request before any view: it gets an id, and its declared length is checked."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import structlog
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from apps.core.api.exceptions import answer_in
from apps.core.dialects.base import Dialect
from apps.core.dialects.envelope import ENVELOPE
from apps.core.errors import AppError, Detail, ErrorCode, Fault
from apps.core.request_facts import facts_of

GetResponse = Callable[[HttpRequest], HttpResponse]
_DEFAULT_CAP = 64 * 1024  # pages, whose forms anybody may send


class RequestContextMiddleware:
    """Gives the request its id and its start time, and repeats the id on the answer and in every log line."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        facts = facts_of(request)
        structlog.contextvars.clear_contextvars()  # what the thread's last request has bound; a stream binds to its end
        structlog.contextvars.bind_contextvars(request_id=facts.request_id)
        response = self.get_response(request)
        response.headers["X-Request-Id"] = facts.request_id
        if response.status_code == HTTPStatus.NO_CONTENT:
            del response.headers["Content-Type"]  # Django's own, of a page that is none
        elif not response.streaming:
            response.headers.setdefault("Content-Length", str(len(response.content)))
            if request.method == "HEAD":
                response.content = b""  # only the length of what GET would send
        return response


class BodyCapMiddleware:
    """Refuses a body whose declared length is over its route's cap, before a byte of it is read."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            declared = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            declared = 0
        if declared > 0:
            cap, dialect = _cap_and_dialect(request.path_info)
            if cap is not None and declared > cap:
                limit = f"{cap // 1_048_576} MB" if cap >= 1_048_576 else f"{cap // 1024} KB"
                error = AppError(
                    ErrorCode.PAYLOAD_TOO_LARGE,
                    f"The request body is larger than the {limit} that this address takes.",
                    details=[Detail("body", f"Send at most {limit}.", Fault.FILE_TOO_LARGE)],
                )
                return answer_in(dialect, error, request)
        return self.get_response(request)


def cap_of(path: str) -> int | None:
    """The largest body, in bytes, that the route takes; None where there is no route, which is a 404 whatever the size."""
    return _cap_and_dialect(path)[0]


def _cap_and_dialect(path: str) -> tuple[int | None, Dialect]:
    try:
        callback = resolve(path).func
    except Resolver404:
        return None, ENVELOPE
    kwargs = getattr(callback, "initkwargs", {})
    view = getattr(callback, "cls", None)
    operation = kwargs.get("operation")
    cap: int = operation.body_cap_bytes if operation else getattr(view, "body_cap_bytes", _DEFAULT_CAP)
    dialect: Dialect = kwargs.get("dialect", getattr(view, "dialect", ENVELOPE))
    return cap, dialect
