"""
The OpenAPI 3.1 document, from the same tables that serve: an operation's route describes itself with its serializer, its limits
and its dialect, any other view with the Endpoint on its method, so the document can't promise what the code doesn't take.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import Any, cast

from django.urls import get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import Serializer

from apps.core.dialects.envelope import ENVELOPE
from apps.core.dialects.raw import RawDialect
from apps.core.fields import DeliverySerializer, FormSerializer
from apps.core.openapi.bodies import body, raw_body, show_all
from apps.core.openapi.endpoints import SECURITY, Endpoint
from apps.core.openapi.news import news
from apps.core.openapi.responses import operation_responses
from apps.core.openapi.schemas import COMPONENTS
from apps.core.operations import Operation

_PARAMETERS: dict[str, Any] = {
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "respond-async answers 202 with a job at once; wait=N waits up to N seconds first (RFC 7240).",
        "schema": {"type": "string", "examples": ["respond-async", "wait=10"]},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same request (method, path, query, fields and file bytes) within 24 h gives "
        "the first answer again, with Idempotency-Replayed: true, and never a second charge. Keys are one account's, and "
        "live and sandbox never share one. Kept are answers that made something, and the 400 of a file that cannot be "
        "decoded; what the checks before refused (a field, an address, the credential, the size), want of credits (402), "
        "409, 429, 5xx and a dry run leave the key free. After a deletion it is a 410 until its 24 h are over.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    },
    "DryRun": {
        "name": "dry_run",
        "in": "query",
        "description": "true: check the request and tell its price; nothing runs and nothing is charged. "
        "Taken as a field of the body too; anything but true and false is refused.",
        "schema": {"type": "boolean", "default": False},
    },
}
_CREDENTIALS = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


class KeylineSchema(AutoSchema):
    """Describes an operation's POST from its parts, and any other method by its Endpoint."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        self.path, self.path_regex, self.path_prefix = path, path_regex, path_prefix
        self.method, self.registry = method.upper(), registry
        if operation := getattr(self.view, "operation", None):
            return self._describe(operation)
        endpoint: Endpoint | None = getattr(getattr(self.view, method.lower()), "endpoint", None)
        return endpoint.described(path, cast(Any, self.view)) if endpoint else None

    def _describe(self, operation: Operation) -> dict[str, Any]:
        view: Any = self.view
        dialect, name = view.dialect, _operation_id(self.path)
        params, is_raw = self._properties(operation.serializer), isinstance(dialect, RawDialect)
        if dialect.offers_retention:
            params |= self._properties(DeliverySerializer)
        if len(dialect.forms) > 1:
            params |= self._properties(FormSerializer)
        params = {name: schema for name, schema in params.items() if name not in operation.fixed}
        shared = (*(["Prefer"] if dialect.can_defer else []), "IdempotencyKey", "DryRun")
        described = {
            "operationId": name,
            "summary": operation.title,
            "tags": [operation.slug if dialect is ENVELOPE else "compatible"],
            "security": SECURITY,
            "parameters": [
                *(_in_query(params) if is_raw else []),
                *({"$ref": f"#/components/parameters/{name}"} for name in shared),
            ],
            "requestBody": raw_body(operation) if is_raw else body(operation, dialect, params, name=name),
            "responses": operation_responses(dialect, operation),
        }
        extend = getattr(self.view, "extend_schema", None)  # a service that adds a way to pay describes it
        return extend(described) if extend else described

    def _properties(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        describe: Any = self._map_serializer  # its module says no types
        properties: dict[str, Any] = describe(serializer, "request").get("properties", {})
        return dict(properties)


def _in_query(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Where the body is the image, the parameters stand in the query."""
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.get("description", ""),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in params.items()
    ]


def _operation_id(path: str) -> str:
    """The address without its version, as a method of a generated client is called: `remove_bg_universal`."""
    words = [word for word in path.strip("/").split("/") if not re.fullmatch(r"v\d+(\.\d+)?", word)]
    return "_".join(words).replace("-", "_")


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: what it sees no view of, and the components."""
    for pattern in get_resolver().url_patterns:
        endpoint: Endpoint | None = getattr(pattern.callback, "endpoint", None)
        if endpoint:
            path = f"/{pattern.pattern}"
            result["paths"][path] = {"get": endpoint.described(path)}
    result["webhooks"] = news()
    result["components"] = {"securitySchemes": _CREDENTIALS, "parameters": _PARAMETERS, "schemas": COMPONENTS}
    return result


@lru_cache(maxsize=2)
def openapi_document(*, all_bodies: bool = False) -> dict[str, Any]:
    """
    The whole document; it depends on nothing but the code.

    Args:
        all_bodies: show every body type beside forms: the whole truth, for readers and fuzzers rather than for generators.
    """
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    if all_bodies:
        document = copy.deepcopy(document)
        for methods in document["paths"].values():
            show_all(methods.get("post", {}).get("requestBody", {}))
    return document
