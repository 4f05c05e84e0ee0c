"""The parts of the OpenAPI document that no serializer knows: shared components, image sources, system addresses."""

from __future__ import annotations

from typing import Any

from apps.core.errors import ErrorCode
from apps.core.models import State
from apps.core.operations import ImageInput
from apps.core.outcome import WarningCode
from apps.core.owner import Mode

SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]
# A 64 x 64 PNG, a red square on grey, large enough for every operation: what the document shows, and what its tests send.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAWUlEQVR42u3PQQ0AIAwAsSnhjX8VKEHHRJCRLenlDDTu8AIAAAAAAAAA4CPg"
    "rF06AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAnQLcAAAAAAJ5K794b/9AxfCcAAAAASUVORK5CYII="
)
_ID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> dict[str, Any]:
    """A schema of the document by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def named(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """
    Give a schema a name, which becomes the name of a class or type in generated clients.

    Raises:
        ValueError: another schema has that name.
    """
    if COMPONENTS["schemas"].setdefault(name, schema) != schema:
        raise ValueError(f"two schemas are called {name}")
    return ref(name)


def enveloped(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """
    The envelope of a success, called `{name}Envelope`.

    `error` is null then, but described as in any other envelope: generators stumble over a member that can only be null.
    """
    return named(f"{name}Envelope", _envelope(data))


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["meta", "data", "warnings", "error"],
        "additionalProperties": False,
        "properties": {
            "meta": ref("Meta"),
            "data": data,
            "warnings": {"type": "array", "items": ref("ApiWarning")},
            "error": nullable(ref("ApiError")),
        },
    }


def json_content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def image_sources(image: ImageInput, *, files: bool) -> dict[str, Any]:
    """The fields that carry an image, without the file where the body is text; one of them is to be sent."""
    limits, fields = image.limits, image.fields
    formats = ", ".join(sorted(item.value for item in limits.formats)).upper()
    about = (
        f"{formats}; at most {limits.max_bytes // 1_048_576} MB, {limits.max_width_px} x {limits.max_height_px} px "
        f"and {limits.max_pixels // 1_000_000} MP"
        + (f"; at least {limits.min_width_px} x {limits.min_height_px} px." if limits.min_width_px > 1 else ".")
    )
    described: dict[str, Any] = {}
    if files and fields.takes_file:
        described[fields.file] = {
            "type": "string",
            "format": "binary",
            "contentMediaType": "image/*",
            "description": about,
        }
    if fields.url:
        about_url = "http or https, no redirects. " + about
        described[fields.url] = {"type": "string", "format": "uri", "description": about_url}
    if fields.base64:
        about_text = "With or without data: prefix."
        described[fields.base64] = {"type": "string", "contentEncoding": "base64", "description": about_text}
    return described


COMPONENTS: dict[str, Any] = {
    "securitySchemes": {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    },
    "parameters": {
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "description": "respond-async answers 202 with a job at once; wait=N waits up to N seconds first (RFC 7240).",
            "schema": {"type": "string", "examples": ["respond-async", "wait=10"]},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key with the same request within 24 h gives the first answer again and never a second "
            "charge. Keys are one account's, and live and sandbox never share one. A request that was refused for want of "
            "credits (402), that came too often (429) or that failed on our side (5xx) leaves its key free.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        },
        "DryRun": {
            "name": "dry_run",
            "in": "query",
            "description": "true: check the request and tell its price; nothing runs and nothing is charged. "
            "Taken as a field of the body too; anything but true and false is refused.",
            "schema": {"type": "boolean", "default": False},
        },
        "JobId": {"name": "job_id", "in": "path", "required": True, "schema": _ID},
    },
    "schemas": {
        "Meta": {
            "type": "object",
            "required": ["requestId", "createdAt", "processingMs"],
            "properties": {
                "requestId": _ID,
                "createdAt": _TIME,
                "processingMs": {"type": "integer", "minimum": 0},
                "creditsCharged": {"type": "integer", "minimum": 0},
                "model": {"type": "string"},
                "device": {"type": "string"},
                "stagesMs": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        },
        "ApiWarning": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {  # no enum: a generated client would refuse the answer with the next code
                    "type": "string",
                    "description": "More may come with time.",
                    "examples": [code.value for code in WarningCode],
                },
                "message": {"type": "string"},
            },
        },
        "ErrorCode": {"type": "string", "enum": [code.name for code in ErrorCode]},
        "ErrorDetail": {
            "type": "object",
            "required": ["field", "issue"],
            "properties": {"field": {"type": "string"}, "issue": {"type": "string"}},
        },
        "ApiError": {
            "type": "object",
            "required": ["code", "message", "details", "retryable"],
            "properties": {
                "code": ref("ErrorCode"),
                "message": {"type": "string", "description": "A sentence that a person can act on."},
                "details": {"type": "array", "items": ref("ErrorDetail")},
                "retryable": {"type": "boolean", "description": "The same request may succeed later."},
            },
        },
        "ErrorEnvelope": {
            "type": "object",
            "required": ["meta", "data", "warnings", "error"],
            "additionalProperties": False,
            "properties": {
                "meta": ref("Meta"),
                "data": {"type": ["object", "null"], "description": "Always null."},
                "warnings": {"type": "array", "items": ref("ApiWarning")},
                "error": ref("ApiError"),
            },
        },
        "Image": {
            "type": "object",
            "required": ["url", "contentType", "width", "height", "bytes", "sha256", "expiresAt"],
            "properties": {
                "url": {"type": "string", "format": "uri", "description": "Presigned; dies at expiresAt."},
                "contentType": {"type": "string", "examples": ["image/png", "image/webp", "image/jpeg"]},
                "width": {"type": "integer"},
                "height": {"type": "integer"},
                "bytes": {"type": "integer"},
                "sha256": {"type": "string"},
                "expiresAt": nullable(_TIME),
            },
        },
        "Price": {
            "type": "object",
            "required": ["credits", "usd"],
            "properties": {"credits": {"type": "integer", "minimum": 0}, "usd": {"type": "string"}},
        },
        "Subject": {
            "type": "object",
            "required": ["bbox", "areaRatio", "confidence"],
            "properties": {
                "bbox": nullable({"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}),
                "areaRatio": {"type": "number", "minimum": 0, "maximum": 1},
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "JobStatus": {"type": "string", "enum": [state.value for state in State if state != State.SETTLING]},
        "Job": {
            "type": "object",
            "required": [
                "jobId", "operation", "mode", "key", "status", "stage", "progress", "createdAt", "finishedAt", "expiresAt",
                "creditsCharged", "error", "result",
            ],
            "properties": {
                "jobId": _ID,
                "operation": {"type": "string"},
                "mode": {
                    "type": "string",
                    "enum": [mode.value for mode in Mode],
                    "description": "Of the key that sent it: keys of the other mode never see the job.",
                },
                "key": nullable({"type": "string", "description": "First characters of the key that sent it."}),
                "status": ref("JobStatus"),
                "stage": {"type": "string"},
                "progress": {"type": "number", "minimum": 0, "maximum": 1},
                "createdAt": _TIME,
                "finishedAt": nullable(_TIME),
                "expiresAt": nullable(_TIME),
                "creditsCharged": {"type": "integer", "minimum": 0},
                "error": nullable(ref("ApiError")),
                "result": nullable(
                    {
                        "type": "object",
                        "additionalProperties": True,
                        "description": "What the synchronous answer has in data, without jobId and status.",
                    }
                ),
            },
        },
    },
}  # fmt: skip

# A dry run answers 200 as well: these members stand beside the result's, and one half of them is there.
QUOTE = {"price": ref("Price"), "valid": {"type": "boolean", "description": "dry_run: the request is right."}}

FAILURE_TEXTS = {
    "400": "A field, the file, the body or the credentials are wrong; `details` says which and what to do.",
    "401": "No valid credential.",
    "402": "Too few credits.",
    "403": "The key's scopes do not include this operation.",
    "404": "Nothing there.",
    "405": "Wrong method.",
    "409": "The first request with this Idempotency-Key is still at work; Retry-After says when to ask again.",
    "410": "The result of this Idempotency-Key has been deleted; nothing is charged again.",
    "422": "This Idempotency-Key was used for another request.",
    "413": "The body is over this address's cap.",
    "415": "Neither multipart/form-data nor application/json.",
    "429": "Too many requests; Retry-After says when.",
    "500": "Unexpected; the request id helps us to find it.",
    "502": "The image could not be processed, or not in time; nothing was charged.",
    "503": "Busy, or a backing service is away; Retry-After says when.",
    "504": "The image was not ready in time; nothing was charged.",
}


_EVERY_HEADERS = {"X-Request-Id": {"description": "Name it when you ask us for help.", "schema": {"type": "string"}}}
_LIMIT_HEADERS = {
    "RateLimit-Policy": {"description": "The plan's requests in a window.", "schema": {"type": "string"}},
    "RateLimit": {"description": "What is left of them.", "schema": {"type": "string"}},
}
_LATER = {"Retry-After": {"description": "Seconds until it may succeed.", "schema": {"type": "string"}}}


def failures(*statuses: str) -> dict[str, Any]:
    """Error envelopes for these statuses."""
    return {
        status: {
            "description": FAILURE_TEXTS[status],
            "headers": {**_EVERY_HEADERS, **_LIMIT_HEADERS, **(_LATER if status in {"409", "429", "503"} else {})},
            "content": json_content(ref("ErrorEnvelope")),
        }
        for status in statuses
    }


def success(description: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    """A 200 whose body is the `{name}Envelope` with this `data`."""
    return {
        "description": description,
        "headers": {**_EVERY_HEADERS, **_LIMIT_HEADERS},
        "content": json_content(enveloped(name, data)),
    }
