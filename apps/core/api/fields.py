"""From a request's body to checked parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.datastructures import MultiValueDict
from rest_framework import serializers
from rest_framework.request import Request

from apps.core.api.negotiation import AnswerForm
from apps.core.errors import invalid
from apps.core.fields import Choices, Retention
from apps.core.operations import Operation

_DRY_RUN = {"true": True, "1": True, "false": False, "0": False, "": False}


def request_fields(request: Request) -> Mapping[str, Any]:
    """
    The fields and files of a multipart, JSON or urlencoded body.

    Raises:
        AppError: the body can't be parsed, or the JSON is no object.
    """
    fields = request.data
    if not isinstance(fields, Mapping):
        raise invalid("body", "The JSON body must be an object with the fields as members.")
    return fields


def checked_params(operation: Operation, fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    The operation's parameters, defaults filled in, with what the route decides.

    Raises:
        AppError: a field contradicts the route. rest_framework.ValidationError: a value is wrong.
    """
    for name, value in operation.fixed.items():
        given = fields.get(name)
        if given not in (None, "", value):
            raise invalid(name, f"{name} is {value} at this address; leave it out, or send {value}.")
    serializer = operation.serializer(data={**_plain(fields), **_repeated(fields, operation), **operation.fixed})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class DeliverySerializer(serializers.Serializer):
    """What every operation understands beside its own parameters, where the dialect offers it."""

    retention = Retention(
        required=False,
        help_text="How long the result is kept: 1h to 24h (default 24h), or 0: it is deleted as soon as the answer is sent, "
        "which only a synchronous binary answer can be.",
    )


def checked_retention(fields: Mapping[str, Any], form: AnswerForm) -> int:
    """
    Seconds that the result is to be kept; 0 until the answer is sent.

    Raises:
        AppError: 0 with an answer that does not carry the bytes. rest_framework.ValidationError: no such time.
    """
    serializer = DeliverySerializer(data=_plain(fields))
    serializer.is_valid(raise_exception=True)
    retention_s: int = serializer.validated_data.get("retention", settings.RESULT_TTL_S)
    if retention_s == 0 and (not form.binary or form.late_is_accepted):
        raise invalid(
            "retention", "retention=0 leaves nothing to fetch later: ask for the image itself, without Prefer and JSON."
        )
    return retention_s


def is_dry_run(request: Request) -> bool:
    """
    Whether the client wants to know the price only.

    Raises:
        AppError: the parameter is neither; to take "yes" for no would charge somebody who asked for the price.
    """
    asked = request.GET.get("dry_run", "").lower()
    if asked not in _DRY_RUN:
        raise invalid("dry_run", "Use true or false.")
    return _DRY_RUN[asked]


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Form fields arrive as lists; an empty one or a null counts as absent, as it does for every peer."""
    return {name: fields.get(name) for name in fields if fields.get(name) not in ("", None)}


def _repeated(fields: Mapping[str, Any], operation: Operation) -> dict[str, list[Any]]:
    """What a form says more than once, of the fields that take several values."""
    if not isinstance(fields, MultiValueDict):
        return {}
    names = [name for name, field in operation.serializer._declared_fields.items() if isinstance(field, Choices)]
    given = {name: [value for value in fields.getlist(name) if value != ""] for name in names}
    return {name: values for name, values in given.items() if values}
