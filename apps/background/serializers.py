"""The parameters of background removal, and which of them contradict each other."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers

SUBJECTS = ("universal", "human", "product")
OUTPUT_FORMATS = ("transparent", "white_bg", "mask", "crop")
MASK_MODES = ("binary", "matte")
_FILE_FORMATS = {"png": "png", "webp": "webp", "jpg": "jpg", "jpeg": "jpg"}
_HEX = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_MARGIN = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)\s*(px|%)?")
_MOST_MARGIN_PX = 500
_MOST_MARGIN_PERCENT = 50.0


class Choice(serializers.CharField):
    """One of a few words; the error names them all."""

    def __init__(self, choices: tuple[str, ...], **options: Any) -> None:
        super().__init__(max_length=40, **options)
        self.choices = choices

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data).strip().lower()
        if value not in self.choices:
            raise serializers.ValidationError(f"{self.field_name} must be one of {', '.join(self.choices)}.")
        return value


class HexColour(serializers.CharField):
    """`#fff`, `#ffffff`, with or without the hash; gives `[r, g, b]` with 0..255."""

    def to_internal_value(self, data: Any) -> list[int]:
        text = super().to_internal_value(data).strip()
        if not _HEX.fullmatch(text):
            raise serializers.ValidationError(f"{self.field_name} must be a hex colour such as #ffffff or #fa0.")
        digits = text.lstrip("#")
        if len(digits) == 3:
            digits = "".join(digit * 2 for digit in digits)
        return [int(digits[place : place + 2], 16) for place in (0, 2, 4)]


class Margin(serializers.CharField):
    """`12`, `12px` or `5%` (of the subject's box); gives `{"value", "unit"}`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        text = str(data) if isinstance(data, int | float) and not isinstance(data, bool) else data
        match = _MARGIN.fullmatch(super().to_internal_value(text).strip())
        most = _MOST_MARGIN_PERCENT if match and match[2] == "%" else _MOST_MARGIN_PX
        if not match or float(match[1]) > most:
            raise serializers.ValidationError(
                f"{self.field_name} must be pixels (20 or 20px, at most {_MOST_MARGIN_PX}) "
                f"or a share of the subject's box (5%, at most {_MOST_MARGIN_PERCENT:.0f}%)."
            )
        return {"value": float(match[1]), "unit": match[2] or "px"}


class RemoveBackgroundSerializer(serializers.Serializer):
    """Validated data: JSON values only; `format` is always decided."""

    subject = Choice(SUBJECTS, default="universal", help_text="What to keep.")
    output_format = Choice(
        OUTPUT_FORMATS,
        default="transparent",
        help_text="transparent: RGBA cut-out. white_bg: the subject over pure white. "
        "mask: one channel, 255 is the subject. crop: RGBA, cut to the subject's box.",
    )
    format = serializers.CharField(
        required=False,
        max_length=10,
        help_text="png, webp, or jpg (only where there is no transparency). Default: png; jpg for white_bg.",
    )
    mask_mode = Choice(MASK_MODES, default="binary", help_text="With mask: hard (0 and 255) or soft (0..255).")
    crop_margin = Margin(
        default={"value": 0.0, "unit": "px"},
        help_text="With crop: room around the subject, as 20, 20px or 5%.",
    )
    bg_color = HexColour(required=False, help_text="Hex colour to put under the subject, such as #ffcc00.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        output = attrs["output_format"]
        if output == "mask" and attrs.get("bg_color"):
            raise serializers.ValidationError({"bg_color": "A mask has no background; leave bg_color out."})
        opaque = output == "white_bg" or attrs.get("bg_color") is not None
        wanted = attrs.get("format", "").strip().lower()
        if wanted and wanted not in _FILE_FORMATS:
            raise serializers.ValidationError({"format": "format must be png, webp or jpg."})
        attrs["format"] = _FILE_FORMATS[wanted] if wanted else ("jpg" if output == "white_bg" else "png")
        if output == "mask" and attrs["format"] != "png":
            raise serializers.ValidationError({"format": "A mask is always a PNG; leave format out, or send png."})
        if attrs["format"] == "jpg" and not opaque:
            raise serializers.ValidationError(
                {"format": "JPEG has no transparency: use png or webp, or set bg_color or output_format=white_bg."}
            )
        return attrs
