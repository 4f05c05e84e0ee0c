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

from apps.core.api.system_schema import JOB_PATHS, SYSTEM_PATHS
from apps.core.openapi import COMPONENTS, EXAMPLE_IMAGE, SECURITY, image_sources
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
                {"$ref": "#/components/parameters/IdempotencyKey"},
                {"$ref": "#/components/parameters/DryRun"},
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": multipart},
                    "application/json": {"schema": json_body, "example": {"image_base64": EXAMPLE_IMAGE}},
                },
            },
            "responses": self.view.dialect.responses(operation),
        }


_MORE_PATHS: dict[str, Any] = {**JOB_PATHS, **SYSTEM_PATHS}


def describe(paths: dict[str, Any]) -> None:
    """Add the paths of a service to the document; called when the service starts."""
    _MORE_PATHS.update(paths)


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: the components, and the paths outside the table of operations."""
    result["components"] = {**result.get("components", {}), **COMPONENTS}
    result["paths"] = {**result["paths"], **_MORE_PATHS}
    return result


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """The whole document; it depends on nothing but the code."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document


class OpenApiView(View):
    """`GET /openapi.json`."""

    def get(self, request: HttpRequest) -> JsonResponse:  # noqa: ARG002 - Django's signature
        return JsonResponse(openapi_document(), headers={"Cache-Control": "max-age=300"})
