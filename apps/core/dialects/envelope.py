"""The canonical form: `{"meta", "data", "warnings", "error"}`, or the image itself with the same facts as headers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core.dialects.base import Answer
from apps.core.errors import AppError
from apps.core.models import Job, State
from apps.core.operations import Operation, operation_named
from apps.core.outcome import Outcome, WarningCode
from apps.core.results import error_of, image_object, iso, outcome_of, visible_state
from apps.core.storage import result_store


class EnvelopeDialect:
    """See PRODUCT's envelope: every JSON answer has exactly the four members."""

    forms: tuple[str, ...] = ("image", "json")
    takes_urlencoded = False
    has_vendor_limits = False
    can_defer = True
    offers_retention = True

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        outcome = outcome_of(answer.job)
        response = (
            self._binary(answer, outcome, request)
            if answer.binary
            else envelope(
                request,
                data={"jobId": str(answer.job.id), "status": "succeeded", **result_data(answer.job, outcome)},
                warnings=outcome.warnings,
                meta=job_meta(answer.job, outcome),
            )
        )
        return _with_preference(response, answer)

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        response = envelope(request, data=job_data(answer.job), status=202)
        response.headers["Location"] = f"/v1/jobs/{answer.job.id}"
        response.headers["Retry-After"] = "2"
        response.headers["X-Job-Id"] = str(answer.job.id)
        return _with_preference(response, answer)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        price = {"credits": price_credits, "usd": usd(price_credits)}
        return envelope(request, data={"price": price, "valid": True})

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        return envelope(request, error=error_data(error), status=error.code.status)

    def responses(self, operation: Operation) -> dict[str, Any]:
        from apps.core.openapi.envelope import operation_responses  # only /openapi.json needs it

        return operation_responses(operation)

    def _binary(self, answer: Answer, outcome: Outcome, request: HttpRequest) -> HttpResponse:
        artifact = outcome.artifacts[answer.operation.main_artifact(answer.job.params)]
        response = HttpResponse(result_store().get(artifact.key), content_type=artifact.content_type)
        response.headers["X-Job-Id"] = str(answer.job.id)
        response.headers["X-Credits-Charged"] = str(answer.job.charged_credits)
        response.headers["X-Width"] = str(artifact.width)
        response.headers["X-Height"] = str(artifact.height)
        if bbox := outcome.box_xywh:
            for side, value in zip(("Left", "Top", "Width", "Height"), bbox, strict=True):
                response.headers[f"X-Foreground-{side}"] = str(value)
        unknown = [WarningCode.UNKNOWN_FIELD] if getattr(request, "unknown_fields", ()) else []
        if warnings := [*outcome.warnings, *unknown]:
            response.headers["X-Warnings"] = ",".join(warnings)
        response.headers["Server-Timing"] = ", ".join(f"{k};dur={v}" for k, v in outcome.timings_ms.items())
        response.headers["Cache-Control"] = "private, no-store"
        return response


ENVELOPE = EnvelopeDialect()
CENTS_PER_CREDIT = 5


def envelope(
    request: HttpRequest,
    *,
    data: Any = None,
    error: dict[str, Any] | None = None,
    warnings: Iterable[WarningCode] = (),
    meta: dict[str, Any] | None = None,
    status: int = 200,
) -> JsonResponse:
    """A JSON answer with exactly meta, data, warnings, error; a success tells the ignored fields of its request too."""
    unknown = getattr(request, "unknown_fields", ()) if error is None else ()
    body = {
        "meta": {
            "requestId": request.request_id,
            "createdAt": iso(datetime.now(UTC)),
            "processingMs": round((time.monotonic() - request.began) * 1000),
            **(meta or {}),
        },
        "data": data,
        "warnings": [
            *({"code": code.value, "message": code.sentence} for code in warnings),
            *({"code": WarningCode.UNKNOWN_FIELD.value, "message": told} for told in unknown),
        ],
        "error": error,
    }
    return JsonResponse(body, status=status, headers={"Cache-Control": "private, no-store"})


def usd(credits: int) -> str:
    """Credits in dollars; one credit is five cents."""
    return f"{credits * CENTS_PER_CREDIT // 100}.{credits * CENTS_PER_CREDIT % 100:02d}"


def job_data(job: Job) -> dict[str, Any]:
    """A job as `GET /v1/jobs/{id}` shows it."""
    state = visible_state(job)
    result = result_data(job, outcome_of(job)) if state == State.SUCCEEDED else None
    return {
        "jobId": str(job.id),
        "operation": job.operation,
        "mode": job.mode,
        "key": job.key_prefix or None,
        "status": state.value,
        "stage": job.stage,
        "progress": round(job.progress, 2),
        "createdAt": iso(job.created_at),
        "finishedAt": iso(job.finished_at),
        "expiresAt": iso(job.expires_at),
        "creditsCharged": job.charged_credits,
        "error": error_data(error_of(job)) if state == State.FAILED else None,
        "result": result,
    }


def result_data(job: Job, outcome: Outcome) -> dict[str, Any]:
    """An operation's result: its images with fresh links, and its facts."""
    images = {name: image_object(job, artifact) for name, artifact in outcome.artifacts.items()}
    return operation_named(job.operation).present(images, outcome.facts)


def job_meta(job: Job, outcome: Outcome) -> dict[str, Any]:
    """What `meta` carries about the work done."""
    return {
        "creditsCharged": job.charged_credits,
        "model": outcome.model,
        "device": outcome.device,
        "stagesMs": outcome.timings_ms,
    }


def error_data(error: AppError) -> dict[str, Any]:
    """The envelope's `error` member."""
    return {
        "code": error.code.name,
        "message": error.message,
        "details": [{"field": detail.field, "issue": detail.issue} for detail in error.details],
        "retryable": error.code.retryable,
    }


def _with_preference(response: HttpResponse, answer: Answer) -> HttpResponse:
    if answer.applied_preference:
        response.headers["Preference-Applied"] = answer.applied_preference
    return response
