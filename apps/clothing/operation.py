"""Clothing segmentation as two Operations: ours, and the one that AILabTools' customers know."""

from __future__ import annotations

from typing import Any

from apps.clothing.serializers import ClothingSerializer, CostumeSerializer
from apps.core.openapi.parts import named, nullable, ref
from apps.core.operations import MEGABYTE, Operation, SourceFields
from apps.core.pictures.inspection import ImageFormat, ImageLimits
from ml.clothing.garments import GARMENTS

_LIMITS = ImageLimits(
    formats=frozenset({ImageFormat.JPEG, ImageFormat.BMP, ImageFormat.PNG}),
    max_bytes=5 * MEGABYTE,
    # "Larger than 50x50 and smaller than 3000x3000": neither side may have 50 or fewer pixels, or 3000 or more.
    min_width_px=51,
    min_height_px=51,
    max_width_px=2_999,
    max_height_px=2_999,
    max_pixels=9_000_000,
)
_BODY_CAP_BYTES = 15 * MEGABYTE

_GARMENT = {
    "type": "object",
    "required": ["present", "areaRatio", "bbox", "confidence", "url"],
    "properties": {
        "present": {"type": "boolean"},
        "areaRatio": {"type": "number", "minimum": 0, "maximum": 1, "description": "Share of the photo."},
        "bbox": nullable({"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}),
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "url": nullable({"type": "string", "format": "uri", "description": "Presigned; lives as long as the image's."}),
    },
}
_RESULT = {
    "type": "object",
    "required": ["image", "classes"],
    "properties": {
        "image": ref("Image"),
        "classes": {
            "type": "object",
            "description": "The classes that were asked for, by name; present tells whether the photo shows one.",
            "additionalProperties": named("GarmentClass", _GARMENT),
        },
    },
}
_URL = "https://store.example/results/5d3c/1/{}.png?X-Amz-Expires=86400&X-Amz-Signature=9f0c"
_EXAMPLE = {
    "image": {
        "url": _URL.format("image"),
        "contentType": "image/png",
        "width": 1000,
        "height": 1500,
        "bytes": 412345,
        "sha256": "8c1f3a7d5e9b2046c7d8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6",
        "expiresAt": "2026-02-18T17:40:22.456Z",
    },
    "classes": {
        "tops": {
            "present": True,
            "areaRatio": 0.1204,
            "bbox": [310, 280, 390, 420],
            "confidence": 0.94,
            "url": _URL.format("tops"),
        },
        "coat": {"present": False, "areaRatio": 0.0, "bbox": None, "confidence": 0.0, "url": None},
    },
}


def _present(images: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The combined image, and the classes in the order of `GARMENTS`, which a row's JSON does not keep."""
    told = facts["classes"]
    return {
        "image": images["image"],
        "classes": {
            name: {
                "present": told[name]["present"],
                "areaRatio": told[name]["areaRatio"],
                "bbox": told[name]["bbox"],
                "confidence": told[name]["confidence"],
                "url": images[name]["url"] if name in images else None,
            }
            for name in GARMENTS
            if name in told
        },
    }


CLOTHING_SEGMENTATION = Operation(
    slug="clothing-segmentation",
    title="Cut the garments out of a photo, one picture a class",
    serializer=ClothingSerializer,
    runner="apps.clothing.runner.ClothingRunner",
    price_credits=2,
    image_limits=_LIMITS,
    body_cap_bytes=_BODY_CAP_BYTES,
    binary_default=False,
    present=_present,
    result_schema=_RESULT,
    result_example=_EXAMPLE,
)

COSTUME_REMOVAL = Operation(
    slug="apparel-background-removal",
    title="Cut the garments out of a photo, in AILabTools' form",
    serializer=CostumeSerializer,
    runner="apps.clothing.runner.CostumeRunner",
    price_credits=2,
    image_limits=_LIMITS,
    body_cap_bytes=_BODY_CAP_BYTES,
    binary_default=False,
    present=_present,
    result_schema=_RESULT,
    image_fields=SourceFields("image"),
)
