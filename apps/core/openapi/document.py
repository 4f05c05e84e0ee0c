"""
The OpenAPI 3.1 document, from the same table that serves: an operation's route describes itself with its serializer,
its limits and its dialect, so the document can't promise what the code doesn't take.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import Serializer

from apps.core.api.fields import DeliverySerializer, FormSerializer
from apps.core.dialects.base import Dialect
from apps.core.dialects.envelope import ENVELOPE
from apps.core.dialects.raw import RAW
from apps.core.openapi.parts import COMPONENTS, EXAMPLE_IMAGE, SECURITY, image_sources, named
from apps.core.openapi.system import JOB_PATHS, SYSTEM_PATHS
from apps.core.operations import Operation


class KeylineSchema(AutoSchema):
    """Describes an operation's POST from its parts; the other addresses are described beside their views."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        self.path, self.path_regex, self.path_prefix = path, path_regex, path_prefix
        self.method, self.registry = method.upper(), registry
        operation = getattr(self.view, "operation", None)
        if operation is not None:
            return self._describe(operation)
        return None

    def _describe(self, operation: Operation) -> dict[str, Any]:
        dialect = self.view.dialect
        prefer = ["Prefer"] if dialect.can_defer else []
        described = {
            "operationId": _operation_id(self.path),
            "summary": operation.title,
            "tags": [operation.slug if dialect is ENVELOPE else "compatible"],
            "security": SECURITY,
            "parameters": [
                *self._query(operation, dialect),
                *({"$ref": f"#/components/parameters/{name}"} for name in (*prefer, "IdempotencyKey", "DryRun")),
            ],
            "requestBody": self._raw_body(operation) if dialect is RAW else self._body(operation, dialect),
            "responses": dialect.responses(operation),
        }
        extend = getattr(self.view, "extend_schema", None)  # a service that adds a way to pay describes it
        return extend(described) if extend else described

    def _query(self, operation: Operation, dialect: Dialect) -> list[dict[str, Any]]:
        """Where the body is the image, the parameters stand in the query."""
        if dialect is not RAW:
            return []
        return [
            {
                "name": name,
                "in": "query",
                "description": schema.get("description", ""),
                "schema": {key: value for key, value in schema.items() if key != "description"},
            }
            for name, schema in self._properties(operation.serializer).items()
        ]

    def _raw_body(self, operation: Operation) -> dict[str, Any]:
        most = operation.image_limits
        about = f"The image itself; at most {most.max_bytes // 1_048_576} MB and {most.max_width_px} x {most.max_height_px} px."
        media = [f"image/{name.value.lower()}" for name in sorted(most.formats)]
        schema = {"type": "string", "format": "binary"}
        return {
            "required": True,
            "description": about,
            "content": {name: {"schema": {**schema, "contentMediaType": name}} for name in media},
        }

    def _body(self, operation: Operation, dialect: Dialect) -> dict[str, Any]:
        """
        The same fields as multipart/form-data and as JSON; files only in the former.

        Generated clients take one body type an address: of two, those of openapi-generator send JSON, without the file. So
        addresses that take a file show the form alone, and the other bodies stand in an extension; see `openapi_document`.
        """
        params = self._properties(operation.serializer)
        if dialect.offers_retention:
            params |= self._properties(DeliverySerializer)
        if len(dialect.forms) > 1:
            params |= self._properties(FormSerializer)
        params = {name: schema for name, schema in params.items() if name not in operation.fixed}

        def fields(*, files: bool) -> dict[str, Any]:
            sources = [image_sources(image, files=files) for image in operation.images]
            properties = {name: schema for source in sources for name, schema in source.items()}
            properties |= {name: _in_body(schema, is_json=not files) for name, schema in params.items()}
            return {"type": "object", "properties": properties}

        form = {"multipart/form-data": {"schema": fields(files=True)}}
        text: dict[str, Any] = {"schema": fields(files=False)}
        if operation.image_fields.base64:
            text["example"] = {operation.image_fields.base64: EXAMPLE_IMAGE}
        if not operation.image_fields.takes_file:
            return {"required": True, "content": {"application/json": text}}
        if not operation.image_fields.names[1:]:  # the image is a file, so there is no text that could carry it
            form["multipart/form-data"]["schema"]["required"] = [operation.image_fields.file]
            return {"required": True, "content": form}
        name = "".join(word.title() for word in _operation_id(self.path).split("_"))
        text["schema"] = named(f"{name}Json", text["schema"])
        others = ["application/json", *(["application/x-www-form-urlencoded"] if dialect.takes_urlencoded else [])]
        about = (
            f"One of the image fields. The same fields but the file are taken as {' and '.join(others)} too: see x-json-body, "
            "or GET /openapi.json?bodies=all, where all of them stand in content."
        )
        return {"required": True, "description": about, "content": form, _JSON_BODY: text, _OTHER_BODIES: others}

    def _properties(self, serializer: type[Serializer]) -> dict[str, Any]:
        properties: dict[str, Any] = self._map_serializer(serializer, "request").get("properties", {})
        return dict(properties)


def _in_body(schema: dict[str, Any], *, is_json: bool) -> dict[str, Any]:
    """A field as a body holds it: what is JSON text in a form may be the value itself in a JSON body."""
    plain = {name: value for name, value in schema.items() if name != _IN_JSON_BODY}
    if is_json and _IN_JSON_BODY in schema:
        return {"description": plain.get("description", ""), **schema[_IN_JSON_BODY]}
    return plain


def _operation_id(path: str) -> str:
    """The address without its version, as a method of a generated client is called: `remove_bg_universal`."""
    words = [word for word in path.strip("/").split("/") if not re.fullmatch(r"v\d+(\.\d+)?", word)]
    return "_".join(words).replace("-", "_")


_JSON_BODY = "x-json-body"
_OTHER_BODIES = "x-other-bodies"
_IN_JSON_BODY = "x-in-json-body"
_MORE_PATHS: dict[str, Any] = {**JOB_PATHS, **SYSTEM_PATHS}


def describe(paths: dict[str, Any]) -> None:
    """Add the paths of a service to the document; called when the service starts."""
    _MORE_PATHS.update(paths)


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: the components, and the paths outside the table of operations."""
    result["components"] = {**result.get("components", {}), **COMPONENTS}
    result["paths"] = {**result["paths"], **_MORE_PATHS}
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
            body = methods.get("post", {}).get("requestBody", {})
            if _JSON_BODY in body:
                text = body.pop(_JSON_BODY)
                body["content"] |= dict.fromkeys(body.pop(_OTHER_BODIES), text)
    return document


@method_decorator(csrf_exempt, name="dispatch")  # else another method were a 403 and not a 405
class OpenApiView(View):
    """`GET /openapi.json`, with `?bodies=all` for every body type of every address."""

    def get(self, request: HttpRequest) -> JsonResponse:
        document = openapi_document(all_bodies=request.GET.get("bodies") == "all")
        return JsonResponse(document, headers={"Cache-Control": "max-age=300"})
