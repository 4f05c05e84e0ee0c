"""From a request's body to checked parameters."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.utils.datastructures import MultiValueDict
from rest_framework.request import Request

from apps.core.api.negotiation import AnswerForm
from apps.core.errors import Fault, invalid
from apps.core.fields import FORMS, Choices, DeliverySerializer
from apps.core.intake.addresses import checked_address
from apps.core.operations import Operation

_DRY_RUN = {"true": True, "1": True, "false": False, "0": False}
_SPELLED = re.compile(r"dry[\W_]{0,3}run", re.IGNORECASE)
_STATED = re.compile(_SPELLED.pattern + r"\W{0,5}[=:]\W{0,5}(true|false|yes|no|on|off|[01])", re.IGNORECASE)
_LONGEST_SCANNED = 4096
_MOST_TOLD = 5
_LONGEST_TOLD = 40
_EVERYWHERE = frozenset({"answer", "dry_run"})
_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


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
        AppError: a field contradicts the route, or itself. rest_framework.ValidationError: a value is wrong.
    """
    for name, value in operation.fixed.items():
        given = fields.get(name)
        if given not in (None, "", value):
            raise invalid(name, f"{name} is {value} at this address; leave it out, or send {value}.")
    refuse_contradictions(fields, _names_with_one_value(operation))
    serializer = operation.serializer(data={**_plain(fields), **_repeated(fields, operation), **operation.fixed})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


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


def checked_upload_url(fields: Mapping[str, Any], *, retention_s: int, account_id: int) -> str | None:
    """
    Where the result is put, too; None for nowhere. It takes a look-up.

    Raises:
        AppError: the address is none that we send to, or the result is not kept for it.
    """
    url = _plain(fields).get("upload_url")
    if url is None:
        return None
    if retention_s == 0:
        raise invalid(
            "upload_url", "retention=0 deletes the result before it can be put anywhere; leave one of them out."
        )
    return checked_address("upload_url", str(url).strip(), account_id=account_id)


def asked_form(request: Request, fields: Mapping[str, Any], *, known: Sequence[str]) -> str | None:
    """
    The field `answer`, of the body or the address: `image` or `json`; None without it.

    Args:
        known: the forms that the address can answer in.

    Raises:
        AppError: it is neither, says both, or asks for a form that the address does not have.
    """
    asked = {_word(value) for name, value in _stated(request, fields) if name == "answer"} - {""}
    if not asked <= set(FORMS):
        raise invalid("answer", "answer must be image or json.", Fault.UNSUPPORTED_VALUE)
    if len(asked) > 1:
        raise invalid("answer", "answer is given twice and says both image and json; send one.")
    form = next(iter(asked), None)
    if form is not None and form not in known:
        raise invalid(
            "answer", f"This address answers with {known[0]} alone; leave answer out.", Fault.UNSUPPORTED_VALUE
        )
    return form


def is_dry_run(request: Request, fields: Mapping[str, Any] = _NO_FIELDS) -> bool:
    """
    Whether the client wants to know the price only: `dry_run` in the address, or as a field of the body.

    Raises:
        AppError: it says neither true nor false, or both, is spelled otherwise, or stands where it is not read. To take any of
            these for no would charge somebody who asked for the price.
    """
    _refuse_hidden_dry_run(request, fields)
    told = [(name, value) for name, value in _stated(request, fields) if _SPELLED.search(unquote(name))]
    stated = [(name, _word(value)) for name, value in told if value is not None]
    for name, _ in stated:
        if name != "dry_run":
            raise invalid("dry_run", f"{name[:40]} is spelled dry_run here: send dry_run=true or dry_run=false.")
    if any(word not in _DRY_RUN for _, word in stated):
        raise invalid("dry_run", "dry_run must be true or false; nothing was run.")
    asked = {_DRY_RUN[word] for _, word in stated}
    if len(asked) > 1:
        raise invalid("dry_run", "dry_run is given twice and says both true and false; send one.")
    return asked == {True}


def _refuse_hidden_dry_run(request: Request, fields: Mapping[str, Any]) -> None:
    """
    A `dry_run` in a header, inside another parameter's value (`?a=1;dry_run=true`) or deeper in a JSON body. Raises AppError.

    The address has nothing else that is called so; a text of the body must say yes or no to it, since people name things.
    """
    if any(_SPELLED.search(name) for name in request.headers):
        raise invalid("dry_run", "dry_run is no header here and was not read: send ?dry_run=true in the address.")
    for name, values in request.GET.lists():
        if any(_SPELLED.search(unquote(value)) for value in values):
            issue = f"dry_run stands inside the value of {name[:40]} and was not read: separate parameters with &, not with ;."
            raise invalid("dry_run", issue)
    for name, value in _stated(request, fields):
        if name != "dry_run" and _hides_dry_run(value):
            raise invalid(
                "dry_run", f"dry_run stands inside {name[:40]} and was not read: send it as a field of its own."
            )


