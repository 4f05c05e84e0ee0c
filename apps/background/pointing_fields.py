"""The fields that say what to keep: `points` and `box`, as JSON text or, in a JSON body, as arrays. Parsed values are JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.errors import invalid
from apps.core.intake.inline import LongText
from apps.core.own_words import OwnWords
from apps.core.pictures.inspection import ImageHeader

MOST_POINTS = 50
_MOST_CHARS = 4096
_MOST_PX = 1e6  # beyond any image; keeps endless integers out of the arithmetic

_EXAMPLE_POINTS = [[640, 360, 1], [80, 60, 0]]
_EXAMPLE_BOX = [120, 80, 900, 700]


class _JsonText(OwnWords, serializers.Field[Any, Any, Any, Any], ABC):
    """JSON text becomes its value; a value that is none (an array of a JSON body) stays."""

    hint = ""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, LongText) or (isinstance(data, str) and len(data) > _MOST_CHARS):
            raise serializers.ValidationError(f"This is too long. {self.hint}")
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise serializers.ValidationError(f"This is no JSON. {self.hint}") from error
        return self.checked(data)

    def to_representation(self, value: Any) -> Any:
        return value

    @abstractmethod
    def checked(self, value: Any) -> Any:
        """The value, as the worker gets it. Raises ValidationError."""

    def numbers(self, value: Any, count: int) -> list[float]:
        """`count` finite numbers, or the hint."""
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise serializers.ValidationError(self.hint)
        return [float(number) for number in value]


@extend_schema_field(
    {
        "type": "string",
        "contentMediaType": "application/json",
        "examples": [json.dumps(_EXAMPLE_POINTS, separators=(",", ":"))],
        "x-in-json-body": {
            "type": "array",
            "maxItems": MOST_POINTS,
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
            "examples": [_EXAMPLE_POINTS],
        },
    }
)
class Points(_JsonText):
    """`[[x, y, 1], [x, y, 0]]`: 1 keeps what is there, 0 drops it."""

    hint = "Use [[x, y, 1], [x, y, 0]]: pixels from the upright photo's top left corner; 1 keeps what is there, 0 drops it."

    def checked(self, value: Any) -> list[list[float | int]]:
        if not isinstance(value, list) or not value:
            raise serializers.ValidationError(self.hint)
        if len(value) > MOST_POINTS:
            raise serializers.ValidationError(f"There are {len(value)} points; send at most {MOST_POINTS}.")
        points: list[list[float | int]] = []
        for item in value:
            x, y, label = self.numbers(item, 3)
            if label not in (0, 1):
                raise serializers.ValidationError(self.hint)
            points.append([x, y, int(label)])
        return points


@extend_schema_field(
    {
        "type": "string",
        "contentMediaType": "application/json",
        "examples": [json.dumps(_EXAMPLE_BOX, separators=(",", ":"))],
        "x-in-json-body": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 4,
            "maxItems": 4,
            "examples": [_EXAMPLE_BOX],
        },
    }
)
class Box(_JsonText):
    """`[x0, y0, x1, y1]`: left, top, right, bottom."""

    hint = "Use [x0, y0, x1, y1]: the left, top, right and bottom of a box, in pixels of the upright photo."

    def checked(self, value: Any) -> list[float]:
        x0, y0, x1, y1 = box = self.numbers(value, 4)
        if x0 >= x1 or y0 >= y1:
            raise serializers.ValidationError(
                "The box is empty or turned round: x1 must be right of x0, and y1 below y0. Swap its corners."
            )
        return box


def _is_number(value: Any) -> bool:
    """Finite and of a sensible size; JSON's true and false are no numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST_PX <= value <= _MOST_PX


def refuse_without_keep(attrs: Mapping[str, Any]) -> None:
    """
    Points that only drop say nothing about what to keep.

    Raises:
        ValidationError: on `points`.
    """
    if "points" in attrs and "box" not in attrs and not any(label for _, _, label in attrs["points"]):
        raise serializers.ValidationError(
            {"points": "Nothing says what to keep: add a point with 1, such as [640, 360, 1], or a box."}
        )


def refuse_outside(params: Mapping[str, Any], headers: Mapping[str, ImageHeader]) -> None:
    """
    Points and box must lie in the photo as it is seen, turned upright.

    Raises:
        AppError: VALIDATION_ERROR on `points` or `box`.
    """
    header = headers["image"]
    width, height = header.width, header.height
    upright = f"the upright photo has {width} x {height} px, so x is 0 to {width} and y 0 to {height}"
    for x, y, _ in params.get("points", ()):
        if not (0 <= x <= width and 0 <= y <= height):
            raise invalid("points", f"The point [{x:g}, {y:g}] lies outside: {upright}.")
    if "box" in params:
        x0, y0, x1, y1 = params["box"]
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            raise invalid("box", f"The box [{x0:g}, {y0:g}, {x1:g}, {y1:g}] leaves the photo: {upright}.")
