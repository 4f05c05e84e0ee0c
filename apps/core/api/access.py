"""One line in the log for every request that was answered, and the counters that tell the same of all of them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from prometheus_client import Counter, Histogram

from apps.core.errors import ErrorCode
from apps.core.request_facts import facts_of

log = logging.getLogger("keyline.access")
REQUESTS = Counter("keyline_requests", "Requests answered", ["route", "status", "code"])
SECONDS = Histogram(
    "keyline_request_seconds",
    "From the whole request to the end of its answer",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60),
)
REFUSALS = Counter("keyline_refusals", "Requests that got an error, by its code in the envelope", ["code"])
for _code in ErrorCode:
    REFUSALS.labels(_code.name)  # there from the start, with 0: a watch on what has never happened has data
# For answers that no AppError made: the first code of each status. A 503 of /readyz turns nobody away.
_CODES = {code.status: code.name for code in reversed(ErrorCode) if code.status <= ErrorCode.INTERNAL_ERROR.status}
_CODES |= {402: ErrorCode.PAYMENT_REQUIRED.name}  # an AppError says of itself when it is about credits
_CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")


class AccessLogMiddleware:
    """Writes the line when the answer has been sent, or the client of a stream has gone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        sent = _Sent()
        if isinstance(response, StreamingHttpResponse):
            parts: Any = response.streaming_content
            response.streaming_content = sent.count_async(parts) if response.is_async else sent.count(parts)
        elif isinstance(response, HttpResponse) and request.method != "HEAD":
            sent.size_bytes = len(response.content)
        when_sent(response, lambda: _tell(request, response, sent.size_bytes))
        return response


def when_sent(response: HttpResponseBase, call: Callable[[], object]) -> None:
    """Call when the answer has been sent, or its client has gone."""
    response._resource_closers.append(call)  # type: ignore[attr-defined]  # what Django closes with the answer


class _Sent:
    """How much of an answer has gone out."""

    def __init__(self) -> None:
        self.size_bytes = 0

    def count(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.size_bytes += len(part)
            yield part

    async def count_async(self, parts: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for part in parts:
            self.size_bytes += len(part)
            yield part


def note_error(request: HttpRequest, code: ErrorCode) -> None:
    """Say what this request is refused with; the status alone does not tell."""
    facts_of(request).error_code = code


def note_charge(request: HttpRequest, credits: int) -> None:
    """Say what this very answer has cost; replays and polls cost nothing."""
    facts_of(request).credits = credits


def _tell(request: HttpRequest, response: HttpResponseBase, size_bytes: int) -> None:
    facts = facts_of(request)
    identity = facts.identity
    status, route = response.status_code, route_of(request)
    code = facts.error_code.name if facts.error_code else _CODES.get(status, "")
    seconds = time.monotonic() - facts.began
    line = {
        "request_id": facts.request_id,
        "account": identity.account_name if identity else None,
        "key": (identity.key_prefix or None) if identity else None,
        "method": request.method,
        "route": route,
        "status": status,
        "code": code or None,
        "credits": facts.credits,
        "ms": round(seconds * 1000),
        "bytes_in": _declared_bytes(request),
        "bytes_out": size_bytes,
    }
    log.info("request", extra={"facts": line})
    REQUESTS.labels(route, str(status), code).inc()
    SECONDS.observe(seconds)
    if code:
        REFUSALS.labels(code).inc()


def route_of(request: HttpRequest) -> str:
    """The pattern of the request's address, `/v1/jobs/{job_id}`; empty where there is none, and never the path itself."""
    match = request.resolver_match
    if match is None:  # refused before it reached a view
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return ""
    return _readable(match.route)


@lru_cache(maxsize=1024)
def _readable(pattern: str) -> str:
    """`^v1/jobs/(?P<job_id>[0-9a-f]{8})$` and `v1/jobs/<uuid:job_id>` as `/v1/jobs/{job_id}`."""
    while (start := pattern.find("(?P<")) >= 0:
        name = pattern[start + 4 : pattern.index(">", start)]
        pattern = f"{pattern[:start]}{{{name}}}{pattern[_end_of_group(pattern, start) :]}"
    plain = pattern.replace("\\", "").strip("^$")
    return "/" + _CONVERTED.sub(r"{\1}", plain)


def _end_of_group(pattern: str, start: int) -> int:
    depth = 0
    for at in range(start, len(pattern)):
        depth += {"(": 1, ")": -1}.get(pattern[at], 0)
        if depth == 0:
            return at + 1
    return len(pattern)


def _declared_bytes(request: HttpRequest) -> int:
    """The body's length, as it came or, where it was refused unread, as the client said."""
    text = request.META.get("CONTENT_LENGTH") or ""
    return int(text) if text.isdecimal() else 0
