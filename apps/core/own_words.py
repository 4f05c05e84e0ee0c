"""Fields that say what they were given and what would be right, where the library's would say neither."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from rest_framework import serializers

_LONGEST_TOLD = 20
_SENTENCES = MappingProxyType(
    {
        "required": "This field is missing; send it.",
        "null": "null is no value here; leave the field out.",
        "blank": "This field is empty; leave it out, or send a value.",
        "max_length": "Send at most {max_length} characters.",
    }
)


class OwnWords:
    """Goes before the library's class."""

    default_error_messages = cast(dict[str, Any], _SENTENCES)


class Text(OwnWords, serializers.CharField):
    """Words; numbers count too, because clients send them bare in JSON."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            raise serializers.ValidationError(f"Send this field as text, not {named(data)}.")
        return super().to_internal_value(cast(str, data))  # it takes numbers, and its stubs do not know


class YesNo(OwnWords, serializers.BooleanField):
    """true or false, in the words that forms have for them."""

    def to_internal_value(self, data: Any) -> bool:
        try:
            return bool(super().to_internal_value(data))
        except serializers.ValidationError as error:
            raise serializers.ValidationError(f"Use true or false, not {named(data)}.") from error


class WholeNumber(OwnWords, serializers.IntegerField):
    """A whole number from `min_value` to `max_value`."""

    def __init__(self, *, min_value: int, max_value: int, **options: Any) -> None:
        self._hint = f"Use a whole number from {min_value} to {max_value}"
        said: dict[str, Any] = dict.fromkeys(("min_value", "max_value"), f"{self._hint}.")
        super().__init__(min_value=min_value, max_value=max_value, error_messages=said, **options)

    def to_internal_value(self, data: Any) -> int:
        try:
            return int(super().to_internal_value(data))
        except serializers.ValidationError as error:
            raise serializers.ValidationError(f"{self._hint}, not {named(data)}.") from error


def named(value: Any) -> str:
    """What a client has sent, in a few words for a sentence; none of it is long."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            text = str(value) if isinstance(value, str | float) or abs(value) < 10**_LONGEST_TOLD else "a long number"
            return f'"{text[:_LONGEST_TOLD]}{"..." if len(text) > _LONGEST_TOLD else ""}"'
        case list():
            return "a list"
        case dict():
            return "an object"
        case UploadedFile():
            return "a file"
    return "null" if value is None else "a long text"
