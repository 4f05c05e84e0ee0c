"""The raw form, for programs: image bytes in, image bytes out; errors as `{"error": {code, message, retryable}, "requestId"}`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

from django.http import HttpRequest, HttpResponse

from apps.core.answers import Part, Price, Quote, Uuid, about
from apps.core.dialects.base import (
    Answer,
    Described,
    ImmediateDialect,
    TimedHeaders,
    json_response,
    timed_picture,
)
from apps.core.errors import AppError, ErrorCode
from apps.core.request_facts import facts_of
from apps.core.results import outcome_of


class RawFault(Part):
    """What is wrong."""

    code: Annotated[str, about("More may come with time.", examples=["VALIDATION_ERROR"])]
    message: Annotated[str, about("A sentence that a person can act on.")]
    retryable: Annotated[bool, about("The same request may succeed later.")]


class RawError(Part):
    """Why there is no image."""

    error: RawFault
    request_id: Uuid


class RawQuote(Quote):
    """What a dry run tells."""

    request_id: Uuid


class _Headers(TimedHeaders, kw_only=True):
    x_credits_charged: Annotated[str, about("Credits that it cost, where a key paid.")]


class RawDialect(ImmediateDialect):
    """A picture that is not there in time is a 503."""

    forms: tuple[str, ...] = ("image",)
    statuses = MappingProxyType({ErrorCode.PROCESSING_FAILED: 500, ErrorCode.PROCESSING_TIMEOUT: 503})

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        outcome = outcome_of(answer.job)
        return timed_picture(answer, outcome, outcome.warnings, _Headers)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        return json_response(
            RawQuote(price=Price.of(price_credits), valid=True, request_id=facts_of(request).request_id)
        )

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        told = RawFault(code=error.code.name, message=_sentence(error), retryable=error.code.retryable)
        body = RawError(error=told, request_id=facts_of(request).request_id)
        response = json_response(body, status=self.status_of(error))
        response.headers["Cache-Control"] = "no-store"
        if response.status_code == 503:
            response.headers["Retry-After"] = str(error.retry_after_s or 2)
        return response

    described = Described(
        done="Done: the image itself; with dry_run=true the price.",
        success=RawQuote,
        failure=RawError,
        headers=_Headers,
        media=("image/png", "image/webp"),
        words={
            400: "The image, its declared type or a header is wrong; the message says which and what to do.",
            402: "Pay, or send a key with credits.",
            409: "The first request with this payment or Idempotency-Key is still at work; Retry-After says when to ask again.",
            410: "The result has been deleted; nothing is charged again.",
            415: "The Content-Type is none of image/png, image/jpeg and image/webp.",
            500: "The image could not be processed; nothing was charged.",
            503: "Busy, not in time, or a backing service is away; Retry-After says when.",
        },
    )


RAW = RawDialect()


def _sentence(error: AppError) -> str:
    """The form has one sentence and no fields: each field's own words, with its name where they don't say it."""
    told = [
        detail.issue if detail.field == "body" or detail.field in detail.issue else f"{detail.field}: {detail.issue}"
        for detail in error.details
    ]
    return " ".join(dict.fromkeys(told)) or error.message
