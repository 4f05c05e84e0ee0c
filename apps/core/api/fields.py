"""From a request's body to checked parameters."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request

from apps.core.errors import invalid
from apps.core.operations import Operation

# A JSON body lies in memory several times over while it is parsed and its base64 decoded; a few at a time is enough.
_BIG_JSON_BYTES = 1_048_576
_big_json = threading.BoundedSemaphore(3)


def request_fields(request: Request) -> Mapping[str, Any]:
    """
    The fields and files of a multipart or JSON body.

    Raises:
        AppError: the JSON is no object; DRF's own exceptions for a body that can't be parsed.
    """
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if "json" in (request.content_type or "") and length > _BIG_JSON_BYTES:
        with _big_json:
            fields = request.data
    else:
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
    serializer = operation.serializer(data={**_plain(fields), **operation.fixed})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Form fields arrive as lists; an empty one counts as absent, as it does for every peer."""
    return {name: fields.get(name) for name in fields if fields.get(name) != ""}
