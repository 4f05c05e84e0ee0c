"""Watermark removal as an Operation, in our form and in the one of tasks; both are one product with one price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from apps.core.answers import Box, Image, Part, Result, Share, about
from apps.core.errors import invalid
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


class WatermarkRegion(Part):
    """A watermark, or a part of one that repeats."""

    bbox: Annotated[Box, about("Left, top, width, height in pixels of the upright photo.")]
    score: Annotated[Share, about("How sure it is that this is a watermark.")]
    kind: Annotated[str, about("More may come with time.", examples=["text", "logo", "tiled"])]


class Removal(Result):
    """The photo without its watermarks, and where they were."""

    mask: Image
    regions: Annotated[
        list[WatermarkRegion],
        about(
            "The watermarks, the surest first; image and mask are 8-bit files of the upright photo's size, and "
            "in the mask 255 is what was changed (detect_only: would be), its soft edge of at most 8 px included."
        ),
    ]
    detected: Annotated[bool, about("Whether there is any watermark.")]


_EXAMPLE = Removal(
    image=Image.example("image", width=1200, height=800, size_bytes=1_412_345),
    mask=Image.example("mask", width=1200, height=800, size_bytes=8_123),
    regions=[WatermarkRegion(bbox=[820, 730, 340, 42], score=0.97, kind="text")],
    detected=True,
)


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
    result=Removal,
    example=_EXAMPLE,
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
