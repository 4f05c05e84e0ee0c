"""The OpenAPI responses in AILabTools' form."""

from __future__ import annotations

from typing import Any

from apps.core.dialects.elements import TABLE
from apps.core.openapi.parts import FAILURE_TEXTS, QUOTE, failures, json_content, named, ref

_TEXTS = {
    **FAILURE_TEXTS,
    "400": "MISSING_PARAMETERS, ERROR_INVALID_PARAMETER or UNSUPPORTED_PARAMETER_VALUES.",
    "401": "ERROR_USER_NOT_EXISTS: no valid API key.",
    "403": "ERROR_USER_LOCKED: the key's scopes do not include this operation.",
    "413": "FILE_SIZE_EXCEEDS_LIMIT or FILE_RESOLUTION_EXCEEDS_LIMITS.",
    "415": "UNSUPPORTED_FILE_TYPES: the file's type, or a body that is no form.",
    "422": "FILE_DECODING_FAILURE, ERROR_INVALID_FILE, ERROR_LOW_RESOLUTION or ERROR_NO_RECOGNITION_TARGET_DETECTED; "
    "ERROR_INVALID_PARAMETER where this Idempotency-Key was used for another request.",
    "429": "ERROR_NOT_ENOUGH_CREDITS or EXCEEDING_LIMITS; Retry-After says when.",
    "500": "PROCESSING_FAILURE or SERVICE_INTERNAL_ERROR; nothing was charged.",
    "502": "ERROR_FILE_DOWNLOAD_FAILED; nothing was charged.",
    "503": "ERROR_INSUFFICIENT_RESOURCES; Retry-After says when.",
    "504": "AI_SERVICE_TIMEOUT; nothing was charged.",
}
_HEADERS = {
    "X-Request-Id": "This request.",
    "X-Job-Id": "The job behind the answer.",
    "X-Credits-Charged": "Credits that it cost.",
    "X-Warnings": "Warning codes, comma separated.",
}
_TEXT = {"type": "string"}
_DETAIL = {
    "type": "object",
    "required": ["status_code", "code", "code_message", "message"],
    "properties": {
        "status_code": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "Empty on success.", "examples": list(TABLE)},
        "code_message": {"type": "string", "description": "What the code means."},
        "message": {"type": "string", "description": "Which field, why, and what to do."},
    },
}
_ELEMENT = {
    "type": "object",
    "description": "The first one has image_url, the second one class_url.",
    "properties": {
        "image_url": {"type": "string", "format": "uri", "description": "All requested garments together; lives 24 h."},
        "class_url": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "A link for each class that was asked for; empty where the photo shows none.",
        },
    },
}
_ID = "e7f8a9b0-c1d2-3456-e012-789012345678"
_URL = "https://store.example/results/5d3c/1/{}.png?X-Amz-Expires=86400&X-Amz-Signature=9f0c"
_EXAMPLE = {
    "request_id": _ID,
    "log_id": _ID,
    "error_code": 0,
    "error_msg": "",
    "error_detail": {"status_code": 200, "code": "", "code_message": "", "message": ""},
    "data": {
        "elements": [
            {"image_url": _URL.format("image")},
            {"class_url": {"tops": _URL.format("tops"), "coat": ""}},
        ]
    },
}
_FAILED_EXAMPLE = {
    "request_id": _ID,
    "log_id": _ID,
    "error_code": 422,
    "error_msg": "The image is 40 x 60 px; the least is 51 x 51 px. Send a larger one.",
    "error_detail": {
        "status_code": 422,
        "code": "ERROR_LOW_RESOLUTION",
        "code_message": TABLE["ERROR_LOW_RESOLUTION"],
        "message": "The image is 40 x 60 px; the least is 51 x 51 px. Send a larger one.",
    },
}


def elements_failures(*statuses: str) -> dict[str, Any]:
    """Errors in this form for these statuses."""
    failed = json_content(named("ElementsFailure", _answer({})))
    answers = {
        status: {**answer, "description": _TEXTS[status], "content": failed}
        for status, answer in failures(*statuses).items()
    }
    if "422" in answers:
        answers["422"]["content"] = {"application/json": {**failed["application/json"], "example": _FAILED_EXAMPLE}}
    return answers


def operation_responses() -> dict[str, Any]:
    """200, and every error."""
    data = {
        "type": "object",
        "description": "The result; with dry_run=true price and valid instead.",
        "properties": {"elements": {"type": "array", "items": named("ElementsItem", _ELEMENT)}, **QUOTE},
    }
    answer = named("ElementsResult", _answer({"data": named("ElementsData", data)}))
    return {
        "200": {
            "description": "Done.",
            "headers": {name: {"description": text, "schema": _TEXT} for name, text in _HEADERS.items()},
            "content": {"application/json": {"schema": answer, "example": _EXAMPLE}},
        },
        **elements_failures(
            "400", "401", "403", "405", "409", "410", "413", "415", "422", "429", "500", "502", "503", "504"
        ),
    }


def _answer(more: dict[str, Any]) -> dict[str, Any]:
    named("ElementsDetail", _DETAIL)
    properties = {
        "request_id": {"type": "string", "format": "uuid"},
        "log_id": _TEXT,
        "error_code": {"type": "integer", "description": "0, or the HTTP status."},
        "error_msg": _TEXT,
        "error_detail": ref("ElementsDetail"),
        **more,
    }
    return {"type": "object", "required": list(properties), "properties": properties}
