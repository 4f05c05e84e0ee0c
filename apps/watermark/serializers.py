"""The parameters of watermark removal, in our form and in the one of tasks."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.fields import Choice, FileFormat
from apps.core.own_words import OwnWords, Text, YesNo

DEFAULT_SENSITIVITY = 0.5
_FROM_0_TO_1 = "Use a number from 0 to 1."
SMEAR_FIELDS = ("smear", "smear_url", "smear_base64")


class Sensitivity(OwnWords, serializers.FloatField):
    """0..1; true is no number here, though it is one in Python."""

    def __init__(self, **options: Any) -> None:
        said: dict[str, Any] = dict.fromkeys(("invalid", "max_string_length", "max_value", "min_value"), _FROM_0_TO_1)
        super().__init__(min_value=0.0, max_value=1.0, error_messages=said, **options)

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not str(data).isascii():  # Python reads the digits of every script
            raise serializers.ValidationError(_FROM_0_TO_1)
        return float(super().to_internal_value(data))


@extend_schema_field({"type": "string", "format": "uuid"})
class TemplateId(Text):
    """The id of a template, in its plain form; whose it is, is told later."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return str(uuid.UUID(super().to_internal_value(data).strip()))
        except ValueError:
            raise serializers.ValidationError(
                "There is no such template; POST /v1/watermark-templates makes one."
            ) from None


class WatermarkSerializer(serializers.Serializer[Any]):
    """Validated data holds JSON values only; but for `template` every parameter is always decided."""

    detect_only = YesNo(
        default=False,
        help_text="true: tell where watermarks are and change nothing, for a lower price: image is the photo as it came, "
        "mask what would be changed.",
    )
    sensitivity = Sensitivity(
        default=DEFAULT_SENSITIVITY,
        help_text="How faint a watermark may be: 0 takes only what is plain to see, 1 whatever might be one.",
    )
    output_format = Choice(
        ("image", "mask"),
        default="image",
        help_text="Which of the two a binary answer (Accept: image/*) is; the envelope has both.",
    )
    format = FileFormat(
        ("png", "webp", "jpg", "jpeg"),
        default="png",
        help_text="Of the image, whatever it came as; the mask is always PNG. In a PNG the pixels outside the mask are "
        "bit-identical to the photo's; webp and jpg are encoded anew, and jpg shows transparent photos on white.",
    )
    template = TemplateId(
        required=False,
        help_text="The id of your own mark (POST /v1/watermark-templates): this one is looked for, and removed precisely.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["has_smear"] = any(self.initial_data.get(name) for name in SMEAR_FIELDS)
        return attrs


class TaskSerializer(serializers.Serializer[Any]):
    """Tasks have no parameters but the images; validated data is what the WatermarkSerializer gives."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - there are none
        whole = WatermarkSerializer(data={name: self.initial_data.get(name) for name in SMEAR_FIELDS})
        whole.is_valid(raise_exception=True)
        return dict(whole.validated_data)
