"""Background removal as an Operation."""

from __future__ import annotations

from apps.background.pointing_fields import refuse_outside
from apps.background.serializers import RemoveBackgroundSerializer, idle_parameters
from apps.core.answers import Box, Part, Result, Share
from apps.core.operations import MEGABYTE, Operation
from apps.core.pictures.inspection import ImageFormat, ImageLimits


class Subject(Part):
    """What was kept."""

    bbox: Box | None
    area_ratio: Share
    confidence: Share


class CutOut(Result):
    """The image, and what is on it."""

    subject: Subject


REMOVE_BACKGROUND = Operation(
    slug="remove-bg",
    title="Remove the background of a photo",
    serializer=RemoveBackgroundSerializer,
    runner="apps.background.runner.BackgroundRunner",
    price_credits=1,
    image_limits=ImageLimits(
        formats=frozenset(ImageFormat),
        max_bytes=10 * MEGABYTE,
        max_width_px=10_000,
        max_height_px=10_000,
        max_pixels=100_000_000,
    ),
    body_cap_bytes=30 * MEGABYTE,
    binary_default=True,
    result=CutOut,
    check=refuse_outside,
    idle=idle_parameters,
)
