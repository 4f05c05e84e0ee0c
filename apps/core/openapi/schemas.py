"""The schemas of the OpenAPI document: made from the classes that answers are made of, or given a name here."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import msgspec

COMPONENTS: dict[str, Any] = {}
"""Every named schema; a name becomes that of a class or type in generated clients."""

_REF = "#/components/schemas/"
JSON_BODY, OTHER_BODIES = "x-json-body", "x-other-bodies"
"""Where a request body keeps what generators of clients should not see: of several body types they take one."""


def named(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """
    Give a schema a name.

    Raises:
        ValueError: another schema has that name.
    """
    if COMPONENTS.setdefault(name, schema) != schema:
        raise ValueError(f"two schemas are called {name}")
    return {"$ref": f"{_REF}{name}"}


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type; the classes in it are named."""
    (schema,), found = msgspec.json.schema_components([kind], ref_template="{name}")
    return _tidied(schema, found)


def _tidied(schema: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """As generators of clients like it: null as a second type, enums with their type, nothing that only repeats a name."""
    if "$ref" in schema:
        return _referred(schema, found)
    told = {
        member: value for member, value in schema.items() if member != "title" and (member, value) != ("required", [])
    }
    if "properties" in told:
        told["properties"] = {name: _tidied(each, found) for name, each in told["properties"].items()}
    for member in ("items", "additionalProperties"):
        if isinstance(told.get(member), dict):
            told[member] = _tidied(told[member], found)
    if "enum" in told:
        told |= {"type": "string", "enum": _in_order(schema)}
    if "anyOf" in told:
        value, null = (_tidied(each, found) for each in told.pop("anyOf"))
        in_one = {**value, "type": [value["type"], "null"]} if "type" in value else {"anyOf": [value, null]}
        told = {**in_one, **told}
    return told


def _referred(schema: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """By its name; what has none, or has words of its own here, is written out."""
    name, more = schema["$ref"], {member: value for member, value in schema.items() if member != "$ref"}
    target = found[name]
    if name.startswith("_") or (more and "enum" in target):
        return _tidied({**target, **more}, found)
    return {**more, **named(_called(name), _tidied(target, found))}


def _called(name: str) -> str:
    """`Envelope[Account]` is the AccountEnvelope, `Envelope[RemoveBgData]` the RemoveBgEnvelope."""
    return re.sub(r"^(\w+?)_(\w+?)(Data)?_$", r"\2\1", name)


def _in_order(schema: dict[str, Any]) -> list[str]:
    """An enum's values as its class has them; msgspec sorts them."""
    values: list[str] = schema["enum"]
    classes = (each for each in StrEnum.__subclasses__() if each.__name__ == schema.get("title"))
    orders = ([member.value for member in each] for each in classes)
    return next((order for order in orders if set(order) == set(values)), values)


def properties_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schemas of a class's fields; the class itself is not named."""
    (schema,), found = msgspec.json.schema_components([kind], ref_template="{name}")
    return {name: _tidied(each, found) for name, each in found[schema["$ref"]]["properties"].items()}
