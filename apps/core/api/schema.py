"""
The OpenAPI 3.1 document, from the same table that serves: an operation's route describes itself with its serializer,
its limits and its dialect, so the document can't promise what the code doesn't take.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views import View
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from apps.core.openapi import COMPONENTS, SECURITY, image_sources, system_paths
from apps.core.operations import Operation


class KeylineSchema(AutoSchema):
    """Describes an operation's POST by hand from its parts; other views describe themselves with `openapi`."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        self.path, self.path_regex, self.path_prefix = path, path_regex, path_prefix
        self.method, self.registry = method.upper(), registry
        operation = getattr(self.view, "operation", None)
        if operation is not None:
            return self._describe(operation)
        described = getattr(self.view, "openapi", {}).get(method.lower())
        return None if described is None else {**described}

    def _describe(self, operation: Operation) -> dict[str, Any]:
        described = self._map_serializer(operation.serializer, "request")
        params = {name: schema for name, schema in described["properties"].items() if name not in operation.fixed}
        limits = operation.image_limits
        common = {"type": "object", "additionalProperties": True}
        multipart = {**common, "properties": {**image_sources(limits, files=True), **params}}
        json_body = {**common, "properties": {**image_sources(limits, files=False), **params}}
        return {
            "operationId": self.path.strip("/").replace("/", "_").replace("-", "_").replace(".", "_"),
            "summary": operation.title,
            "tags": [operation.slug],
            "security": SECURITY,
            "parameters": [
                {"$ref": "#/components/parameters/Prefer"},
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": multipart},
                    "application/json": {"schema": json_body},
                },
            },
            "responses": self.view.dialect.responses(operation),
        }


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """The whole document; it depends on nothing but the code."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    document["components"] = {**document.get("components", {}), **COMPONENTS}
    document["paths"] = {**document["paths"], **system_paths()}
    return document


class OpenApiView(View):
    """`GET /openapi.json`."""

    def get(self, request: HttpRequest) -> JsonResponse:  # noqa: ARG002 - Django's signature
        return JsonResponse(openapi_document(), headers={"Cache-Control": "max-age=300"})
