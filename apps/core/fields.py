"""Serializer fields that several features share; each says in its error what would be right, and describes itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.own_words import OwnWords, Text, named

_HEX = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_HOURS = re.compile(r"([1-9]|1\d|2[0-4])h", re.ASCII)
_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)\s*(px|%)?", re.ASCII)
FORMS = ("image", "json")
MOST_MARGIN_PX = 500
MOST_MARGIN_PERCENT = 50


class Choice(OwnWords, serializers.ChoiceField):
    """One of a few words, in any case; the error names them all."""

    def __init__(self, choices: Sequence[str], **options: Any) -> None:
        words = ", ".join(choices)
        super().__init__(choices, **options)
        self._hint = f"Use one of {words}"
        self._words = {word.lower(): word for word in choices}

    def to_internal_value(self, data: Any) -> str:
        try:
            chosen = self._words.get(data.strip().lower(), data) if isinstance(data, str) else data
            return str(super().to_internal_value(chosen))
        except serializers.ValidationError as error:
            raise serializers.ValidationError(f"{self._hint}, not {named(data)}.", code="invalid_choice") from error


class FileFormat(Choice):
    """A file format of the answer; jpeg is another word for jpg."""

    def to_internal_value(self, data: Any) -> str:
        chosen = super().to_internal_value(data)
        return "jpg" if chosen == "jpeg" else chosen


class Choices(OwnWords, serializers.Field[Any, Any, Any, Any]):
    """
    Several of a few words, in any case: comma separated, as a repeated form field, or as a JSON list.

    Gives a list without doubles, in the order of `choices`; the error names them all.
    """

    def __init__(self, choices: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self._words = {word.lower(): word for word in choices}
        self._hint = f"Use one or more of {', '.join(choices)}."
        in_json = {"type": "array", "items": {"type": "string", "enum": list(choices)}, "minItems": 1}
        example = {"type": "string", "examples": [",".join(choices[:2])], "x-in-json-body": in_json}
        set_override(self, "field", example)

    def to_internal_value(self, data: Any) -> list[str]:
        parts = data if isinstance(data, list) else [data]
        if not all(isinstance(part, str) for part in parts):
            raise serializers.ValidationError(f"Send words, comma separated or as a list. {self._hint}")
        given = [word.strip() for part in parts for word in part.split(",") if word.strip()]
        if not given:
            raise serializers.ValidationError(f"The list is empty. {self._hint}")
        unknown = next((word for word in given if word.lower() not in self._words), None)
        if unknown is not None:
            raise serializers.ValidationError(f'"{unknown[:20]}" is unknown. {self._hint}', code="invalid_choice")
        chosen = {word.lower() for word in given}
        return [word for key, word in self._words.items() if key in chosen]

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "string", "pattern": "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", "examples": ["#ffcc00"]})
class HexColour(Text):
    """`#fff`, `#ffffff`, with or without the hash; gives `[r, g, b]` with 0..255."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data).strip()
        if not _HEX.fullmatch(text):
            raise serializers.ValidationError("Use a hex colour such as #ffffff or #fa0.")
        digits = text.lstrip("#")
        if len(digits) == 3:
            digits = "".join(digit * 2 for digit in digits)
        return [int(digits[place : place + 2], 16) for place in (0, 2, 4)]


@extend_schema_field({"type": "string", "pattern": r"^\d{1,5}(\.\d{1,3})?\s*(px|%)?$", "examples": ["20px", "5%"]})
class Margin(Text):
    """`12`, `12px` or `5%` (of the subject's box); gives `{"value", "unit"}`."""

    def to_internal_value(self, data: Any) -> Any:
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        match = _LENGTH.fullmatch(super().to_internal_value(str(data) if is_number else data).strip())
        most = MOST_MARGIN_PERCENT if match and match[2] == "%" else MOST_MARGIN_PX
        if not match or float(match[1]) > most:
            raise serializers.ValidationError(
                f"Use pixels (20 or 20px, at most {MOST_MARGIN_PX}) "
                f"or a share of the subject's box (5%, at most {MOST_MARGIN_PERCENT}%)."
            )
        return {"value": float(match[1]), "unit": match[2] or "px"}


@extend_schema_field({"type": "string", "pattern": "^(0|([1-9]|1[0-9]|2[0-4])h)$", "examples": ["24h"]})
class Retention(Text):
    """`0`, or `1h` to `24h`; gives seconds."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data).strip().lower()
        hours = _HOURS.fullmatch(text)
        if text != "0" and not hours:
            raise serializers.ValidationError("Use 0, or whole hours from 1h to 24h.")
        return int(hours[1]) * 3600 if hours else 0


class DeliverySerializer(serializers.Serializer[Any]):
    """What every operation understands beside its own parameters, where the dialect offers it."""

    retention = Retention(
        required=False,
        help_text="How long the result is kept: 1h to 24h (default 24h), or 0: it is deleted as soon as the answer is sent, "
        "which only a synchronous binary answer can be.",
    )

    upload_url = Text(
        required=False,
        max_length=4096,
        help_text="Where the result is put, too, once the job has succeeded: a presigned PUT address of your own bucket, https. "
        "It is tried again like a webhook; delivery of the job says what came of it, and the charge does not hang on it.",
    )


class FormSerializer(serializers.Serializer[Any]):
    """How the answer is to look, where the dialect has both forms; `asked_form` reads it."""

    answer = Choice(
        FORMS,
        required=False,
        help_text="image: the file itself; json: JSON. It wins over Accept, and is taken in the address too.",
    )
