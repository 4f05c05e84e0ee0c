"""
What JSON answers are made of, and what their schemas in the OpenAPI document are made of: one class does both.

A field is a member of the JSON, in this order and in camelCase; what is said about it, and the class's own sentence, are said to
clients. A class whose name begins with an underscore has no name in the document: it is written out where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Generic, Self, TypeVar, dataclass_transform

import msgspec
from msgspec import UNSET, Struct, UnsetType

from apps.core.errors import ErrorCode
from apps.core.outcome import WarningCode
from apps.core.owner import Mode

CENTS_PER_CREDIT = 5
Data = TypeVar("Data")


@dataclass_transform(
    frozen_default=True, field_specifiers=(msgspec.field,)
)  # msgspec inherits it; type checkers must be told
class Part(Struct, frozen=True, rename="camel"):
    """A JSON object of an answer. A field that may be absent is `| UnsetType = UNSET`."""


def as_json(part: Struct) -> dict[str, Any]:
    """The same as JSON values."""
    told: dict[str, Any] = msgspec.to_builtins(part)
    return told


def about(text: str | None = None, *, examples: Sequence[Any] | None = None, **more: Any) -> msgspec.Meta:
    """What the document says of a field: a sentence, examples, and further members of its schema."""
    return msgspec.Meta(description=text, examples=list(examples) if examples else None, extra_json_schema=more or None)


Uuid = Annotated[str, about(format="uuid")]
Url = Annotated[str, about(format="uri")]
Moment = Annotated[str, about(format="date-time")]
Day = Annotated[str, about(format="date")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Members = Annotated[dict[str, Any], about(additionalProperties=True)]  # generators then make a map of it
Box = Annotated[list[int], msgspec.Meta(min_length=4, max_length=4)]


class Price(Part):
    """Credits, and what they are in dollars."""

    credits: Count
    usd: str

    @classmethod
    def of(cls, credits: int) -> Self:
        """One credit is five cents."""
        cents = credits * CENTS_PER_CREDIT
        return cls(credits=credits, usd=f"{cents // 100}.{cents % 100:02d}")


Valid = Annotated[bool, about("dry_run: the request is right.")]


class Quote(Part):
    """What a dry run tells."""

    price: Price
    valid: Valid

    @classmethod
    def of(cls, credits: int) -> Self:
        return cls(price=Price.of(credits), valid=True)


def example_url(name: str) -> str:
    """A presigned one, as the document shows it."""
    return f"https://store.example/results/5d3c/1/{name}.png?X-Amz-Expires=86400&X-Amz-Signature=9f0c"


class Image(Part):
    """A file of a result."""

    url: Annotated[Url, about("Presigned; dies at expiresAt.")]
    content_type: Annotated[str, about(examples=["image/png", "image/webp", "image/jpeg"])]
    width: int
    height: int
    bytes: int
    sha256: str
    expires_at: Moment | None

    @classmethod
    def example(cls, name: str, *, width: int, height: int, size_bytes: int) -> Self:
        """As the document shows one."""
        return cls(
            url=example_url(name),
            content_type="image/png",
            width=width,
            height=height,
            bytes=size_bytes,
            sha256="8c1f3a7d5e9b2046c7d8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6",
            expires_at="2026-02-18T17:40:22.456Z",
        )


class Result(Part):
    """What an operation answers, beside the job's id and status; an operation adds its own members to the image."""

    image: Image

    @classmethod
    def of(cls, images: dict[str, Image], facts: dict[str, Any]) -> Self:
        """
        From the images by name, and the runner's facts; those that no field is called after are left out.

        Raises:
            msgspec.ValidationError: a field has no image and no fact, or another type.
        """
        return msgspec.convert({**images, **facts}, cls)


class ApiWarning(Part):
    """Something worth telling that is no error."""

    # no enum: a generated client would refuse the answer with the next code
    code: Annotated[str, about("More may come with time.", examples=[code.value for code in WarningCode])]
    message: str


class ErrorDetail(Part):
    """A field, and what is wrong with it."""

    field: str
    issue: str


class ApiError(Part):
    """Why there is no result."""

    code: ErrorCode
    message: Annotated[str, about("A sentence that a person can act on.")]
    details: list[ErrorDetail]
    retryable: Annotated[bool, about("The same request may succeed later.")]


class JobStatus(StrEnum):
    """What a client sees of a job's state."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class DeliveryStatus(StrEnum):
    """Of something that is sent."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class JobDelivery(Part):
    """What became of upload_url; it never changes the charge."""

    status: DeliveryStatus
    attempts: Count
    last_status: Annotated[int | None, about("Of the last answer that came; null where none did.")]


class ListedJob(Part):
    """A job in a list: all but its result."""

    job_id: Uuid
    operation: str
    mode: Annotated[Mode, about("Of the key that sent it: keys of the other mode never see the job.")]
    key: Annotated[str | None, about("First characters of the key that sent it.")]
    status: JobStatus
    stage: str
    progress: Share
    created_at: Moment
    finished_at: Moment | None
    expires_at: Moment | None
    credits_charged: Count
    error: ApiError | None
    delivery: Annotated[JobDelivery | None, about("null without upload_url.")]


class Job(ListedJob):
    """The job; a failed one has its error in data.error."""

    result: Annotated[Members | None, about("What the synchronous answer has in data, without jobId and status.")]


class Meta(Part):
    """About the answer; of a result also what it cost, and how it came about."""

    request_id: Uuid
    created_at: Moment
    processing_ms: Count
    credits_charged: Count | UnsetType = UNSET
    model: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    precision: Annotated[str | UnsetType, about("In which numbers the networks computed: f32, bf16, int8 or f16.")] = (
        UNSET
    )
    stages_ms: dict[str, int] | UnsetType = UNSET


class Envelope(Part, Generic[Data], forbid_unknown_fields=True):
    """The four members of every JSON answer."""

    meta: Meta
    data: Data
    warnings: list[ApiWarning]
    error: ApiError | None  # null here, but generators of clients stumble over a member that can only be null


class ErrorEnvelope(Part, forbid_unknown_fields=True):
    """The same members of a failure."""

    meta: Meta
    data: Annotated[dict[str, Any] | None, about("Always null.")]
    warnings: list[ApiWarning]
    error: ApiError
