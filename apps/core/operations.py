"""What Keyline can do, as data: a feature declares an Operation, a route exposes it, the core does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rest_framework.serializers import Serializer

from apps.core.inspection import ImageLimits

MEGABYTE = 1_048_576


def _side_by_side(images: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    return {**images, **facts}


@dataclass(frozen=True)
class Operation:
    """
    One product.

    Args:
        slug: stable name, kept in rows and metrics.
        title: what it does, for people and for the OpenAPI document.
        serializer: checks the parameters; its validated data is what the runner gets (JSON values only).
        runner: dotted path of the Runner class (see engine.py); a path, so that the web process never imports pixels or networks.
        price_credits: the price of a success.
        image_limits: what the uploaded image may be.
        body_cap_bytes: largest request body; more is a 413 before it is read.
        binary_default: answer with the image itself when the client states no wish.
        main_artifact: the artifact that a binary answer carries.
        present: (images by artifact name, facts) -> the operation's part of `data`.
        result_schema: JSON Schema of what `present` returns, for the OpenAPI document.
        fixed: parameters that the route decides; a client that contradicts them gets a 400.
    """

    slug: str
    title: str
    serializer: type[Serializer]
    runner: str
    price_credits: int
    image_limits: ImageLimits
    body_cap_bytes: int
    binary_default: bool
    result_schema: Mapping[str, Any]
    main_artifact: str = "image"
    present: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = _side_by_side
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def fix(self, **params: Any) -> Operation:
        """The same operation with parameters that its route decides."""
        return replace(self, fixed={**self.fixed, **params})


_OPERATIONS: dict[str, Operation] = {}


def register_operation(operation: Operation) -> Operation:
    """Make the operation known to workers under its slug."""
    _OPERATIONS[operation.slug] = operation
    return operation


def operation_named(slug: str) -> Operation:
    return _OPERATIONS[slug]


def all_operations() -> list[Operation]:
    """Every operation that a feature has registered."""
    return list(_OPERATIONS.values())
