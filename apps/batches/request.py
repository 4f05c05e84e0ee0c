"""From a request's body to what a batch is asked to be."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rest_framework import exceptions as drf
from rest_framework.request import Request

from apps.batches.sources import IMAGES, SOURCES, Source, choose
from apps.core.api.fields import (
    checked_params,
    checked_retention,
    ignored_names,
    is_dry_run,
    refuse_contradictions,
    request_fields,
)
from apps.core.api.submitted import AT_ONCE
from apps.core.errors import AppError, ErrorCode, Fault, invalid
from apps.core.fields import DeliverySerializer
from apps.core.operations import Operation, operation_named
from apps.core.own_words import named
from apps.core.request_facts import facts_of, identity_of

OPERATIONS = ("remove-bg", "clothing-segmentation", "watermark-removal")
_OF_ONE_IMAGE = {"upload_url"}  # beside its address
FIELDS = ("operation", "params", *SOURCES, f"{IMAGES}[]", "dry_run")


@dataclass(frozen=True)
class Asked:
    """
    What the fields say, checked; the images are not looked at yet.

    Args:
        sent_params: the parameters in the client's own words.
    """

    operation: Operation
    params: dict[str, Any]
    sent_params: dict[str, Any]
    retention_s: int
    source: Source
    is_quote: bool

    @classmethod
    def of(cls, request: Request) -> Asked:
        """
        Read the fields.

        Raises:
            AppError: VALIDATION_ERROR on the one at fault; FORBIDDEN where the key's scopes leave the operation out.
            rest_framework.ValidationError: a parameter's value is wrong.
        """
        fields = request_fields(request)
        _refuse_unknown(request, fields)
        refuse_contradictions(fields, ["operation", "params"])
        operation = _operation(fields.get("operation"))
        identity = identity_of(request)
        if not identity.may_use(operation.slug):
            raise AppError(ErrorCode.FORBIDDEN, f"This key's scopes do not include {operation.slug}.")
        sent = _params(fields.get("params"), operation)
        with _named_inside_params():
            params = checked_params(operation, sent)
            retention_s = checked_retention(sent, AT_ONCE)
            operation.authorize(params, identity)
        is_quote = is_dry_run(request, fields)
        return cls(operation, params, sent, retention_s, choose(fields), is_quote)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The fields that the request means, whatever form it came in."""
        quote = {"dry_run": True} if self.is_quote else {}
        return {"operation": self.operation.slug, "params": self.sent_params, **self.source.fingerprint[0], **quote}


def _refuse_unknown(request: Request, fields: Mapping[str, Any]) -> None:
    """A typing error would cost a hundred photos, so what the address does not know is refused here. Raises AppError."""
    strange = next((name for name in fields if name not in FIELDS), None)
    if strange is not None:
        (issue,) = ignored_names(request, {strange: None}, in_body=FIELDS)[:1]
        issue = issue.replace(" and was ignored", "")
        raise invalid(strange[:100], f"{issue.rstrip('.')}. What the operation is to do stands in params.")
    facts_of(request).unknown_fields = tuple(ignored_names(request, in_body=FIELDS))


def _operation(name: Any) -> Operation:
    told = f"one of {', '.join(OPERATIONS)}"
    if name in (None, ""):
        raise invalid("operation", f"Say what is to be done: {told}.", Fault.MISSING)
    if name not in OPERATIONS:
        raise invalid("operation", f"operation must be {told}.", Fault.UNSUPPORTED_VALUE)
    return operation_named(name)


@contextlib.contextmanager
def _named_inside_params() -> Iterator[None]:
    """Errors of a parameter name it as the client finds it: inside of `params`."""
    try:
        yield
    except drf.ValidationError as error:
        if not isinstance(error.detail, dict):
            raise
        raise drf.ValidationError({f"params.{name}": said for name, said in error.detail.items()}) from error
    except AppError as error:
        details = [replace(detail, field=f"params.{detail.field}") for detail in error.details]
        raise AppError(error.code, error.message, details=details) from error


def _params(value: Any, operation: Operation) -> dict[str, Any]:
    """Raises AppError for what is no object, and for a parameter that the operation does not know."""
    if value in (None, ""):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise invalid("params", 'params must be a JSON object, such as {"output_format": "white_bg"}.') from error
    if not isinstance(value, dict):
        raise invalid("params", f"params must be a JSON object, not {named(value)}.")
    known = sorted({*operation.serializer._declared_fields, *DeliverySerializer._declared_fields} - _OF_ONE_IMAGE)
    strange = next((name for name in value if name not in known), None)
    if strange is not None:
        raise invalid(
            f"params.{strange[:60]}",
            f"{operation.slug} has no parameter {strange[:60]} in a batch; it has {', '.join(known)}.",
            Fault.UNSUPPORTED_VALUE,
        )
    return value
