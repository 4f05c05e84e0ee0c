"""Background removal for programs: a photo's bytes in, a cut-out's bytes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rest_framework import serializers

from apps.background.operation import REMOVE_BACKGROUND
from apps.background.serializers import RemoveBackgroundSerializer
from apps.core.fields import Choice
from apps.core.operations import MEGABYTE
from apps.core.pictures.inspection import ImageFormat


class RawSerializer(serializers.Serializer[Any]):
    """The one parameter; the others are those of `/v1/remove-bg/universal` by default."""

    format = Choice(("png", "webp"), default="png", help_text="File format of the answer.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        whole = RemoveBackgroundSerializer(data=attrs)
        whole.is_valid(raise_exception=True)
        return dict(whole.validated_data)


REMOVE_BACKGROUND_RAW = replace(
    REMOVE_BACKGROUND,
    slug="remove-background",
    title="Remove the background of a photo, bytes in and bytes out",
    serializer=RawSerializer,
    image_limits=replace(
        REMOVE_BACKGROUND.image_limits,
        formats=frozenset({ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.WEBP}),
        max_bytes=25 * MEGABYTE,
    ),
    body_cap_bytes=25 * MEGABYTE,
)
