"""The OpenAPI responses in the form of watermark tasks."""

from __future__ import annotations

from typing import Any

from apps.core.dialects.code_message import TABLE
from apps.core.openapi.parts import FAILURE_TEXTS, QUOTE, failures, json_content, named

_TEXTS = {
    **FAILURE_TEXTS,
    "400": "1000: a parameter, an image or the body is wrong; the message says which and what to do.",
    "401": "1002: no valid token.",
    "402": "1003: too few credits; nothing was charged.",
    "403": "1000: the key's scopes do not include this operation.",
    "405": "1001: the address takes POST alone.",
    "409": "1000: the first request with this Idempotency-Key is still at work; Retry-After says when to ask again.",
    "410": "1000: the task of this Idempotency-Key has been deleted; nothing is charged again.",
    "413": "1000: the body is over this address's cap.",
    "422": "1000: this Idempotency-Key was used for another request.",
    "429": "1000: too many requests; Retry-After says when.",
    "500": "1100: unexpected; the request id helps us to find it.",
    "502": "1102: an image could not be downloaded.",
    "503": "1101: the queue is full, or a backing service is away; Retry-After says when.",
}
_CODE = {
    "type": "integer",
    "description": " ".join(f"{code}: {text}" for code, text in TABLE.items()),
    "examples": [1000],
}
_TASK = {
    "type": "object",
    "description": "The task; with dry_run=true price and valid instead.",
    "properties": {
        "task_id": {"type": "string", "description": "Ask for it with get_task_result."},
        **QUOTE,
    },
}
_RESULT = {
    "type": "object",
    "required": ["status", "images", "err_msg"],
    "properties": {
        "status": {
            "type": "string",
            "enum": ["processing", "success", "failed", "timeout"],
            "description": "Ask again while it is processing. failed and timeout were not charged, but where err_msg says that "
            "the result was kept for its time and has been deleted.",
        },
        "images": {
            "type": "array",
            "description": "With success the restored photo; else empty.",
            "items": {
                "type": "object",
                "required": ["url"],
                "properties": {"url": {"type": "string", "format": "uri", "description": "Presigned; lives 24 h."}},
            },
        },
        "err_msg": {"type": "string", "description": "Empty, or why there is no image."},
    },
}
_ID = "0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11"
_URL = "https://store.example/results/5d3c/1/image.png?X-Amz-Expires=86400&X-Amz-Signature=9f0c"


def task_failures(*statuses: str) -> dict[str, Any]:
    """Errors in this form for these statuses."""
    failed = {
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {
            "code": _CODE,
            "message": {"type": "string"},
            "data": {"type": ["object", "null"], "description": "Always null."},
        },
    }
    content = json_content(named("TaskFailure", failed))
    return {
        status: {**answer, "description": _TEXTS[status], "content": content}
        for status, answer in failures(*statuses).items()
    }


def operation_responses() -> dict[str, Any]:
    """200 of a submit, and every error."""
    return {
        "200": _success("The task's id, once the images have been checked.", "Task", _TASK, {"task_id": _ID}),
        **task_failures("400", "401", "402", "403", "405", "409", "410", "413", "422", "429", "500", "502", "503"),
    }


def result_responses() -> dict[str, Any]:
    """200 of a poll, and every error."""
    example = {"status": "success", "images": [{"url": _URL}], "err_msg": ""}
    return {
        "200": _success("The task as it stands; costs nothing.", "TaskResult", _RESULT, example),
        **task_failures("400", "401", "405", "413", "429", "500", "503"),
    }


def _success(description: str, name: str, data: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {
            "code": {"type": "integer", "description": "0."},
            "message": {"type": "string", "examples": ["success"]},
            "data": named(f"{name}Data", data),
        },
    }
    content = {
        "schema": named(f"{name}Answer", answer),
        "example": {"code": 0, "message": "success", "data": example},
    }
    return {
        "description": description,
        "headers": {"X-Request-Id": {"description": "This request.", "schema": {"type": "string"}}},
        "content": {"application/json": content},
    }
