"""remove.bg's own notations: colours by name, regions, margins, scale and position. Parsed values are JSON."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.own_words import Text
from apps.core.pictures.css_colours import CSS_COLOURS

_HEX = re.compile(r"#?([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)(px|%)?", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%?", re.ASCII)
MOST_MARGIN = {"px": 500.0, "%": 50.0}
LEAST_SCALE_PERCENT = 10.0

Length = list[Any]
"""`[value, unit]`, the unit `px` or `%`."""


class _Text(Text, ABC):
    """Words with a meaning."""

    def to_internal_value(self, data: Any) -> Any:
        return self.parse(super().to_internal_value(data).strip().lower())

    @abstractmethod
    def parse(self, text: str) -> Any:
        """What the words mean. Raises ValidationError."""


@extend_schema_field({"type": "string", "examples": ["81d4fa", "fff", "#81d4fa77", "green"]})
class Colour(_Text):
    """Three, four, six or eight hex digits, or a CSS name; gives `[r, g, b, a]` with 0..255."""

    def parse(self, text: str) -> list[int]:
        match = _HEX.fullmatch(text)
        if not match and text not in CSS_COLOURS:
            raise serializers.ValidationError(
                "Use a hex colour such as 81d4fa, fff or 81d4fa77, or a name such as green."
            )
        digits = CSS_COLOURS[text] if text in CSS_COLOURS else match[1]  # type: ignore[index]
        if len(digits) < 6:
            digits = "".join(digit * 2 for digit in digits)
        digits = digits.ljust(8, "f")
        return [int(digits[place : place + 2], 16) for place in (0, 2, 4, 6)]


@extend_schema_field({"type": "string", "examples": ["0% 0% 100% 100%", "10px 20px 300px 400px"]})
class Region(_Text):
    """`x1 y1 x2 y2`, in px or %; gives four lengths. Whether they lie in the picture is checked when its size is known."""

    def parse(self, text: str) -> list[Length]:
        lengths = [_length(part) for part in text.split()]
        if len(lengths) != 4 or any(unit == "%" and value > 100 for value, unit in lengths):
            raise serializers.ValidationError(
                'Use "x1 y1 x2 y2", each in pixels (10px) or a share of the image (0% to 100%).'
            )
        return lengths


@extend_schema_field({"type": "string", "examples": ["30px", "10%", "10px 20px", "10px 20px 30px 40px"]})
class CropMargins(_Text):
    """One, two (above and below, left and right) or four lengths; gives top, right, bottom, left."""

    def parse(self, text: str) -> list[Length]:
        lengths = [_length(part) for part in text.split()]
        if len(lengths) not in {1, 2, 4} or any(value > MOST_MARGIN[unit] for value, unit in lengths):
            raise serializers.ValidationError(
                "Use one, two or four margins in pixels (30px, at most 500px) or of the subject's size (10%, at most 50%)."
            )
        return lengths * 4 if len(lengths) == 1 else (lengths * 2)[:4]


@extend_schema_field({"type": "string", "examples": ["original", "80%"]})
class Scale(_Text):
    """`original`, or 10% to 100%; gives None or a share, 0..1."""

    def parse(self, text: str) -> float | None:
        if text == "original":
            return None
        match = _PERCENT.fullmatch(text)
        if not match or not LEAST_SCALE_PERCENT <= float(match[1]) <= 100:
            raise serializers.ValidationError('Use "original", or "10%" to "100%".')
        return float(match[1]) / 100


@extend_schema_field({"type": "string", "examples": ["original", "center", "50%", "20% 80%"]})
class Position(_Text):
    """`original`, `center`, or one or two of 0% to 100%; gives None or two shares, 0..1."""

    def parse(self, text: str) -> list[float] | None:
        if text == "original":
            return None
        matches = [_PERCENT.fullmatch(part) for part in ("50%" if text == "center" else text).split()]
        shares = [float(match[1]) / 100 for match in matches if match]
        if len(shares) != len(matches) or len(shares) not in {1, 2} or max(shares) > 1:
            raise serializers.ValidationError('Use "original", "center", or one or two of "0%" to "100%".')
        return (shares * 2)[:2]


def _length(text: str) -> Length:
    match = _LENGTH.fullmatch(text)
    if not match:
        raise serializers.ValidationError(f'"{text[:20]}" is no length; use pixels (10px) or a share (5%).')
    return [float(match[1]), match[2] or "px"]
