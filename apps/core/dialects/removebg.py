"""remove.bg's form: the image, or `{"data": {"result_b64", ...}}`; errors as `{"errors": [{"title", "code", "detail"}]}`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Annotated

import msgspec
from django.http import HttpRequest, HttpResponse
from msgspec import UNSET, UnsetType

from apps.core.answers import Count, Part, Price, Valid, about
from apps.core.dialects.base import (
    Answer,
    Described,
    ImmediateDialect,
    PictureHeaders,
    job_facts,
    json_response,
    picture_facts,
    picture_response,
)
from apps.core.errors import AppError, Detail, ErrorCode, Fault
from apps.core.results import outcome_of
from apps.core.storage import result_store

_CODES = {
    ErrorCode.UNAUTHENTICATED: "auth_failed",
    ErrorCode.FORBIDDEN: "auth_failed",
    ErrorCode.INSUFFICIENT_CREDITS: "insufficient_credits",
    ErrorCode.RATE_LIMITED: "rate_limit_exceeded",
    ErrorCode.PAYLOAD_TOO_LARGE: "file_too_large",
}
_FAULT_CODES = {
    Fault.MISSING: "missing_source",
    Fault.EMPTY_FILE: "missing_source",
    Fault.SEVERAL_SOURCES: "multiple_sources",
    Fault.FILE_TOO_LARGE: "file_too_large",
    Fault.UNSUPPORTED_FORMAT: "invalid_file_type",
    Fault.UNREADABLE_FILE: "failed_to_read_image",
    Fault.RESOLUTION_TOO_HIGH: "resolution_too_high",
    Fault.BAD_URL: "invalid_image_url",
    Fault.REFUSED_URL: "invalid_image_url",
    Fault.DOWNLOAD_FAILED: "failed_image_download",
    Fault.EMPTY_REGION: "roi_region_empty",
    Fault.NO_FOREGROUND: "unknown_foreground",
}
_FIELD_CODES = {
    "image_file": "failed_to_read_image",
    "image_file_b64": "failed_to_read_image",
    "bg_image_file": "failed_to_read_image",
    "bg_image_url": "invalid_image_url",
}
_TITLES = {
    "auth_failed": "API Key invalid",
    "failed_image_download": "Failed to download image",
    "failed_to_read_image": "Failed to read image",
    "file_too_large": "File too large",
    "insufficient_credits": "Insufficient credits",
    "invalid_file_type": "Invalid file type",
    "missing_source": "No image given",
    "multiple_sources": "Multiple image sources given",
    "rate_limit_exceeded": "Rate limit exceeded",
    "resolution_too_high": "Image resolution too high",
    "roi_region_empty": "Region of interest is empty",
    "unknown_foreground": "Could not identify foreground in image",
}
_NOWHERE = (0, 0, 0, 0)


class _Error(Part):
    title: str
    code: str
    detail: str


class RemoveDotBgErrors(Part):
    """What is wrong, in remove.bg's words."""

    errors: Annotated[list[_Error], msgspec.Meta(min_length=1)]


class RemoveDotBgData(Part, rename=None):
    """The result; with dry_run=true price and valid instead."""

    result_b64: Annotated[str, about(contentEncoding="base64")] | UnsetType = UNSET
    foreground_top: Count | UnsetType = UNSET
    foreground_left: Count | UnsetType = UNSET
    foreground_width: Count | UnsetType = UNSET
    foreground_height: Count | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    valid: Valid | UnsetType = UNSET


class RemoveDotBgResult(Part):
    """The image in JSON."""

    data: RemoveDotBgData


class _Headers(PictureHeaders, kw_only=True):
    x_type: (
        Annotated[str, about("What the subject is, as told by type and type_level; absent with type_level=none.")]
        | UnsetType
    ) = UNSET
    x_width: Annotated[str, about("Width of the answer in pixels.")]
    x_height: Annotated[str, about("Height of the answer in pixels.")]
    x_foreground_top: Annotated[str, about("Top of the subject's box in the answer.")]
    x_foreground_left: Annotated[str, about("Left of the subject's box in the answer.")]
    x_foreground_width: Annotated[str, about("Width of the subject's box in the answer.")]
    x_foreground_height: Annotated[str, about("Height of the subject's box in the answer.")]


class RemoveBgDialect(ImmediateDialect):
    """A picture that is not there in time is a 502; what a request does wrong is a 400, but for what theirs has a status of."""

    forms: tuple[str, ...] = ("image", "json")
    statuses = MappingProxyType(
        {
            ErrorCode.UNAUTHENTICATED: 403,
            ErrorCode.METHOD_NOT_ALLOWED: 400,
            ErrorCode.PAYLOAD_TOO_LARGE: 400,
            ErrorCode.UNSUPPORTED_MEDIA_TYPE: 400,
        }
    )
    takes_urlencoded = True
    has_vendor_limits = True

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        outcome = outcome_of(answer.job)
        artifact = outcome.artifacts[answer.operation.main_artifact(answer.job.params)]
        box_xywh = outcome.box_xywh or _NOWHERE
        job, picture = job_facts(answer, outcome.warnings), picture_facts(artifact, box_xywh)
        told = _Headers(**job, **picture, x_type=outcome.facts["type"] or UNSET)
        if answer.binary:
            return picture_response(artifact, told)
        left, top, width, height = box_xywh
        result = RemoveDotBgData(
            result_b64=base64.b64encode(result_store().get(artifact.key)).decode(),
            foreground_top=top,
            foreground_left=left,
            foreground_width=width,
            foreground_height=height,
        )
        return json_response(RemoveDotBgResult(data=result), headers=told)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        return json_response(RemoveDotBgResult(data=RemoveDotBgData(price=Price.of(price_credits), valid=True)))

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        errors = list({(each.code, each.detail): each for each in _errors(error)}.values())
        return json_response(RemoveDotBgErrors(errors=errors), status=self.status_of(error))

    described = Described(
        done="Done: the file itself, or JSON with answer=json or Accept: application/json.",
        success=RemoveDotBgResult,
        failure=RemoveDotBgErrors,
        headers=_Headers,
        media=("image/png", "image/jpeg", "image/webp", "application/zip"),
        words={
            400: "The method, the body, a field or a file is wrong; `errors` says which and what to do.",
            403: "No valid API key, or its scopes do not include this operation.",
        },
    )


REMOVEBG = RemoveBgDialect()


def _errors(error: AppError) -> Iterator[_Error]:
    if error.code is not ErrorCode.VALIDATION_ERROR or not error.details:
        yield _entry(_CODES.get(error.code, error.code.name.lower()), error.message)
        return
    for detail in error.details:
        yield _entry(
            _code_of(detail), detail.issue if detail.field in detail.issue else f"{detail.field}: {detail.issue}"
        )


def _entry(code: str, detail: str) -> _Error:
    title = _TITLES.get(code) or code.replace("_", " ").capitalize()
    return _Error(title=title, code=code, detail=detail)


def _code_of(detail: Detail) -> str:
    """remove.bg's code for a fault; a wrong value is `invalid_` and the field's name."""
    if detail.fault in _FAULT_CODES and detail.field != "body":
        return _FAULT_CODES[detail.fault]
    name = re.sub(r"[^a-z0-9]+", "_", detail.field.lower()).strip("_")
    return _FIELD_CODES.get(detail.field, f"invalid_{name}")
