"""
The form of watermark tasks: `{"code", "message", "data"}`, submitted in one request and asked for in others.

`code` is 0 or one of a closed table; a failure's HTTP status is the core's own, but for what this table says otherwise.
It is for operations that are asked for later, and whose result has an `image`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core.dialects.base import Answer, sentences_of
from apps.core.dialects.envelope import result_data, usd
from apps.core.errors import AppError, ErrorCode, Fault
from apps.core.models import Job, State
from apps.core.operations import Operation
from apps.core.results import error_of, outcome_of, visible_state

_NO_STORE = {"Cache-Control": "private, no-store"}

PARAMETER_ERROR = 1000
INVALID_METHOD = 1001
AUTHENTICATION_ERROR = 1002
INSUFFICIENT_CREDITS = 1003
UNEXPECTED = 1100
QUEUE_UNAVAILABLE = 1101
DOWNLOAD_FAILED = 1102

TABLE = {
    0: "Success.",
    PARAMETER_ERROR: "The request is refused; the message says which parameter and why.",
    INVALID_METHOD: "The address takes POST alone.",
    AUTHENTICATION_ERROR: "The token is missing, unknown, expired or revoked.",
    INSUFFICIENT_CREDITS: "The account has too few credits.",
    UNEXPECTED: "Something went wrong on our side.",
    QUEUE_UNAVAILABLE: "The queue is full, or a backing service is away.",
    DOWNLOAD_FAILED: "An image could not be downloaded.",
}
"""What each code means."""

_CODES = {
    ErrorCode.UNAUTHENTICATED: AUTHENTICATION_ERROR,
    ErrorCode.METHOD_NOT_ALLOWED: INVALID_METHOD,
    ErrorCode.INSUFFICIENT_CREDITS: INSUFFICIENT_CREDITS,
    ErrorCode.PAYMENT_REQUIRED: INSUFFICIENT_CREDITS,
    ErrorCode.INTERNAL_ERROR: UNEXPECTED,
    ErrorCode.PROCESSING_FAILED: UNEXPECTED,
    ErrorCode.PROCESSING_TIMEOUT: UNEXPECTED,
    ErrorCode.OVERLOADED: QUEUE_UNAVAILABLE,
}
_STATUSES = {ErrorCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.BAD_REQUEST}  # a body that is no JSON, as one that is broken
_GONE = "The result was kept for its time and has been deleted; submit the image again."
_CANCELLED = "The task was cancelled; nothing was charged."


class CodeMessageDialect:
    """Every success of an operation is an `accepted` one: its task's id."""

    forms: tuple[str, ...] = ("json",)
    takes_urlencoded = False
    has_vendor_limits = False
    can_defer = False
    offers_retention = False

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        return self.accepted(answer, request)

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        return succeeded({"task_id": str(answer.job.id)})

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        return succeeded({"price": {"credits": price_credits, "usd": usd(price_credits)}, "valid": True})

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        status, code = status_and_code(error)
        body = {"code": code, "message": sentences_of(error), "data": None}
        return JsonResponse(body, status=status, headers=_NO_STORE)

    def responses(self, operation: Operation) -> dict[str, Any]:  # noqa: ARG002 - one form for all
        from apps.core.openapi.code_message import operation_responses  # only /openapi.json needs it

        return operation_responses()


CODE_MESSAGE = CodeMessageDialect()


def status_and_code(error: AppError) -> tuple[int, int]:
    """The HTTP status of an error in this form, and its code in the table; of several faults the first one counts."""
    if error.code is ErrorCode.VALIDATION_ERROR and error.details and error.details[0].fault is Fault.DOWNLOAD_FAILED:
        return HTTPStatus.BAD_GATEWAY, DOWNLOAD_FAILED
    return _STATUSES.get(error.code, error.code.status), _CODES.get(error.code, PARAMETER_ERROR)


def succeeded(data: dict[str, Any]) -> JsonResponse:
    """An answer with code 0."""
    return JsonResponse({"code": 0, "message": "success", "data": data}, headers=_NO_STORE)


def task_data(job: Job) -> dict[str, Any]:
    """
    A job as `get_task_result` shows it, in the four words that the form knows.

    A result that has been deleted after its time is `failed`, and `err_msg` says that it was kept and is gone: a `success`
    without an image would break the clients, and those who submit again get what they want.
    """
    status, images, told = _told(job)
    return {"status": status, "images": [{"url": url} for url in images], "err_msg": told}


def _told(job: Job) -> tuple[str, list[str], str]:
    match visible_state(job):
        case State.SUCCEEDED:
            return "success", [result_data(job, outcome_of(job))["image"]["url"]], ""
        case State.FAILED:
            error = error_of(job)
            return "timeout" if error.code is ErrorCode.PROCESSING_TIMEOUT else "failed", [], sentences_of(error)
        case State.CANCELLED:
            return "failed", [], _CANCELLED
        case State.EXPIRED:
            return "failed", [], _GONE
    return "processing", [], ""
