"""The OpenAPI document names what the code serves; tests/stack/test_schema.py asks a running service all of it."""

from __future__ import annotations

import pytest

from apps.core.api.schema import openapi_document


def test_document_is_openapi_3_1_and_names_every_route() -> None:
    from config.routes import ROUTES

    document = openapi_document()

    assert document["openapi"].startswith("3.1")
    assert {f"/{route.path}" for route in ROUTES} <= set(document["paths"])


@pytest.mark.parametrize("path", ["/v1/remove-bg/universal", "/v1/remove-bg/human"])
def test_binary_answers_and_multipart_are_described(path: str) -> None:
    post = openapi_document()["paths"][path]["post"]

    assert {"application/json", "image/png", "image/webp", "image/jpeg"} == set(post["responses"]["200"]["content"])
    image = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["image"]
    assert (image["type"], image["format"]) == ("string", "binary")
    assert ("subject" in post["requestBody"]["content"]["application/json"]["schema"]["properties"]) == (
        path.endswith("universal")
    )
