"""remove.bg's form: the image, or `{"data": {"result_b64", ...}}`; errors as `{"errors": [{"title", "code", "detail"}]}`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core.dialects.base import Answer
from apps.core.dialects.envelope import usd
from apps.core.errors import AppError, Detail, ErrorCode, Fault
from apps.core.operations import Operation
from apps.core.outcome import Artifact, Box, Outcome
from apps.core.results import outcome_of
from apps.core.storage import result_store

_SIDES = {"Top": 1, "Left": 0, "Width": 2, "Height": 3}
_NO_STORE = {"Cache-Control": "private, no-store"}
_STATUSES = {ErrorCode.UNAUTHENTICATED: 403}
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
_NOWHERE: Box = (0, 0, 0, 0)


class RemoveBgDialect:
    """It knows no 202: who can't be answered in time gets a 502 and pays nothing."""

    forms: tuple[str, ...] = ("image", "json")
    takes_urlencoded = True
    has_vendor_limits = True
    can_defer = False
    offers_retention = False

    def success(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        outcome = outcome_of(answer.job)
        artifact = outcome.artifacts[answer.operation.main_artifact(answer.job.params)]
        data = result_store().get(artifact.key)
        box = outcome.box_xywh or _NOWHERE
        if answer.binary:
            response = HttpResponse(data, content_type=artifact.content_type)
        else:
            sides = {f"foreground_{side.lower()}": box[place] for side, place in _SIDES.items()}
            response = JsonResponse({"data": {"result_b64": base64.b64encode(data).decode(), **sides}})
        for name, value in _headers(answer, outcome, artifact, box).items():
            response.headers[name] = value
        return response

    def accepted(self, answer: Answer, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        raise AppError(ErrorCode.PROCESSING_TIMEOUT)

    def quote(self, price_credits: int, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        price = {"credits": price_credits, "usd": usd(price_credits)}
        return JsonResponse({"data": {"price": price, "valid": True}}, headers=_NO_STORE)

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the Protocol's signature
        errors = list({(each["code"], each["detail"]): each for each in _errors(error)}.values())
        return JsonResponse({"errors": errors}, status=_STATUSES.get(error.code, error.code.status), headers=_NO_STORE)

    def responses(self, operation: Operation) -> dict[str, Any]:  # noqa: ARG002 - one form for all
        from apps.core.openapi.removebg import operation_responses  # only /openapi.json needs it

        return operation_responses()


REMOVEBG = RemoveBgDialect()


def _headers(answer: Answer, outcome: Outcome, artifact: Artifact, box: Box) -> dict[str, str]:
    return {
        **_NO_STORE,
        "X-Job-Id": str(answer.job.id),
        "X-Credits-Charged": str(answer.job.charged_credits),
        "X-Width": str(artifact.width),
        "X-Height": str(artifact.height),
        **({"X-Type": outcome.facts["type"]} if outcome.facts["type"] else {}),
        **{f"X-Foreground-{side}": str(box[place]) for side, place in _SIDES.items()},
        **({"X-Warnings": ",".join(outcome.warnings)} if outcome.warnings else {}),
    }


def _errors(error: AppError) -> Iterator[dict[str, str]]:
    if error.code is not ErrorCode.VALIDATION_ERROR or not error.details:
        yield _entry(_CODES.get(error.code, error.code.name.lower()), error.message)
        return
    for detail in error.details:
        yield _entry(
            _code_of(detail), detail.issue if detail.field in detail.issue else f"{detail.field}: {detail.issue}"
        )


def _entry(code: str, detail: str) -> dict[str, str]:
    title = _TITLES.get(code) or code.replace("_", " ").capitalize()
    return {"title": title, "code": code, "detail": detail}


def _code_of(detail: Detail) -> str:
    """remove.bg's code for a fault; a wrong value is `invalid_` and the field's name."""
    if detail.fault in _FAULT_CODES and detail.field != "body":
        return _FAULT_CODES[detail.fault]
    name = re.sub(r"[^a-z0-9]+", "_", detail.field.lower()).strip("_")
    return _FIELD_CODES.get(detail.field, f"invalid_{name}")
