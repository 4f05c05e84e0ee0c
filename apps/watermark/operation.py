"""Watermark removal as an Operation, in our form and in the one of tasks; both are one product with one price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apps.core.errors import invalid
from apps.core.openapi.parts import named, ref
from apps.core.operations import MEGABYTE, ImageInput, Operation, Pace, SourceFields, Tariff
from apps.core.pictures.inspection import ImageFormat, ImageHeader, ImageLimits
from apps.watermark.serializers import SMEAR_FIELDS, TaskSerializer, WatermarkSerializer
from apps.watermark.templates import refuse_foreign_template

LIMITS = ImageLimits(
    formats=frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.BMP, ImageFormat.WEBP}),
    max_bytes=25 * MEGABYTE,
    max_width_px=10_000,
    max_height_px=10_000,
    max_pixels=50_000_000,
)
BODY_CAP_BYTES = 70 * MEGABYTE

_REGION = {
    "type": "object",
    "required": ["bbox", "score", "kind"],
    "properties": {
        "bbox": {
            "type": "array",
            "items": {"type": "integer"},
            "minItems": 4,
            "maxItems": 4,
            "description": "Left, top, width, height in pixels of the upright photo.",
        },
        "score": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "How sure it is that this is a watermark.",
        },
        "kind": {"type": "string", "description": "More may come with time.", "examples": ["text", "logo", "tiled"]},
    },
}
_RESULT = {
    "type": "object",
    "required": ["image", "mask", "regions", "detected"],
    "properties": {
        "image": ref("Image"),
        "mask": ref("Image"),
        "regions": {
            "type": "array",
            "items": named("WatermarkRegion", _REGION),
            "description": "The watermarks, the surest first; image and mask are 8-bit files of the upright photo's size, and "
            "in the mask 255 is what was changed (detect_only: would be), its soft edge of at most 8 px included.",
        },
        "detected": {"type": "boolean", "description": "Whether there is any watermark."},
    },
}
_EXAMPLE = {
    name: {
        "url": f"https://store.example/results/5d3c/1/{name}.png?X-Amz-Expires=86400&X-Amz-Signature=9f0c",
        "contentType": "image/png",
        "width": 1200,
        "height": 800,
        "bytes": size_bytes,
        "sha256": "8c1f3a7d5e9b2046c7d8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6",
        "expiresAt": "2026-02-18T17:40:22.456Z",
    }
    for name, size_bytes in (("image", 1_412_345), ("mask", 8_123))
} | {"regions": [{"bbox": [820, 730, 340, 42], "score": 0.97, "kind": "text"}], "detected": True}


def _present(images: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """In the contract's order, which a row's JSON does not keep."""
    regions = [{name: region[name] for name in ("bbox", "score", "kind")} for region in facts["regions"]]
    return {"image": images["image"], "mask": images["mask"], "regions": regions, "detected": facts["detected"]}


def _check(params: Mapping[str, Any], headers: Mapping[str, ImageHeader]) -> None:  # noqa: ARG001 - the headers tell all
    """The smear lies on the photo as people see it: both are upright here, each by its own EXIF orientation."""
    image, smear = headers["image"], headers.get("smear")
    if smear is not None and (smear.width, smear.height) != (image.width, image.height):
        issue = (
            f"The smear is {smear.width} x {smear.height} px, but the image is {image.width} x {image.height} px (upright, "
            "as its EXIF orientation says). Send a smear of the image's size."
        )
        raise invalid("smear", issue)


def _main_artifact(params: Mapping[str, Any]) -> str:
    return str(params.get("output_format", "image"))


WATERMARK_REMOVAL = Operation(
    slug="watermark-removal",
    title="Find watermarks and remove them",
    serializer=WatermarkSerializer,
    runner="apps.watermark.runner.WatermarkRunner",
    price_credits=2,
    tariffs=(Tariff("watermark-detection", 1, lambda params: bool(params["detect_only"])),),
    paces=(
        Pace("watermark-template", lambda params: "template" in params),
    ),  # at its first use it is learned: a minute
    image_limits=LIMITS,
    more_images=(ImageInput("smear", SourceFields(*SMEAR_FIELDS), LIMITS, required=False),),
    body_cap_bytes=BODY_CAP_BYTES,
    binary_default=False,
    main_artifact=_main_artifact,
    present=_present,
    result_schema=_RESULT,
    result_example=_EXAMPLE,
    check=_check,
    authorize=refuse_foreign_template,
)

WATERMARK_TASK = replace(
    WATERMARK_REMOVAL,
    title="Submit a watermark removal task; get_task_result tells how far it is",
    serializer=TaskSerializer,
    image_fields=SourceFields("image", "image_url", "image_base64", takes_file=False),
    more_images=(ImageInput("smear", SourceFields(*SMEAR_FIELDS, takes_file=False), LIMITS, required=False),),
)