def _hides_dry_run(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_SPELLED.search(name) or _hides_dry_run(inner) for name, inner in value.items())
    if isinstance(value, list):
        return any(map(_hides_dry_run, value))
    if not isinstance(value, str):
        return False
    is_address = value.startswith(("http:", "https:"))  # whose own query may say what it likes
    return bool(_STATED.search((value.partition(";")[2] if is_address else value)[:_LONGEST_SCANNED]))


def unknown_fields(operation: Operation, request: Request, fields: Mapping[str, Any]) -> list[str]:
    """
    A sentence for each name in the body or the address that says nothing here, so that a typing error does not go unseen.

    Only what an operation in the envelope knows counts as known.
    """
    known = {
        *operation.serializer._declared_fields,
        *DeliverySerializer._declared_fields,
        *operation.fixed,
        *_EVERYWHERE,
    }
    known |= {name for image in operation.images for name in image.fields.names}
    return ignored_names(request, fields, in_body=known, in_address=_EVERYWHERE)


def ignored_names(
    request: Request,
    fields: Mapping[str, Any] = _NO_FIELDS,
    *,
    in_body: Collection[str] = (),
    in_address: Collection[str] = _EVERYWHERE,
) -> list[str]:
    """The same by the names that the body and the address of a view know."""
    strange = [(name, "field", in_body) for name in fields if name not in in_body]
    strange += [
        (name, "parameter of the address", {*in_body, *in_address}) for name in request.GET if name not in in_address
    ]
    return [_ignored(name, kind, known) for name, kind, known in strange[:_MOST_TOLD]]


def refuse_contradictions(fields: Mapping[str, Any], names: Iterable[str]) -> None:
    """Of a field that is given twice with two values, none is what the client surely means. Raises AppError."""
    if not isinstance(fields, MultiValueDict):
        return
    for name in names:
        values = [value for value in fields.getlist(name) if value != ""]
        if any(value != values[0] for value in values):
            raise invalid(name, f"{name} is given more than once, with different values; send one.")


def refuse_dry_run(request: Request) -> None:
    """At an address that has no price, and does what it does for good. Raises AppError."""
    if _SPELLED.search(unquote(unquote(request.META.get("QUERY_STRING", "")))):  # however often it is encoded
        raise invalid(
            "dry_run", "There is no dry run of a DELETE, and nothing was deleted: leave dry_run out to delete."
        )


def _ignored(name: str, kind: str, known: Collection[str]) -> str:
    if name in known:
        return f"{name} is no {kind} here and was ignored: send it in the body."
    near = difflib.get_close_matches(name[:_LONGEST_TOLD].lower(), known, n=1)
    return f"{name[:_LONGEST_TOLD]} is no {kind} here and was ignored" + (f"; did you mean {near[0]}?" if near else ".")


def _stated(request: Request, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Everything that the address and the body say, repetitions too."""
    for source in (request.GET, fields):
        for name in source:
            values = source.getlist(name) if isinstance(source, MultiValueDict) else [source[name]]
            yield from ((name, value) for value in values)


def _word(value: Any) -> str:
    """A short text as it is compared; what no word can be (a file, an object) becomes one that nobody expects."""
    if isinstance(value, bool | int | str):
        return str(value).strip().lower()
    return "" if value is None else "?"


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Form fields arrive as lists; an empty one or a null counts as absent, as it does for every peer."""
    return {name: fields.get(name) for name in fields if fields.get(name) not in ("", None)}


def _names_with_one_value(operation: Operation) -> list[str]:
    declared = {**operation.serializer._declared_fields, **DeliverySerializer._declared_fields}
    return [*operation.fixed, *(name for name, field in declared.items() if not isinstance(field, Choices))]


def _repeated(fields: Mapping[str, Any], operation: Operation) -> dict[str, list[Any]]:
    """What a form says more than once, of the fields that take several values."""
    if not isinstance(fields, MultiValueDict):
        return {}
    names = [name for name, field in operation.serializer._declared_fields.items() if isinstance(field, Choices)]
    given = {name: [value for value in fields.getlist(name) if value != ""] for name in names}
    return {name: values for name, values in given.items() if values}
