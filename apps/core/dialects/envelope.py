"""The canonical form: `{"meta", "data", "warnings", "error"}`, or the image itself with the same facts as headers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, JsonResponse
from msgspec import UNSET, UnsetType, defstruct, structs

from apps.core.answers import (
    ApiError,
    ApiWarning,
    DeliveryStatus,
    Envelope,
    ErrorDetail,
    ErrorEnvelope,
    JobDelivery,
    JobStatus,
    ListedJob,
    Meta,
    Part,
    Quote,
    Result,
    as_json,
)
from apps.core.answers import Job as JobAnswer
from apps.core.dialects.base import (
    Answer,
    Described,
    TimedHeaders,
    json_response,
    timed_picture,
)
from apps.core.errors import AppError
from apps.core.models import Job, State
from apps.core.operations import Operation, operation_named
from apps.core.outcome import Outcome, WarningCode
from apps.core.owner import Mode
from apps.core.request_facts import facts_of
from apps.core.results import error_of, image_object, iso, outcome_of, visible_state


class EnvelopeDialect:
    """See PRODUCT's envelope: every JSON answer has exactly the four members."""

    forms: tuple[str, ...] = ("image", "json")
    takes_urlencoded = False
    has_vendor_limits = False
    can_defer = True
    offers_retention = True

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        outcome = outcome_of(answer.job)
        if answer.binary:
            response = self._binary(answer, outcome, request)
        else:
            told = structs.asdict(result_data(answer.job, outcome))
            data = data_class(answer.operation)(job_id=str(answer.job.id), status=JobStatus.SUCCEEDED, **told)
            response = envelope(request, data, warnings=outcome.warnings, meta=job_meta(answer.job, outcome))
        return _with_preference(response, answer)

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        response = envelope(request, job_data(answer.job), status=202)
        response.headers["Location"] = f"/v1/jobs/{answer.job.id}"
        response.headers["Retry-After"] = "2"
        response.headers["X-Job-Id"] = str(answer.job.id)
        return _with_preference(response, answer)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        return envelope(request, Quote.of(price_credits))

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        body = ErrorEnvelope(meta=_meta(request), data=None, warnings=[], error=error_data(error))
        return json_response(body, status=self.status_of(error))

    def status_of(self, error: AppError) -> int:
        return error.code.status

    def _binary(self, answer: Answer, outcome: Outcome, request: HttpRequest) -> HttpResponse:
        return timed_picture(
            answer, outcome, [*outcome.warnings, *dict.fromkeys(code for code, _ in _about_fields(request))]
        )

    described = Described(
        done="Done. The field answer chooses the form, else Accept (application/json or image/*); without both ",
        success=Envelope,
        failure=ErrorEnvelope,
        headers=TimedHeaders,
        media=("image/png", "image/webp", "image/jpeg"),
        adapt=lambda described, operation: replace(
            described,
            done=f"{described.done}{'the image itself' if operation.binary_default else 'the envelope'}.",
            success=Envelope[data_class(operation)],  # type: ignore[misc]  # the class is made, too
            example=_example(operation),
        ),
    )


ENVELOPE = EnvelopeDialect()


def data_class(operation: Operation) -> type[Part]:
    """The class of an operation's `data`."""
    return _data_class("".join(word.title() for word in operation.slug.split("-")), operation.result)


@lru_cache
def _data_class(name: str, result: type[Result]) -> type[Part]:
    """
    One flat class: of a choice between result, job and quote, generated clients make a wrapper that nobody wants to unpack, and
    of two schemas they read only the first one's status.
    """
    about = (
        "jobId and status, always; of a 200 the result, of a 202 the job as GET /v1/jobs/{job_id} shows it. "
        "With dry_run=true price and valid instead."
    )
    members = [each for part in (JobAnswer, result, Quote) for each in structs.fields(part)]
    fields = {each.name: (each.name, each.type | UnsetType, UNSET) for each in members}
    return cast(type[Part], defstruct(f"{name}Data", fields.values(), bases=(Part,), namespace={"__doc__": about}))


