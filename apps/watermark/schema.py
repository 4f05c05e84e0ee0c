"""The OpenAPI paths of templates, and of a task's result."""

from __future__ import annotations

from typing import Any

from apps.core.openapi.code_message import result_responses
from apps.core.openapi.parts import SECURITY, failures, named
from apps.core.openapi.parts import success as succeeded
from apps.watermark.template_files import FEWEST_PHOTOS, MOST_BYTES, MOST_PHOTOS
from apps.watermark.templates import MOST_TEMPLATES

_COUNT = {"type": "integer", "minimum": 1}
_ID = {"type": "string", "format": "uuid"}
_MEGABYTES = MOST_BYTES // 1_048_576
_MEMBERS = {
    "id": {**_ID, "description": "What template= takes."},
    "name": {"type": "string"},
    "kind": {"type": "string", "enum": ["png", "photos"]},
    "files": _COUNT,
    "width": _COUNT,
    "height": _COUNT,
    "bytes": _COUNT,
    "createdAt": {"type": "string", "format": "date-time"},
}
_TEMPLATE = named("WatermarkTemplate", {"type": "object", "required": list(_MEMBERS), "properties": _MEMBERS})
_LIST = named(
    "WatermarkTemplates",
    {
        "type": "object",
        "required": ["templates"],
        "properties": {"templates": {"type": "array", "items": _TEMPLATE, "description": "The newest first."}},
    },
)
_FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 100, "description": "For you; it need not be unique."},
        "image": {
            "type": "string",
            "format": "binary",
            "contentMediaType": "image/png",
            "description": f"The mark alone: a PNG with alpha, at most {_MEGABYTES} MB.",
        },
        "images": {
            "type": "array",
            "items": {"type": "string", "format": "binary", "contentMediaType": "image/*"},
            "minItems": FEWEST_PHOTOS,
            "maxItems": MOST_PHOTOS,
            "description": f"Or {FEWEST_PHOTOS} to {MOST_PHOTOS} photos of one size that carry it at the same place: JPEG, PNG, "
            f"BMP or WEBP, at most {_MEGABYTES} MB in all.",
        },
    },
}
_TEMPLATE_ID = [{"name": "template_id", "in": "path", "required": True, "schema": _ID}]
_SHARED = {"tags": ["watermark-removal"], "security": SECURITY}
_FAILED = ("400", "401", "403", "405", "429", "500", "503")
_ONE = failures(*_FAILED, "404")

WATERMARK_PATHS: dict[str, Any] = {
    "/v1/watermark-templates": {
        "get": {
            **_SHARED,
            "operationId": "list_watermark_templates",
            "summary": "Your own marks",
            "responses": {"200": succeeded("The templates", "WatermarkTemplates", _LIST), **failures(*_FAILED)},
        },
        "post": {
            **_SHARED,
            "operationId": "create_watermark_template",
            "summary": "Give your own mark once, so that it is removed precisely; free of charge, kept until you delete it",
            "description": f"At most {MOST_TEMPLATES} an account. The mark is learned at its first use: what no mark can be "
            "learned from is refused then, on template. With dry_run=true the files are only checked.",
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}},
            "responses": {
                "201": succeeded("The template", "WatermarkTemplate", _TEMPLATE),
                **failures(*_FAILED, "409", "413", "415", "422"),
            },
        },
    },
    "/v1/watermark-templates/{template_id}": {
        "get": {
            **_SHARED,
            "parameters": _TEMPLATE_ID,
            "operationId": "get_watermark_template",
            "summary": "One of your own marks",
            "responses": {"200": succeeded("The template", "WatermarkTemplate", _TEMPLATE), **_ONE},
        },
        "delete": {
            **_SHARED,
            "parameters": _TEMPLATE_ID,
            "operationId": "delete_watermark_template",
            "summary": "Delete a mark and its files",
            "responses": {"204": {"description": "Gone"}, **_ONE},
        },
    },
    "/api/ext/v1/get_task_result": {
        "post": {
            "tags": ["compatible"],
            "security": SECURITY,
            "operationId": "api_ext_get_task_result",
            "summary": "How far a watermark removal task is, and its image",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": named(
                            "TaskQuery",
                            {"type": "object", "required": ["task_id"], "properties": {"task_id": {"type": "string"}}},
                        ),
                        "example": {"task_id": "0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11"},
                    }
                },
            },
            "responses": result_responses(),
        }
    },
}
