"""The raw form, for programs: image bytes in, image bytes out; errors as `{"error": {code, message, retryable}, "requestId"}`."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core.dialects.base import Answer
from apps.core.dialects.envelope import usd
from apps.core.errors import AppError, ErrorCode
from apps.core.operations import Operation
from apps.core.outcome import Outcome
from apps.core.results import outcome_of
from apps.core.storage import result_store

_STATUSES = {ErrorCode.PROCESSING_FAILED: 500, ErrorCode.PROCESSING_TIMEOUT: 503}


class RawDialect:
    """It knows no 202: who can't be answered in time gets a 503 and pays nothing."""

    forms: tuple[str, ...] = ("image",)
    takes_urlencoded = False
    has_vendor_limits = False
    can_defer = False
    offers_retention = False

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        outcome = outcome_of(answer.job)
        artifact = outcome.artifacts[answer.operation.main_artifact(answer.job.params)]
        response = HttpResponse(result_store().get(artifact.key), content_type=artifact.content_type)
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["X-Job-Id"] = str(answer.job.id)
        response.headers["X-Credits-Charged"] = str(answer.job.charged_credits)
        for name, value in _facts(outcome).items():
            response.headers[name] = value
        return response

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        raise AppError(ErrorCode.PROCESSING_TIMEOUT)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        price = {"credits": price_credits, "usd": usd(price_credits)}
        body = {"price": price, "valid": True, "requestId": request.request_id}
        return JsonResponse(body, headers={"Cache-Control": "private, no-store"})

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        body = {
            "error": {"code": error.code.name, "message": _sentence(error), "retryable": error.code.retryable},
            "requestId": request.request_id,
        }
        response = JsonResponse(body, status=status_of(error), headers={"Cache-Control": "no-store"})
        if response.status_code == 503:
            response.headers["Retry-After"] = str(error.retry_after_s or 2)
        return response

    def responses(self, operation: Operation) -> dict[str, Any]:  # noqa: ARG002 - one form for all
        from apps.core.openapi.raw import operation_responses  # only /openapi.json needs it

        return operation_responses()


RAW = RawDialect()


def status_of(error: AppError) -> int:
    """The HTTP status of an error in this form."""
    return _STATUSES.get(error.code, error.code.status)


def _facts(outcome: Outcome) -> dict[str, str]:
    artifact = outcome.artifacts["image"]
    facts = {"X-Width": str(artifact.width), "X-Height": str(artifact.height)}
    if bbox := outcome.box_xywh:
        names = ("Left", "Top", "Width", "Height")
        facts |= {f"X-Foreground-{name}": str(side) for name, side in zip(names, bbox, strict=True)}
    if outcome.warnings:
        facts["X-Warnings"] = ",".join(outcome.warnings)
    facts["Server-Timing"] = ", ".join(f"{stage};dur={ms}" for stage, ms in outcome.timings_ms.items())
    return facts


def _sentence(error: AppError) -> str:
    """The form has one sentence and no fields: each field's own words, with its name where they don't say it."""
    told = [
        detail.issue if detail.field == "body" or detail.field in detail.issue else f"{detail.field}: {detail.issue}"
        for detail in error.details
    ]
    return " ".join(dict.fromkeys(told)) or error.message
