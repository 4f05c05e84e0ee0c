"""What the OpenAPI document says of a batch's body, and the batch that it shows."""

from __future__ import annotations

from typing import Any

from apps.batches.answers import BatchAnswer, BatchCounts, BatchItem, BatchStatus
from apps.core.answers import Image, JobStatus
from apps.core.openapi.schemas import named

ABOUT = (
    "Exactly one of images, image_urls and archive. What is wrong with the batch itself refuses it whole, and nothing is held; "
    "what is wrong with one image fails that one alone, free. The sum is held at once and settled image by image. Poll the "
    "batch, or fetch its archive when it is finished. dry_run=true tells the price of all."
)
_PARAMS = {
    "type": "object",
    "additionalProperties": True,
    "description": "The operation's own fields, the same for all images; retention, too.",
    "examples": [{"output_format": "white_bg"}],
}
_OPERATION = {"type": "string", "enum": ["remove-bg", "clothing-segmentation", "watermark-removal"]}
_ADDRESS = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "format": "uri", "description": "http or https, no redirects."},
        "name": {"type": "string", "description": "Instead of the address's last part."},
        "upload_url": {
            "type": "string",
            "format": "uri",
            "description": "The result is also sent there by PUT (a presigned address of your own bucket).",
        },
    },
    "required": ["url"],
}
_URLS = {
    "type": "array",
    "maxItems": 100,
    "minItems": 1,
    "items": _ADDRESS,
    "description": "Addresses, fetched when their turn comes; one without a name may be its text alone.",
}
_FILE = {"type": "string", "format": "binary"}
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "operation": _OPERATION,
        "params": {"type": "string", "contentMediaType": "application/json", "description": _PARAMS["description"]},
        "images": {"type": "array", "items": _FILE, "maxItems": 100, "description": "Repeat the field for each file."},
        "image_urls": {"type": "string", "contentMediaType": "application/json", "description": "A JSON list."},
        "archive": {**_FILE, "description": "A ZIP of images; folders are kept in the names."},
    },
    "required": ["operation"],
}
BODY = {"multipart/form-data": {"schema": FORM}}
JSON_BODY = {
    "schema": named(
        "BatchJson",
        {
            "type": "object",
            "properties": {"operation": _OPERATION, "params": _PARAMS, "image_urls": _URLS},
            "required": ["operation", "image_urls"],
        },
    )
}

EXAMPLE = BatchAnswer(
    batch_id="3f0e8c8e-6f3a-4b7e-9a53-0c6a4f6d2b11",
    operation="remove-bg",
    status=BatchStatus.RUNNING,
    counts=BatchCounts(total=2, queued=0, running=1, succeeded=1, failed=0, cancelled=0),
    credits_held=1,
    credits_charged=1,
    created_at="2026-02-17T17:40:22.456Z",
    finished_at=None,
    expires_at=None,
    items=[
        BatchItem(
            index=0,
            name="shoes/red.jpg",
            job_id="e7f8a9b0-c1d2-4456-a012-789012345678",
            status=JobStatus.SUCCEEDED,
            credits_charged=1,
            warnings=[],
            error=None,
            image=Image.example("image", width=1200, height=800, size_bytes=912_345),
        ),
        BatchItem(
            index=1,
            name="shoes/blue.jpg",
            job_id="0d9c1c1e-1f0e-4a51-8f0e-3a7c5e6b7d22",
            status=JobStatus.RUNNING,
            credits_charged=0,
            warnings=[],
            error=None,
            image=None,
        ),
    ],
)
