"""The OpenAPI responses of the raw form."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.parts import FAILURE_TEXTS, QUOTE, failures, json_content, named

_IMAGES = ("image/png", "image/webp")
_HEADERS = {
    "X-Request-Id": "This request.",
    "X-Job-Id": "The job behind the answer.",
    "X-Credits-Charged": "Credits that it cost, where a key paid.",
    "X-Width": "Width of the image in pixels.",
    "X-Height": "Height of the image in pixels.",
    "X-Foreground-Top": "Top of the subject's box.",
    "X-Foreground-Left": "Left of the subject's box.",
    "X-Foreground-Width": "Width of the subject's box.",
    "X-Foreground-Height": "Height of the subject's box.",
    "X-Warnings": "Warning codes, comma separated.",
    "Server-Timing": "Milliseconds by stage.",
}
_ERROR = {
    "type": "object",
    "required": ["error", "requestId"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "retryable"],
            "properties": {
                "code": {"type": "string", "description": "More may come with time.", "examples": ["VALIDATION_ERROR"]},
                "message": {"type": "string", "description": "A sentence that a person can act on."},
                "retryable": {"type": "boolean", "description": "The same request may succeed later."},
            },
        },
        "requestId": {"type": "string", "format": "uuid"},
    },
}
_QUOTE = {
    "type": "object",
    "required": ["price", "valid", "requestId"],
    "properties": {**QUOTE, "requestId": {"type": "string", "format": "uuid"}},
}
_TEXTS = {
    **FAILURE_TEXTS,
    "400": "The image, its declared type or a header is wrong; the message says which and what to do.",
    "402": "Pay, or send a key with credits.",
    "409": "The first request with this payment or Idempotency-Key is still at work; Retry-After says when to ask again.",
    "410": "The result has been deleted; nothing is charged again.",
    "415": "The Content-Type is none of image/png, image/jpeg and image/webp.",
    "500": "The image could not be processed; nothing was charged.",
    "503": "Busy, not in time, or a backing service is away; Retry-After says when.",
}


def raw_failures(*statuses: str) -> dict[str, Any]:
    """Errors in this form for these statuses."""
    return {
        status: {**answer, "description": _TEXTS[status], "content": json_content(named("RawError", _ERROR))}
        for status, answer in failures(*statuses).items()
    }


def operation_responses() -> dict[str, Any]:
    """200, and every error."""
    images = {media: {"schema": {"type": "string", "format": "binary", "contentMediaType": media}} for media in _IMAGES}
    return {
        "200": {
            "description": "Done: the image itself; with dry_run=true the price.",
            "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()},
            "content": {**images, **json_content(named("RawQuote", _QUOTE))},
        },
        **raw_failures("400", "401", "402", "403", "405", "409", "410", "413", "415", "422", "429", "500", "503"),
    }
