"""What Keyline can do, as data: a feature declares an Operation, a route exposes it, the core does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rest_framework.serializers import Serializer

from apps.core.answers import Result
from apps.core.owner import Owner
from apps.core.pictures.inspection import ImageHeader, ImageLimits

MEGABYTE = 1_048_576


@dataclass(frozen=True)
class SourceFields:
    """
    The names of the fields that carry one image: a file part, a URL, base64 text; None where that way is closed.

    Without `takes_file` the request is JSON alone, and `file` is only the name by which errors speak of the image.
    """

    file: str
    url: str | None = None
    base64: str | None = None
    takes_file: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Those that exist; a client sends at most one of them."""
        return tuple(name for name in (self.file if self.takes_file else None, self.url, self.base64) if name)


@dataclass(frozen=True)
class ImageInput:
    """
    One image that an operation takes.

    Args:
        name: under which the worker finds it (`work.input`).
        fields: how a client sends it.
        limits: what it may be.
        required: without it the request is refused.
    """

    name: str
    fields: SourceFields
    limits: ImageLimits
    required: bool = True


@dataclass(frozen=True)
class Tariff:
    """
    A use of an operation that has a price of its own.

    Args:
        slug: under which the admin's price list knows it.
        price_credits: the price of a success.
        applies: whether a request with these parameters is such a use.
    """

    slug: str
    price_credits: int
    applies: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Pace:
    """
    A use of an operation that takes another time than the rest of it, so that the two are measured apart.

    Args:
        name: under which its pace is kept, beside the operations' slugs.
        applies: whether a job with these parameters is such a use.
    """

    name: str
    applies: Callable[[Mapping[str, Any]], bool]


Checker = Callable[[Mapping[str, Any], Mapping[str, ImageHeader]], None]
Authorizer = Callable[[Mapping[str, Any], Owner], None]
Idle = Callable[[Mapping[str, Any]], Sequence[str]]


def _anything_goes(params: Mapping[str, Any], headers: Mapping[str, ImageHeader]) -> None:
    """Nothing more to check."""


def _nothing_is_owned(params: Mapping[str, Any], owner: Owner) -> None:
    """No parameter names what belongs to somebody."""


def _all_has_effect(params: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG001 - whatever was asked for
    return ()


def _always_image(params: Mapping[str, Any]) -> str:  # noqa: ARG001 - whatever was asked for
    return "image"


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
        tariffs: its uses that have another price.
        image_limits: what the uploaded image may be.
        body_cap_bytes: largest request body; more is a 413 before it is read.
        binary_default: answer with the image itself when the client states no wish.
        main_artifact: parameters -> the artifact that a binary answer carries.
        result: the class of the operation's part of `data`, and of its schema.
        example: such a result, for the OpenAPI document.
        fixed: parameters that the route decides; a client that contradicts them gets a 400.
        image_fields: the fields that carry the main image.
        more_images: further images, such as a mask or a background.
        paces: its uses that take another time.
        check: (params, image headers by name) -> None; raises AppError where the two do not fit, before anything is paid.
        authorize: (params, owner) -> None; raises AppError where they name what is not the owner's.
        idle: params -> a sentence for each one that has no effect beside the others, though it asks for one.
    """

    slug: str
    title: str
    serializer: type[Serializer[Any]]
    runner: str
    price_credits: int
    image_limits: ImageLimits
    body_cap_bytes: int
    binary_default: bool
    result: type[Result]
    example: Result | None = None
    main_artifact: Callable[[Mapping[str, Any]], str] = _always_image
    fixed: Mapping[str, Any] = field(default_factory=dict)
    image_fields: SourceFields = SourceFields("image", "image_url", "image_base64")
    more_images: tuple[ImageInput, ...] = ()
    check: Checker = _anything_goes
    authorize: Authorizer = _nothing_is_owned
    idle: Idle = _all_has_effect
    tariffs: tuple[Tariff, ...] = ()
    paces: tuple[Pace, ...] = ()

    @property
    def images(self) -> tuple[ImageInput, ...]:
        """Every image that it takes, the main one first."""
        return ImageInput("image", self.image_fields, self.image_limits), *self.more_images

    @property
    def price_list(self) -> tuple[Operation | Tariff, ...]:
        """All that it may be charged as."""
        return self, *self.tariffs

    @property
    def pace_names(self) -> tuple[str, ...]:
        """All that the time of its jobs is kept under."""
        return self.slug, *(pace.name for pace in self.paces)

    def pace_name(self, params: Mapping[str, Any]) -> str:
        """What the time of a job with these parameters is kept under."""
        return next((pace.name for pace in self.paces if pace.applies(params)), self.slug)

    def tariff(self, params: Mapping[str, Any]) -> Operation | Tariff:
        """What these parameters are charged as."""
        return next((tariff for tariff in self.tariffs if tariff.applies(params)), self)

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
