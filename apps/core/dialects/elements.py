"""
AILabTools' form: `{"request_id", "log_id", "error_code", "error_msg", "error_detail", "data": {"elements": [...]}}`.

`error_code` is 0 or the HTTP status, `error_detail.code` one of a closed table. It is for operations whose result has an
`image` and `classes`, each of which may have a URL.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core.dialects.base import Answer, sentences_of
from apps.core.dialects.envelope import result_data, usd
from apps.core.errors import AppError, ErrorCode, Fault
from apps.core.operations import Operation
from apps.core.results import outcome_of

_NO_STORE = {"Cache-Control": "private, no-store"}

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


class ElementsDialect:
    """It knows no 202: who can't be answered in time gets a 504 and pays nothing."""

    forms: tuple[str, ...] = ("json",)
    takes_urlencoded = False
    has_vendor_limits = False
    can_defer = False
    offers_retention = False

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        outcome = outcome_of(answer.job)
        result = result_data(answer.job, outcome)
        class_url = {name: told["url"] or "" for name, told in result["classes"].items()}
        response = _succeeded(request, {"elements": [{"image_url": result["image"]["url"]}, {"class_url": class_url}]})
        response.headers["X-Job-Id"] = str(answer.job.id)
        response.headers["X-Credits-Charged"] = str(answer.job.charged_credits)
        if outcome.warnings:
            response.headers["X-Warnings"] = ",".join(outcome.warnings)
        return response

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        raise AppError(ErrorCode.PROCESSING_TIMEOUT)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        price = {"credits": price_credits, "usd": usd(price_credits)}
        return _succeeded(request, {"price": price, "valid": True})

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        status, code = status_and_code(error)
        detail = {"status_code": status, "code": code, "code_message": TABLE[code], "message": sentences_of(error)}
        body = {**_ids(request), "error_code": status, "error_msg": error.message, "error_detail": detail}
        return JsonResponse(body, status=status, headers=_NO_STORE)

    def responses(self, operation: Operation) -> dict[str, Any]:  # noqa: ARG002 - one form for all
        from apps.core.openapi.elements import operation_responses  # only /openapi.json needs it

        return operation_responses()


ELEMENTS = ElementsDialect()


def status_and_code(error: AppError) -> tuple[int, str]:
    """The HTTP status of an error in this form, and its code in the table; of several faults the first one counts."""
    if error.code is not ErrorCode.VALIDATION_ERROR or not error.details:
        return _CODES[error.code]
    fault, field = error.details[0].fault, error.details[0].field
    return _CODES[error.code] if field == "body" else _FAULT_CODES[fault]  # a body that can't be parsed is no file


def _ids(request: HttpRequest) -> dict[str, str]:
    return {"request_id": request.request_id, "log_id": request.request_id}  # every line of the log carries it


def _succeeded(request: HttpRequest, data: dict[str, Any]) -> JsonResponse:
    detail = {"status_code": 200, "code": "", "code_message": "", "message": ""}
    body = {**_ids(request), "error_code": 0, "error_msg": "", "error_detail": detail, "data": data}
    return JsonResponse(body, headers=_NO_STORE)