def envelope(
    request: HttpRequest,
    data: Part,
    *,
    warnings: Iterable[WarningCode] = (),
    meta: dict[str, Any] | None = None,
    status: int = 200,
) -> JsonResponse:
    """A success with exactly meta, data, warnings, error; it tells the ignored fields of its request too."""
    told = [*((code, code.sentence) for code in warnings), *_about_fields(request)]
    shown = [ApiWarning(code=code.value, message=sentence) for code, sentence in told]
    body = Envelope(meta=_meta(request, **(meta or {})), data=data, warnings=shown, error=None)
    return json_response(body, status=status)


def _about_fields(request: HttpRequest) -> list[tuple[WarningCode, str]]:
    """What is to be said of the request's fields, rather than of the work."""
    facts = facts_of(request)
    unknown = [(WarningCode.UNKNOWN_FIELD, sentence) for sentence in facts.unknown_fields]
    return unknown + [(WarningCode.PARAMETER_IGNORED, sentence) for sentence in facts.idle_fields]


def _meta(request: HttpRequest, **more: Any) -> Meta:
    took_ms = round((time.monotonic() - facts_of(request).began) * 1000)
    return Meta(
        request_id=facts_of(request).request_id, created_at=iso(datetime.now(UTC)), processing_ms=took_ms, **more
    )


def job_data(job: Job) -> JobAnswer:
    """A job as `GET /v1/jobs/{id}` shows it."""
    listed = listed_job(job)
    has_result = listed.status == JobStatus.SUCCEEDED
    result = as_json(result_data(job, outcome_of(job))) if has_result else None
    return JobAnswer(**structs.asdict(listed), result=result)


def listed_job(job: Job) -> ListedJob:
    """A job as `GET /v1/jobs` shows it."""
    state = visible_state(job)
    return ListedJob(
        job_id=str(job.id),
        operation=job.operation,
        mode=Mode(job.mode),
        key=job.key_prefix or None,
        status=JobStatus(state.value),
        stage=job.stage,
        progress=round(job.progress, 2),
        created_at=iso(job.created_at),
        finished_at=iso(job.finished_at),
        expires_at=iso(job.expires_at),
        credits_charged=job.charged_credits,
        error=error_data(error_of(job)) if state == State.FAILED else None,
        delivery=_delivery(job.delivery),
    )


def _delivery(told: dict[str, Any] | None) -> JobDelivery | None:
    if told is None:
        return None
    return JobDelivery(DeliveryStatus(told["status"]), attempts=told["attempts"], last_status=told["lastStatus"])


def result_data(job: Job, outcome: Outcome) -> Result:
    """An operation's result: its images with fresh links, and its facts."""
    images = {name: image_object(job, artifact) for name, artifact in outcome.artifacts.items()}
    return operation_named(job.operation).result.of(images, outcome.facts)


def job_meta(job: Job, outcome: Outcome) -> dict[str, Any]:
    """What `meta` carries about the work done."""
    return {
        "credits_charged": job.charged_credits,
        "model": outcome.model,
        "device": outcome.device,
        "precision": outcome.precision,
        "stages_ms": outcome.timings_ms,
    }


def error_data(error: AppError) -> ApiError:
    """The envelope's `error` member."""
    return ApiError(
        code=error.code,
        message=error.message,
        details=[ErrorDetail(field=detail.field, issue=detail.issue) for detail in error.details],
        retryable=error.code.retryable,
    )


def _example(operation: Operation) -> Part | None:
    """The operation's result as the synchronous answer has it."""
    if operation.example is None:
        return None
    meta = Meta(
        request_id="e7f8a9b0-c1d2-3456-e012-789012345678",
        created_at="2026-02-17T17:40:22.456Z",
        processing_ms=640,
        credits_charged=operation.price_credits,
    )
    told = structs.asdict(operation.example)
    data = data_class(operation)(job_id="0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11", status=JobStatus.SUCCEEDED, **told)
    return Envelope(meta=meta, data=data, warnings=[], error=None)


def _with_preference(response: HttpResponse, answer: Answer) -> HttpResponse:
    if answer.applied_preference:
        response.headers["Preference-Applied"] = answer.applied_preference
    return response
