"""The OpenAPI responses in remove.bg's form."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.parts import FAILURE_TEXTS, QUOTE, failures, json_content, named

_FILES = ("image/png", "image/jpeg", "image/webp", "application/zip")
_COUNT = {"type": "integer", "minimum": 0}
_SIDES = ("top", "left", "width", "height")
_HEADERS = {
    "X-Request-Id": "This request.",
    "X-Job-Id": "The job behind the answer.",
    "X-Type": "What the subject is, as told by type and type_level; absent with type_level=none.",
    "X-Width": "Width of the answer in pixels.",
    "X-Height": "Height of the answer in pixels.",
    "X-Credits-Charged": "Credits that it cost.",
    **{f"X-Foreground-{side.title()}": f"{side.title()} of the subject's box in the answer." for side in _SIDES},
    "X-Warnings": "Warning codes, comma separated.",
}
_LIMITS = {
    "X-RateLimit-Limit": "The plan's requests in a minute.",
    "X-RateLimit-Remaining": "What is left of them.",
    "X-RateLimit-Reset": "When the minute ends, in seconds since 1970.",
}
_TEXTS = {**FAILURE_TEXTS, "403": "No valid API key, or its scopes do not include this operation."}
_ERRORS = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["title", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("title", "code", "detail")},
            },
        }
    },
}


def removebg_failures(*statuses: str) -> dict[str, Any]:
    """Errors in this form for these statuses."""
    return {
        status: {
            "description": _TEXTS[status],
            "headers": {**answer["headers"], **_told(_LIMITS)},
            "content": json_content(named("RemoveDotBgErrors", _ERRORS)),
        }
        for status, answer in failures(*statuses).items()
    }


def _told(headers: dict[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}


def operation_responses() -> dict[str, Any]:
    """200 in its three forms, and every error."""
    sides = {f"foreground_{side}": _COUNT for side in _SIDES}
    result = {"result_b64": {"type": "string", "contentEncoding": "base64"}, **sides}
    answer = {
        "type": "object",
        "description": "The result; with dry_run=true price and valid instead.",
        "properties": {**result, **QUOTE},
    }
    body = {"type": "object", "required": ["data"], "properties": {"data": named("RemoveDotBgData", answer)}}
    files = {media: {"schema": {"type": "string", "format": "binary", "contentMediaType": media}} for media in _FILES}
    return {
        "200": {
            "description": "Done: the file itself, or JSON with answer=json or Accept: application/json.",
            "headers": _told(_HEADERS | _LIMITS),
            "content": {**json_content(named("RemoveDotBgResult", body)), **files},
        },
        **removebg_failures("400", "402", "403", "405", "409", "410", "413", "415", "422", "429", "500", "502", "503"),
    }
