"""What a view says of a method that no table of operations knows; the OpenAPI document is made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, get_args

from apps.core.answers import Part
from apps.core.dialects.base import Dialect
from apps.core.dialects.envelope import ENVELOPE
from apps.core.errors import ErrorCode
from apps.core.openapi.responses import common_headers, failures, json_content
from apps.core.openapi.schemas import JSON_BODY, OTHER_BODIES

SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]
_ALWAYS = {ErrorCode.METHOD_NOT_ALLOWED, ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL_ERROR, ErrorCode.OVERLOADED}
_WITH_KEY = {ErrorCode.VALIDATION_ERROR, ErrorCode.UNAUTHENTICATED}
_WITH_BODY = {ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE}
_WITH_TICKET = {ErrorCode.CONFLICT, ErrorCode.GONE, ErrorCode.IDEMPOTENCY_MISMATCH}
Method = TypeVar("Method", bound=Callable[..., Any])


class View(Protocol):
    """
    What the document asks of a view.

    Attributes:
        chapter: of the reference.
        refusals: errors of its methods, beside those that every view can answer.
    """

    dialect: Dialect
    chapter: ClassVar[str]
    refusals: ClassVar[Collection[ErrorCode]]
    authentication_classes: Sequence[Any]


@dataclass(frozen=True)
class Endpoint:
    """
    Decorates the method of a view of ours, or a function of Django's.

    Args:
        name: as generated clients call it.
        summary: what it does, in half a sentence.
        answer: the class of a success in JSON, `Envelope[...]` around it where that is; None for a 204.
        status: of a success.
        done: what a success is; its class says it, where it has one.
        about: more than the summary.
        query: the parameters of the address.
        body: the content by media type; or a JSON body, as an example.
        json_body: of an address that takes a form: the same in JSON, which only `?bodies=all` shows beside it.
        example: a success.
        takes_ticket: an `Idempotency-Key` makes it repeatable.
        media: what a success can be beside JSON.
        refusals: its errors beside the view's and those that follow from method, key, path and body; of a function, all of them.
        unready: the class of its 503, where that is no error.
    """

    name: str
    summary: str
    answer: Any = None
    status: int = 200
    done: str = ""
    about: str = ""
    query: tuple[Mapping[str, Any], ...] = ()
    body: Mapping[str, Any] | Part | None = None
    json_body: Mapping[str, Any] | None = None
    example: Part | None = None
    takes_ticket: bool = False
    media: Mapping[str, Any] = field(default_factory=dict)
    refusals: tuple[ErrorCode, ...] = ()
    unready: type[Part] | None = None

    def __call__(self, method: Method) -> Method:
        method.endpoint = self  # type: ignore[attr-defined]
        return method

    def described(self, path: str, view: View | None = None) -> dict[str, Any]:
        """The operation of the document; of a function, which is for everybody, without a view."""
        parameters = [*(_in_path(name) for name in re.findall(r"{(\w+)}", path)), *self.query]
        if self.takes_ticket:
            parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
        dialect = view.dialect if view else ENVELOPE
        responses = {str(self.status): self._success(dialect, is_limited=view is not None)}
        responses |= failures(dialect, self._codes(path, view))
        if self.unready:
            responses["503"] = {"description": "Not ready", "content": json_content(self.unready)}
        told = {
            "operationId": self.name,
            "summary": self.summary,
            "description": self.about,
            "tags": [view.chapter if view else "system"],
            "parameters": parameters,
            "requestBody": self._body(),
            "responses": responses,
        }
        security = SECURITY if view and view.authentication_classes else []
        return {"security": security, **{name: value for name, value in told.items() if value}}

    def _codes(self, path: str, view: View | None) -> set[ErrorCode]:
        if view is None:
            return set(self.refusals)
        return (
            {*_ALWAYS, *view.refusals, *self.refusals}
            | (_WITH_KEY if view.authentication_classes else set())
            | ({ErrorCode.NOT_FOUND} if "{" in path else set())
            | (_WITH_BODY if self.body else set())
            | (_WITH_TICKET if self.takes_ticket else set())
        )

    def _success(self, dialect: Dialect, *, is_limited: bool) -> dict[str, Any]:
        if self.status == 204:
            return {"description": "Gone"}
        (kind,) = get_args(self.answer) or (self.answer,)
        json = json_content(self.answer, self.example) if self.answer else {}
        return {
            "description": self.done or kind.__doc__,
            "headers": common_headers(dialect, is_limited=is_limited),
            "content": {**json, **self.media},
        }

    def _body(self) -> dict[str, Any] | None:
        if self.body is None:
            return None
        content = json_content(type(self.body), self.body) if isinstance(self.body, Part) else self.body
        others = {JSON_BODY: self.json_body, OTHER_BODIES: ["application/json"]} if self.json_body else {}
        return {"required": True, "content": content, **others}


def in_query(name: str, about: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the address."""
    return {"name": name, "in": "query", "description": about, "schema": schema}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
