"""Clothing segmentation as two Operations: ours, and the one that AILabTools' customers know."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Self

from apps.clothing.serializers import ClothingSerializer, CostumeSerializer
from apps.core.answers import Box, Image, Part, Result, Share, Url, about, example_url
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


class GarmentClass(Part):
    """A class of garments that was asked for."""

    present: bool
    area_ratio: Annotated[Share, about("Share of the photo.")]
    bbox: Box | None
    confidence: Share
    url: Annotated[Url | None, about("Presigned; lives as long as the image's.")]


class Garments(Result):
    """All garments together, and each class by itself."""

    classes: Annotated[
        dict[str, GarmentClass],
        about("The classes that were asked for, by name; present tells whether the photo shows one."),
    ]

    @classmethod
    def of(cls, images: dict[str, Image], facts: dict[str, Any]) -> Self:
        """The classes stand in the order of `GARMENTS`, which a row's JSON does not keep."""
        told = facts["classes"]
        urls = {name: images[name].url if name in images else None for name in told}
        classes = {name: {**told[name], "url": urls[name]} for name in GARMENTS if name in told}
        return super().of({"image": images["image"]}, {"classes": classes})


_EXAMPLE = Garments(
    image=Image.example("image", width=1000, height=1500, size_bytes=412_345),
    classes={
        "tops": GarmentClass(
            present=True,
            area_ratio=0.1204,
            bbox=[310, 280, 390, 420],
            confidence=0.94,
            url=example_url("tops"),
        ),
        "coat": GarmentClass(present=False, area_ratio=0.0, bbox=None, confidence=0.0, url=None),
    },
)


CLOTHING_SEGMENTATION = Operation(
    slug="clothing-segmentation",
    title="Cut the garments out of a photo, one picture a class",
    serializer=ClothingSerializer,
    runner="apps.clothing.runner.ClothingRunner",
    price_credits=2,
    image_limits=_LIMITS,
    body_cap_bytes=15 * MEGABYTE,
    binary_default=False,
    result=Garments,
    example=_EXAMPLE,
)

COSTUME_REMOVAL = replace(
    CLOTHING_SEGMENTATION,
    slug="apparel-background-removal",
    title="Cut the garments out of a photo, in AILabTools' form",
    serializer=CostumeSerializer,
    runner="apps.clothing.runner.CostumeRunner",
    example=None,
    image_fields=SourceFields("image"),
)
