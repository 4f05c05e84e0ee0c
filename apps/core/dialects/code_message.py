"""
The form of watermark tasks: `{"code", "message", "data"}`, submitted in one request and asked for in others.

`code` is 0 or one of a closed table; a failure's HTTP status is the core's own, but for what this table says otherwise.
It is for operations that are asked for later, and whose result has an `image`.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Self

from django.http import HttpRequest, HttpResponse
from msgspec import UNSET, UnsetType

from apps.core.answers import Part, Price, Url, Valid, about, example_url
from apps.core.dialects.base import Answer, Described, ImmediateDialect, json_response, sentences_of
from apps.core.dialects.envelope import result_data
from apps.core.errors import AppError, ErrorCode, Fault
from apps.core.models import Job, State
from apps.core.results import error_of, outcome_of, visible_state

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
EXAMPLE_TASK_ID = "0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11"


class TaskFailure(Part):
    """Why there is no answer."""

    code: Annotated[int, about(" ".join(f"{code}: {text}" for code, text in TABLE.items()), examples=[PARAMETER_ERROR])]
    message: str
    data: Annotated[dict[str, Any] | None, about("Always null.")]


class TaskData(Part, rename=None):
    """The task; with dry_run=true price and valid instead."""

    task_id: Annotated[str, about("Ask for it with get_task_result.")] | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    valid: Valid | UnsetType = UNSET


class _Picture(Part):
    url: Annotated[Url, about("Presigned; lives 24 h.")]


class TaskStatus(StrEnum):
    """The four words that the form knows."""

    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"


class TaskResultData(Part, rename=None):
    """How far a task is."""

    status: Annotated[
        TaskStatus,
        about(
            "Ask again while it is processing. failed and timeout were not charged, but where err_msg says that "
            "the result was kept for its time and has been deleted."
        ),
    ]
    images: Annotated[list[_Picture], about("With success the restored photo; else empty.")]
    err_msg: Annotated[str, about("Empty, or why there is no image.")]


class _Succeeded(Part):
    code: Annotated[int, about("0.")]
    message: Annotated[str, about(examples=["success"])]


class TaskAnswer(_Succeeded):
    """The task's id, or what it would cost."""

    data: TaskData

    @classmethod
    def of(cls, data: TaskData) -> Self:
        return cls(code=0, message="success", data=data)


class TaskResultAnswer(_Succeeded):
    """The task as it stands; costs nothing."""

    data: TaskResultData

    @classmethod
    def of(cls, data: TaskResultData) -> Self:
        return cls(code=0, message="success", data=data)


EXAMPLE_RESULT = TaskResultAnswer.of(
    TaskResultData(
        status=TaskStatus.SUCCESS,
        images=[_Picture(url=example_url("image"))],
        err_msg="",
    )
)


class CodeMessageDialect(ImmediateDialect):
    """Every success of an operation is an `accepted` one: its task's id."""

    forms: tuple[str, ...] = ("json",)

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        return self.accepted(answer, request)

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        return json_response(TaskAnswer.of(TaskData(task_id=str(answer.job.id))))

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        return json_response(TaskAnswer.of(TaskData(price=Price.of(price_credits), valid=True)))

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        status, code = status_and_code(error)
        return json_response(TaskFailure(code=code, message=sentences_of(error), data=None), status=status)

    def status_of(self, error: AppError) -> int:
        return status_and_code(error)[0]

    described = Described(
        done="The task's id, once the images have been checked.",
        success=TaskAnswer,
        failure=TaskFailure,
        example=TaskAnswer.of(TaskData(task_id=EXAMPLE_TASK_ID)),
        words={
            400: "1000: a parameter, an image or the body is wrong; the message says which and what to do.",
            401: "1002: no valid token.",
            402: "1003: too few credits; nothing was charged.",
            403: "1000: the key's scopes do not include this operation.",
            405: "1001: the address takes POST alone.",
            409: "1000: the first request with this Idempotency-Key is still at work; Retry-After says when to ask again.",
            410: "1000: the task of this Idempotency-Key has been deleted; nothing is charged again.",
            413: "1000: the body is over this address's cap.",
            422: "1000: this Idempotency-Key was used for another request.",
            429: "1000: too many requests; Retry-After says when.",
            500: "1100: unexpected; the request id helps us to find it.",
            502: "1102: an image could not be downloaded.",
            503: "1101: the queue is full, or a backing service is away; Retry-After says when.",
        },
    )


CODE_MESSAGE = CodeMessageDialect()


def status_and_code(error: AppError) -> tuple[int, int]:
    """The HTTP status of an error in this form, and its code in the table; of several faults the first one counts."""
    if error.code is ErrorCode.VALIDATION_ERROR and error.details and error.details[0].fault is Fault.DOWNLOAD_FAILED:
        return HTTPStatus.BAD_GATEWAY, DOWNLOAD_FAILED
    return _STATUSES.get(error.code, error.code.status), _CODES.get(error.code, PARAMETER_ERROR)


def task_result(job: Job) -> TaskResultAnswer:
    """
    A job as `get_task_result` shows it, in the four words that the form knows.

    A result that has been deleted after its time is `failed`, and `err_msg` says that it was kept and is gone: a `success`
    without an image would break the clients, and those who submit again get what they want.
    """
    status, images, told = _told(job)
    data = TaskResultData(status=status, images=[_Picture(url=url) for url in images], err_msg=told)
    return TaskResultAnswer.of(data)


def _told(job: Job) -> tuple[TaskStatus, list[str], str]:
    match visible_state(job):
        case State.SUCCEEDED:
            return TaskStatus.SUCCESS, [result_data(job, outcome_of(job)).image.url], ""
        case State.FAILED:
            error = error_of(job)
            status = TaskStatus.TIMEOUT if error.code is ErrorCode.PROCESSING_TIMEOUT else TaskStatus.FAILED
            return status, [], sentences_of(error)
        case State.CANCELLED:
            return TaskStatus.FAILED, [], _CANCELLED
        case State.EXPIRED:
            return TaskStatus.FAILED, [], _GONE
    return TaskStatus.PROCESSING, [], ""
