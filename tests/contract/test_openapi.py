"""The OpenAPI document names what the code serves; tests/stack/test_schema.py asks a running service all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from apps.core.openapi.document import openapi_document


def test_document_is_openapi_3_1_and_names_every_route() -> None:
    from config.routes import ROUTES

    document = openapi_document()

    assert document["openapi"].startswith("3.1")
    assert {f"/{route.path}" for route in ROUTES} <= set(document["paths"])


@pytest.mark.parametrize("path", ["/v1/remove-bg/universal", "/v1/remove-bg/human"])
def test_binary_answers_and_multipart_are_described(path: str) -> None:
    post = openapi_document()["paths"][path]["post"]

    assert {"application/json", "image/png", "image/webp", "image/jpeg"} == set(post["responses"]["200"]["content"])
    fields = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert (fields["image"]["type"], fields["image"]["format"]) == ("string", "binary")
    assert ("subject" in fields) == path.endswith("universal")


def test_json_bodies_are_told_but_not_to_generators_which_would_send_them_without_the_file() -> None:
    path = "/v1/remove-bg/universal"
    for_generators = openapi_document()["paths"][path]["post"]["requestBody"]
    whole = openapi_document(all_bodies=True)["paths"][path]["post"]["requestBody"]

    assert set(for_generators["content"]) == {"multipart/form-data"}
    assert for_generators["x-json-body"] == whole["content"]["application/json"]
    assert set(whole["content"]) == {"multipart/form-data", "application/json"}


def test_every_address_that_takes_a_file_shows_the_form_alone() -> None:
    """Of several body types generators take one, and drop the file where it is JSON."""
    seen = 0
    for path, methods in openapi_document()["paths"].items():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {})
            has_file = any(
                node.get("format") == "binary"
                for body in content.values()
                for _, node in schemas(body.get("schema", {}))
            )
            if has_file and not all(media.startswith("image/") for media in content):
                seen += 1
                assert set(content) == {"multipart/form-data"}, path
    assert seen >= 7


def test_removebg_takes_three_body_types_and_tells_all_of_them_on_request() -> None:
    document = openapi_document(all_bodies=True)
    content = document["paths"]["/v1.0/removebg"]["post"]["requestBody"]["content"]
    schemas_of = {media: body["schema"].get("$ref", "") for media, body in content.items()}

    assert set(content) == {"multipart/form-data", "application/json", "application/x-www-form-urlencoded"}
    assert schemas_of["application/json"] == schemas_of["application/x-www-form-urlencoded"]
    text = document["components"]["schemas"][schemas_of["application/json"].rpartition("/")[2]]["properties"]
    assert "image_file_b64" in text
    assert "image_file" not in text


def test_extensions_that_stand_for_other_bodies_are_gone_from_the_whole_document() -> None:
    for methods in openapi_document(all_bodies=True)["paths"].values():
        for operation in methods.values():
            assert not {"x-json-body", "x-other-bodies"} & set(operation.get("requestBody", {}))


@pytest.mark.parametrize(
    "path", ["/v1/remove-bg/human", "/v1/clothing-segmentation", "/v1/watermark-removal", "/v1.0/removebg"]
)
def test_answer_is_a_field_where_there_are_two_forms(path: str) -> None:
    schema = openapi_document()["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]

    assert schema["properties"]["answer"]["enum"] == ["image", "json"]
    assert "Accept" in schema["properties"]["answer"]["description"]


@pytest.mark.parametrize("path", ["/v1/remove-bg/human", "/v1/clothing-segmentation", "/v1/watermark-removal"])
def test_one_schema_for_now_and_later(path: str) -> None:
    document = openapi_document()
    responses = document["paths"][path]["post"]["responses"]
    (now, later) = (responses[status]["content"]["application/json"]["schema"] for status in ("200", "202"))

    envelope = document["components"]["schemas"][now["$ref"].rpartition("/")[2]]
    data = document["components"]["schemas"][envelope["properties"]["data"]["$ref"].rpartition("/")[2]]

    assert now == later
    assert {"jobId", "status", "stage", "progress", "result", "price", "valid", "image"} <= set(data["properties"])


# What makes generated clients good or spoils them; `make check-clients` generates and uses some.


def schemas(node: Any, where: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, and where it stands."""
    if isinstance(node, dict):
        yield where, node
        for name, inner in node.items():
            yield from schemas(inner, f"{where}/{name}")
    elif isinstance(node, list):
        for place, inner in enumerate(node):
            yield from schemas(inner, f"{where}/{place}")


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document(all_bodies=True)
    for where, node in schemas(document):
        if isinstance(node.get("$ref"), str):
            target: Any = document
            for step in node["$ref"].removeprefix("#/").split("/"):
                assert step in target, (where, node["$ref"])
                target = target[step]


