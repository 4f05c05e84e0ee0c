"""The OpenAPI responses of an operation in the envelope."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.parts import COMPONENTS, QUOTE, enveloped, failures, json_content, named
from apps.core.operations import Operation

_IMAGES = ("image/png", "image/webp", "image/jpeg")
_BINARY_HEADERS = {
    "X-Request-Id": "This request.",
    "X-Job-Id": "The job behind the answer.",
    "X-Credits-Charged": "Credits that it cost.",
    "X-Width": "Width of the image in pixels.",
    "X-Height": "Height of the image in pixels.",
    "X-Foreground-Top": "Top of the subject's box.",
    "X-Foreground-Left": "Left of the subject's box.",
    "X-Foreground-Width": "Width of the subject's box.",
    "X-Foreground-Height": "Height of the subject's box.",
    "X-Warnings": "Warning codes, comma separated.",
    "Server-Timing": "Milliseconds by stage.",
}


def operation_responses(operation: Operation) -> dict[str, Any]:
    """200 in both forms, 202, and every error that the address can give."""
    name = "".join(word.title() for word in operation.slug.split("-"))
    answer = enveloped(name, named(f"{name}Data", _data(operation)))
    binary = {media: {"schema": {"type": "string", "format": "binary", "contentMediaType": media}} for media in _IMAGES}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in _BINARY_HEADERS.items()}
    default = "the image itself" if operation.binary_default else "the envelope"
    return {
        "200": {
            "description": "Done. The field answer chooses the form, else Accept (application/json or image/*); "
            f"without both {default}.",
            "headers": headers,
            "content": {
                "application/json": {"schema": answer, **_example(operation)},
                **binary,
            },
        },
        "202": {
            "description": "Accepted; ask the job at Location.",
            "headers": {
                "Location": {"schema": {"type": "string"}},
                "Retry-After": {"schema": {"type": "string"}},
            },
            "content": json_content(answer),
            "links": {
                name: {"operationId": name, "parameters": {"job_id": "$response.body#/data/jobId"}}
                for name in ("get_job", "delete_job")
            },
        },
        **failures("400", "401", "402", "403", "405", "409", "410", "413", "415", "422", "429", "500", "502", "503"),
    }


def _data(operation: Operation) -> dict[str, Any]:
    """
    One flat object: of a choice between result, job and quote, generated clients make a wrapper that nobody wants to
    unpack, and of two schemas they read only the first one's status.
    """
    return {
        "type": "object",
        "description": "jobId and status, always; of a 200 the result, of a 202 the job as GET /v1/jobs/{job_id} shows it. "
        "With dry_run=true price and valid instead.",
        "properties": {
            **COMPONENTS["schemas"]["Job"]["properties"],
            **operation.result_schema["properties"],
            **QUOTE,
        },
    }


def _example(operation: Operation) -> dict[str, Any]:
    """The operation's result as the synchronous answer has it."""
    if operation.result_example is None:
        return {}
    meta = {
        "requestId": "e7f8a9b0-c1d2-3456-e012-789012345678",
        "createdAt": "2026-02-17T17:40:22.456Z",
        "processingMs": 640,
        "creditsCharged": operation.price_credits,
    }
    data = {"jobId": "0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11", "status": "succeeded", **operation.result_example}
    return {"example": {"meta": meta, "data": data, "warnings": [], "error": None}}
