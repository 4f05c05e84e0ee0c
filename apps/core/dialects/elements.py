"""
AILabTools' form: `{"request_id", "log_id", "error_code", "error_msg", "error_detail", "data": {"elements": [...]}}`.

`error_code` is 0 or the HTTP status, `error_detail.code` one of a closed table. It is for operations whose result has an
`image` and `classes`, each of which may have a URL.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from django.http import HttpRequest, HttpResponse
from msgspec import UNSET, UnsetType

from apps.core.answers import Part, Price, Url, Uuid, Valid, about, example_url
from apps.core.dialects.base import (
    Answer,
    Described,
    ImmediateDialect,
    JobHeaders,
    job_facts,
    json_response,
    sentences_of,
)
from apps.core.dialects.envelope import result_data
from apps.core.errors import AppError, ErrorCode, Fault, invalid
from apps.core.request_facts import facts_of
from apps.core.results import outcome_of

TABLE = {
    "MISSING_PARAMETERS": "A parameter is missing.",
    "ERROR_INVALID_PARAMETER": "The request is not valid.",
    "UNSUPPORTED_PARAMETER_VALUES": "A parameter has a value that is not supported.",
    "ERROR_USER_NOT_EXISTS": "The API key is missing, unknown, expired or revoked.",
    "ERROR_USER_LOCKED": "This key may not do that.",
    "FILE_SIZE_EXCEEDS_LIMIT": "The file is too large.",
    "FILE_RESOLUTION_EXCEEDS_LIMITS": "The image has too many pixels.",
    "UNSUPPORTED_FILE_TYPES": "The file's type is not supported.",
    "FILE_DECODING_FAILURE": "The file cannot be decoded.",
    "ERROR_INVALID_FILE": "The file is not valid.",
    "ERROR_LOW_RESOLUTION": "The image has too few pixels.",
    "ERROR_NO_RECOGNITION_TARGET_DETECTED": "Nothing of what was asked for is in the image.",
    "ERROR_NOT_ENOUGH_CREDITS": "The account has too few credits.",
    "EXCEEDING_LIMITS": "Too many requests.",
    "SERVICE_INTERNAL_ERROR": "Something went wrong on our side.",
    "PROCESSING_FAILURE": "The image could not be processed.",
    "ERROR_FILE_DOWNLOAD_FAILED": "The file could not be downloaded.",
    "ERROR_INSUFFICIENT_RESOURCES": "The service is busy.",
    "AI_SERVICE_TIMEOUT": "The image was not ready in time.",
}
"""What each code means; `error_detail.code_message` says it."""

_CODES = {
    ErrorCode.VALIDATION_ERROR: (400, "ERROR_INVALID_PARAMETER"),
    ErrorCode.UNAUTHENTICATED: (401, "ERROR_USER_NOT_EXISTS"),
    ErrorCode.INSUFFICIENT_CREDITS: (429, "ERROR_NOT_ENOUGH_CREDITS"),
    ErrorCode.PAYMENT_REQUIRED: (429, "ERROR_NOT_ENOUGH_CREDITS"),
    ErrorCode.FORBIDDEN: (403, "ERROR_USER_LOCKED"),
    ErrorCode.NOT_FOUND: (404, "ERROR_INVALID_PARAMETER"),
    ErrorCode.METHOD_NOT_ALLOWED: (405, "ERROR_INVALID_PARAMETER"),
    ErrorCode.CONFLICT: (409, "ERROR_INVALID_PARAMETER"),
    ErrorCode.GONE: (410, "ERROR_INVALID_PARAMETER"),
    ErrorCode.PAYLOAD_TOO_LARGE: (413, "FILE_SIZE_EXCEEDS_LIMIT"),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, "UNSUPPORTED_FILE_TYPES"),
    ErrorCode.IDEMPOTENCY_MISMATCH: (422, "ERROR_INVALID_PARAMETER"),
    ErrorCode.RATE_LIMITED: (429, "EXCEEDING_LIMITS"),
    ErrorCode.INTERNAL_ERROR: (500, "SERVICE_INTERNAL_ERROR"),
    ErrorCode.PROCESSING_FAILED: (500, "PROCESSING_FAILURE"),
    ErrorCode.PROCESSING_TIMEOUT: (504, "AI_SERVICE_TIMEOUT"),
    ErrorCode.OVERLOADED: (503, "ERROR_INSUFFICIENT_RESOURCES"),
}
_FAULT_CODES = {
    Fault.MISSING: (400, "MISSING_PARAMETERS"),
    Fault.SEVERAL_SOURCES: (400, "ERROR_INVALID_PARAMETER"),
    Fault.INVALID_VALUE: (400, "ERROR_INVALID_PARAMETER"),
    Fault.UNSUPPORTED_VALUE: (400, "UNSUPPORTED_PARAMETER_VALUES"),
    Fault.EMPTY_FILE: (422, "ERROR_INVALID_FILE"),
    Fault.FILE_TOO_LARGE: (413, "FILE_SIZE_EXCEEDS_LIMIT"),
    Fault.UNSUPPORTED_FORMAT: (415, "UNSUPPORTED_FILE_TYPES"),
    Fault.UNREADABLE_FILE: (422, "FILE_DECODING_FAILURE"),
    Fault.RESOLUTION_TOO_HIGH: (413, "FILE_RESOLUTION_EXCEEDS_LIMITS"),
    Fault.RESOLUTION_TOO_LOW: (422, "ERROR_LOW_RESOLUTION"),
    Fault.BAD_URL: (400, "ERROR_INVALID_PARAMETER"),
    Fault.REFUSED_URL: (400, "ERROR_INVALID_PARAMETER"),
    Fault.DOWNLOAD_FAILED: (502, "ERROR_FILE_DOWNLOAD_FAILED"),
    Fault.EMPTY_REGION: (400, "ERROR_INVALID_PARAMETER"),
    Fault.NO_FOREGROUND: (422, "ERROR_NO_RECOGNITION_TARGET_DETECTED"),
    Fault.NO_GARMENT: (422, "ERROR_NO_RECOGNITION_TARGET_DETECTED"),
}


class ElementsDetail(Part, rename=None):
    """The outcome in words."""

    status_code: Annotated[int, about("The HTTP status.")]
    code: Annotated[str, about("Empty on success.", examples=TABLE)]
    code_message: Annotated[str, about("What the code means.")]
    message: Annotated[str, about("Which field, why, and what to do.")]


class ElementsItem(Part, rename=None):
    """The first one has image_url, the second one class_url."""

    image_url: Annotated[Url, about("All requested garments together; lives 24 h.")] | UnsetType = UNSET
    class_url: (
        Annotated[dict[str, str], about("A link for each class that was asked for; empty where the photo shows none.")]
        | UnsetType
    ) = UNSET


class ElementsData(Part):
    """The result; with dry_run=true price and valid instead."""

    elements: list[ElementsItem] | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    valid: Valid | UnsetType = UNSET


class ElementsFailure(Part, rename=None):
    """Why there is no result."""

    request_id: Uuid
    log_id: str
    error_code: Annotated[int, about("0, or the HTTP status.")]
    error_msg: str
    error_detail: ElementsDetail


class ElementsResult(ElementsFailure):
    """The result, with the members of a failure."""

    data: ElementsData


class ElementsDialect(ImmediateDialect):
    """A picture that is not there in time is a 504."""

    forms: tuple[str, ...] = ("json",)

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        outcome = outcome_of(answer.job)
        result = result_data(answer.job, outcome)
        class_url = {name: told.url or "" for name, told in cast(Any, result).classes.items()}
        elements = [ElementsItem(image_url=result.image.url), ElementsItem(class_url=class_url)]
        body = _result(facts_of(request).request_id, ElementsData(elements=elements))
        return json_response(body, headers=JobHeaders(**job_facts(answer, outcome.warnings)))

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        return json_response(
            _result(facts_of(request).request_id, ElementsData(price=Price.of(price_credits), valid=True))
        )

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        return json_response(_failure(facts_of(request).request_id, error), status=self.status_of(error))

    def status_of(self, error: AppError) -> int:
        return status_and_code(error)[0]

    @property
    def described(self) -> Described:
        return _described()


ELEMENTS = ElementsDialect()


def status_and_code(error: AppError) -> tuple[int, str]:
    """The HTTP status of an error in this form, and its code in the table; of several faults the first one counts."""
    if error.code is not ErrorCode.VALIDATION_ERROR or not error.details:
        return _CODES[error.code]
    fault, field = error.details[0].fault, error.details[0].field
    return _CODES[error.code] if field == "body" else _FAULT_CODES[fault]  # a body that can't be parsed is no file


def _result(request_id: str, data: ElementsData) -> ElementsResult:
    detail = ElementsDetail(status_code=200, code="", code_message="", message="")
    return ElementsResult(  # every line of the log carries the request's id
        request_id=request_id, log_id=request_id, error_code=0, error_msg="", error_detail=detail, data=data
    )


def _failure(request_id: str, error: AppError) -> ElementsFailure:
    status, code = status_and_code(error)
    detail = ElementsDetail(status_code=status, code=code, code_message=TABLE[code], message=sentences_of(error))
    return ElementsFailure(
        request_id=request_id, log_id=request_id, error_code=status, error_msg=error.message, error_detail=detail
    )


def _described() -> Described:
    request_id = "e7f8a9b0-c1d2-3456-e012-789012345678"
    class_url = {"tops": example_url("tops"), "coat": ""}
    elements = [ElementsItem(image_url=example_url("image")), ElementsItem(class_url=class_url)]
    small = invalid(
        "image", "The image is 40 x 60 px; the least is 51 x 51 px. Send a larger one.", Fault.RESOLUTION_TOO_LOW
    )
    return Described(
        done="Done.",
        success=ElementsResult,
        failure=ElementsFailure,
        headers=JobHeaders,
        example=_result(request_id, ElementsData(elements=elements)),
        failures={422: _failure(request_id, small)},
        words={
            400: "MISSING_PARAMETERS, ERROR_INVALID_PARAMETER or UNSUPPORTED_PARAMETER_VALUES.",
            401: "ERROR_USER_NOT_EXISTS: no valid API key.",
            403: "ERROR_USER_LOCKED: the key's scopes do not include this operation.",
            413: "FILE_SIZE_EXCEEDS_LIMIT or FILE_RESOLUTION_EXCEEDS_LIMITS.",
            415: "UNSUPPORTED_FILE_TYPES: the file's type, or a body that is no form.",
            422: "FILE_DECODING_FAILURE, ERROR_INVALID_FILE, ERROR_LOW_RESOLUTION or ERROR_NO_RECOGNITION_TARGET_DETECTED; "
            "ERROR_INVALID_PARAMETER where this Idempotency-Key was used for another request.",
            429: "ERROR_NOT_ENOUGH_CREDITS or EXCEEDING_LIMITS; Retry-After says when.",
            500: "PROCESSING_FAILURE or SERVICE_INTERNAL_ERROR; nothing was charged.",
            502: "ERROR_FILE_DOWNLOAD_FAILED; nothing was charged.",
            503: "ERROR_INSUFFICIENT_RESOURCES; Retry-After says when.",
            504: "AI_SERVICE_TIMEOUT; nothing was charged.",
        },
    )