def test_operations_are_named_as_methods_are_and_once() -> None:
    names = [
        operation["operationId"]
        for path in openapi_document()["paths"].values()
        for method, operation in path.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]

    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z_]+[a-z]", name) for name in names), names


def test_names_differ_on_disks_that_are_blind_to_case() -> None:
    document = openapi_document()
    tags = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    for names in (document["components"]["schemas"], tags):
        plain = [re.sub(r"\W|_", "", name).lower() for name in names]
        assert len(plain) == len(set(plain)), names


def test_answers_have_no_choice_to_unpack_and_no_member_that_is_only_null() -> None:
    for where, node in schemas(openapi_document()):
        assert node.get("type") != "null" or re.search(r"/anyOf/1$", where), where
        for choice in ("anyOf", "oneOf", "allOf"):
            alternatives = [each for each in node.get(choice, []) if each != {"type": "null"}]
            assert len(alternatives) <= 1, where


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/v1/remove-bg/human", "application/json"),
        ("/v1.0/removebg", "application/json"),
        ("/v1/remove-background", "image/"),
    ],
)
def test_first_of_several_answers_is_what_clients_get(path: str, first: str) -> None:
    """Generators take the first media type for the answer's type."""
    content = openapi_document()["paths"][path]["post"]["responses"]["200"]["content"]

    assert next(iter(content)).startswith(first)


def test_every_json_answer_is_a_named_schema() -> None:
    for path, methods in openapi_document()["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                assert "$ref" in schema or schema.get("additionalProperties") or not schema, (path, status)


def test_every_method_of_every_view_is_in_the_document() -> None:
    """What is not would answer and be told to nobody."""
    from django.urls import get_resolver
    from drf_spectacular.generators import EndpointEnumerator

    paths = openapi_document()["paths"]
    served = {(path, method.lower()) for path, _, method, _ in EndpointEnumerator().get_api_endpoints()}
    bare = {str(pattern.pattern) for pattern in get_resolver().url_patterns if hasattr(pattern.callback, "endpoint")}

    assert served | {(f"/{path}", "get") for path in bare} == {
        (path, method) for path in paths for method in paths[path]
    }
    assert {"healthz", "readyz", "metrics"} == bare


def test_webhooks_are_described_with_what_is_told() -> None:
    document = openapi_document()

    sections = document["webhooks"]
    bodies = {
        kind: section["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for kind, section in sections.items()
    }

    assert {"job.succeeded", "job.failed", "credits.low", "webhook.test"} <= set(sections)
    assert bodies["job.succeeded"] == "JobEvent"
    assert document["components"]["schemas"]["JobEvent"]["properties"]["data"] == {"$ref": "#/components/schemas/Job"}
    assert [each["name"] for each in sections["credits.low"]["post"]["parameters"]] == [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ]


def test_manual_begins_with_what_most_people_come_for() -> None:
    document = openapi_document()
    shown = [tag["name"] for tag in document["tags"]]
    used = {tag for methods in document["paths"].values() for each in methods.values() for tag in each["tags"]}

    assert shown[:3] == ["remove-bg", "clothing-segmentation", "watermark-removal"]
    assert sorted(shown) == sorted(used)
