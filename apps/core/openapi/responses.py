"""The responses of the OpenAPI document, from what a dialect says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apps.core.answers import Part, as_json
from apps.core.dialects.base import Dialect
from apps.core.errors import AppError, Detail, ErrorCode, Fault
from apps.core.openapi.schemas import properties_of, schema_of
from apps.core.operations import Operation

_WORDS = {
    400: "A field, the file, the body or the credentials are wrong; `details` says which and what to do.",
    401: "No valid credential.",
    402: "Too few credits.",
    403: "The key's scopes do not include this operation.",
    404: "Nothing there.",
    405: "Wrong method.",
    409: "The first request with this Idempotency-Key is still at work; Retry-After says when to ask again.",
    410: "What this Idempotency-Key made has been deleted; nothing is charged again.",
    413: "The body is over this address's cap.",
    415: "Neither multipart/form-data nor application/json.",
    422: "This Idempotency-Key was used for another request.",
    429: "Too many requests; Retry-After says when.",
    500: "Unexpected; the request id helps us to find it.",
    502: "The image could not be processed, or not in time; nothing was charged.",
    503: "Busy, or a backing service is away; Retry-After says when.",
}
_REQUEST_ID = {"X-Request-Id": "Name it when you ask us for help."}
_LIMITS = {"RateLimit-Policy": "The plan's requests in a window.", "RateLimit": "What is left of them."}
_VENDOR_LIMITS = {
    "X-RateLimit-Limit": "The plan's requests in a minute.",
    "X-RateLimit-Remaining": "What is left of them.",
    "X-RateLimit-Reset": "When the minute ends, in seconds since 1970.",
}
_LATER = {"Retry-After": "Seconds until it may succeed."}


def json_content(kind: Any, example: Part | None = None) -> dict[str, Any]:
    """A body of this class."""
    return {"application/json": {"schema": schema_of(kind), **({"example": as_json(example)} if example else {})}}


def headers(texts: Mapping[str, str]) -> dict[str, Any]:
    """Headers and what they say."""
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()}


def common_headers(dialect: Dialect, *, is_limited: bool = True) -> dict[str, Any]:
    """Those of every answer; `is_limited` where requests are counted."""
    limits = (_LIMITS | (_VENDOR_LIMITS if dialect.has_vendor_limits else {})) if is_limited else {}
    return headers(_REQUEST_ID | limits)


def failures(dialect: Dialect, codes: Iterable[ErrorCode], *, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """The errors in a dialect that these codes, and these faults of an image, come to."""
    codes, told = set(codes), dialect.described
    errors = [AppError(code) for code in codes]
    errors += [AppError(ErrorCode.VALIDATION_ERROR, details=[Detail("image", "", fault)]) for fault in faults]
    shared = common_headers(dialect, is_limited=ErrorCode.RATE_LIMITED in codes)
    return {
        str(status): {
            "description": told.words.get(status) or _WORDS[status],
            "headers": {**shared, **(headers(_LATER) if status in {409, 429, 503} else {})},
            "content": json_content(told.failure, told.failures.get(status)),
        }
        for status in sorted({dialect.status_of(error) for error in errors})
    }


def operation_responses(dialect: Dialect, operation: Operation) -> dict[str, Any]:
    """A success in every form that the dialect has for it, and every error that the address can give."""
    told = dialect.described.of(operation)
    facts = properties_of(told.headers) if told.headers else {}
    files = {
        media: {"schema": {"type": "string", "format": "binary", "contentMediaType": media}} for media in told.media
    }
    json = json_content(told.success, told.example)
    done = {
        "description": told.done,
        "headers": {**common_headers(dialect), **headers({name: each["description"] for name, each in facts.items()})},
        "content": json | files
        if "json" in dialect.forms
        else files | json,  # generators take the first for the answer
    }
    refusals = failures(dialect, set(ErrorCode) - {ErrorCode.NOT_FOUND}, faults=Fault)
    return {"200": done, **({"202": _accepted(told.success)} if dialect.can_defer else {}), **refusals}


def _accepted(kind: Any) -> dict[str, Any]:
    return {
        "description": "Accepted; ask the job at Location.",
        "headers": {name: {"schema": {"type": "string"}} for name in ("Location", "Retry-After")},
        "content": json_content(kind),
        "links": {
            name: {"operationId": name, "parameters": {"job_id": "$response.body#/data/jobId"}}
            for name in ("get_job", "delete_job")
        },
    }
