"""What every dialect can say. A dialect translates and never computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Protocol, dataclass_transform

from django.http import HttpRequest, HttpResponse, JsonResponse
from msgspec import UNSET, Struct, UnsetType

from apps.core.answers import Part, about, as_json
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job
from apps.core.operations import Operation
from apps.core.outcome import Artifact, Box, Outcome
from apps.core.storage import result_store

NO_STORE = MappingProxyType({"Cache-Control": "private, no-store"})


@dataclass(frozen=True)
class Answer:
    """A job as it stands, and how the client wants to hear of it."""

    job: Job
    operation: Operation
    binary: bool
    applied_preference: str = ""


@dataclass(frozen=True)
class Described:
    """
    What the OpenAPI document says of a form beside what its classes say.

    Args:
        done: what a success is.
        success: the class of a success in JSON.
        failure: the class of an error.
        headers: the class of a success's headers.
        media: the media types of a success that is the file itself.
        words: of errors by status, where the envelope's are not right.
        example: a success.
        failures: errors by status, as examples.
        adapt: for a form whose success is another for each operation.
    """

    done: str
    success: Any
    failure: type[Part]
    headers: type[Struct] | None = None
    media: tuple[str, ...] = ()
    words: Mapping[int, str] = field(default_factory=dict)
    example: Part | None = None
    failures: Mapping[int, Part] = field(default_factory=dict)
    adapt: Callable[[Described, Operation], Described] | None = None

    def of(self, operation: Operation) -> Described:
        """The same of one operation."""
        return self.adapt(self, operation) if self.adapt else self


class Dialect(Protocol):
    """
    A wire form.

    Attributes:
        forms: what a success can be, `image` (the file itself) and `json`.
        takes_urlencoded: reads application/x-www-form-urlencoded bodies too.
        has_vendor_limits: tells the caller's limits by `X-RateLimit-*` too.
        can_defer: knows an answer for "not yet" (202), and so heeds `Prefer`.
        offers_retention: the client may say how long its result is kept.
        described: what the OpenAPI document says of it.
    """

    forms: tuple[str, ...]
    takes_urlencoded: bool
    has_vendor_limits: bool
    can_defer: bool
    offers_retention: bool

    @property
    def described(self) -> Described: ...

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        """The job succeeded."""

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:
        """The job goes on; ask later."""

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:
        """A dry run: the request is right, and this is what it would cost."""

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        """It ended badly, at whatever step."""

    def status_of(self, error: AppError) -> int:
        """The HTTP status of an error in this form."""


class ImmediateDialect:
    """
    What other makers' forms have in common, where they don't say otherwise.

    They know no 202: who can't be answered in time gets an error and pays nothing.
    """

    takes_urlencoded = False
    has_vendor_limits = False
    can_defer = False
    offers_retention = False
    statuses: Mapping[ErrorCode, int] = MappingProxyType({})
    """HTTP statuses that are not the core's own."""

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        raise AppError(ErrorCode.PROCESSING_TIMEOUT)

    def status_of(self, error: AppError) -> int:
        return self.statuses.get(error.code, error.code.status)


def _header_name(name: str) -> str:
    return "-".join(word.title() for word in name.split("_"))


@dataclass_transform(frozen_default=True, kw_only_default=True)
class JobHeaders(Struct, frozen=True, kw_only=True, rename=_header_name):
    """What a success tells in its headers; like the classes of JSON answers, these are their schemas too."""

    x_job_id: Annotated[str, about("The job behind the answer.")]
    x_credits_charged: Annotated[str, about("Credits that it cost.")]
    x_warnings: Annotated[str, about("Warning codes, comma separated.")] | UnsetType = UNSET


class PictureHeaders(JobHeaders, kw_only=True):
    """The same of an answer that is the image itself."""

    x_width: Annotated[str, about("Width of the image in pixels.")]
    x_height: Annotated[str, about("Height of the image in pixels.")]
    x_foreground_top: Annotated[str, about("Top of the subject's box.")] | UnsetType = UNSET
    x_foreground_left: Annotated[str, about("Left of the subject's box.")] | UnsetType = UNSET
    x_foreground_width: Annotated[str, about("Width of the subject's box.")] | UnsetType = UNSET
    x_foreground_height: Annotated[str, about("Height of the subject's box.")] | UnsetType = UNSET


class TimedHeaders(PictureHeaders, kw_only=True):
    """The same, with how long it took."""

    server_timing: Annotated[str, about("Milliseconds by stage.")]


def job_facts(answer: Answer, warnings: Iterable[str]) -> dict[str, Any]:
    """The fields of JobHeaders."""
    job, told = answer.job, ",".join(warnings)
    return {"x_job_id": str(job.id), "x_credits_charged": str(job.charged_credits), "x_warnings": told or UNSET}


def picture_facts(artifact: Artifact, box_xywh: Box | None) -> dict[str, Any]:
    """The further fields of PictureHeaders."""
    sides = zip(("left", "top", "width", "height"), box_xywh or (), strict=box_xywh is not None)
    return {
        "x_width": str(artifact.width),
        "x_height": str(artifact.height),
        **{f"x_foreground_{side}": str(value) for side, value in sides},
    }


def _timing(outcome: Outcome) -> str:
    """The value of Server-Timing."""
    return ", ".join(f"{stage};dur={ms}" for stage, ms in outcome.timings_ms.items())


def picture_response(artifact: Artifact, headers: Struct) -> HttpResponse:
    """The image itself, which nobody may keep."""
    told = {**NO_STORE, **as_json(headers)}
    return HttpResponse(result_store().get(artifact.key), content_type=artifact.content_type, headers=told)


def timed_picture(
    answer: Answer, outcome: Outcome, warnings: Iterable[str], headers: type[TimedHeaders] = TimedHeaders
) -> HttpResponse:
    """The image itself, with all that `headers` tell."""
    artifact = outcome.artifacts[answer.operation.main_artifact(answer.job.params)]
    job, picture = job_facts(answer, warnings), picture_facts(artifact, outcome.box_xywh)
    return picture_response(artifact, headers(**job, **picture, server_timing=_timing(outcome)))


def json_response(body: Part, *, status: int = 200, headers: Struct | None = None) -> JsonResponse:
    """JSON that nobody may keep."""
    return JsonResponse(as_json(body), status=status, headers={**NO_STORE, **(as_json(headers) if headers else {})})


def sentences_of(error: AppError) -> str:
    """For forms with one sentence and no fields: what is wrong with each field, with its name where that doesn't say it."""
    told = [d.issue if d.field in d.issue else f"{d.field}: {d.issue}" for d in error.details]
    return " ".join(dict.fromkeys(told)) or error.message
