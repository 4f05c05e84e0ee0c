"""What every dialect can say. A dialect translates and never computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse

from apps.core.errors import AppError
from apps.core.models import Job
from apps.core.operations import Operation


@dataclass(frozen=True)
class Answer:
    """A job as it stands, and how the client wants to hear of it."""

    job: Job
    operation: Operation
    binary: bool
    applied_preference: str = ""


class Dialect(Protocol):
    """
    A wire form.

    Attributes:
        forms: what a success can be, `image` (the file itself) and `json`.
        takes_urlencoded: reads application/x-www-form-urlencoded bodies too.
        has_vendor_limits: tells the caller's limits by `X-RateLimit-*` too.
        can_defer: knows an answer for "not yet" (202), and so heeds `Prefer`.
        offers_retention: the client may say how long its result is kept.
    """

    forms: tuple[str, ...]
    takes_urlencoded: bool
    has_vendor_limits: bool
    can_defer: bool
    offers_retention: bool

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        """The job succeeded."""

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        """The job goes on; ask later."""

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        """A dry run: the request is right, and this is what it would cost."""

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        """It ended badly, at whatever step."""

    def responses(self, operation: Operation) -> dict[str, Any]:
        """The OpenAPI `responses` of an operation in this form."""


def sentences_of(error: AppError) -> str:
    """For forms with one sentence and no fields: what is wrong with each field, with its name where that doesn't say it."""
    told = [d.issue if d.field in d.issue else f"{d.field}: {d.issue}" for d in error.details]
    return " ".join(dict.fromkeys(told)) or error.message
