"""What JSON answers about webhooks are made of."""

from __future__ import annotations

from typing import Annotated, Self

from msgspec import UNSET, Meta, UnsetType

from apps.core.answers import Count, DeliveryStatus, Moment, Part, Url, Uuid, about
from apps.core.api.cursors import NextCursor
from apps.core.results import iso
from apps.webhooks import models
from apps.webhooks.models import EventType, Status

EXAMPLE_ID = "5b1c7e0a-0f3d-4a53-9a52-6f0f2f3f9b10"
Events = Annotated[list[EventType], Meta(min_length=1)]


class NewWebhook(Part):
    """Where to send what."""

    url: Annotated[Url, about("https, and an address that everybody can reach; redirects are not followed.")]
    events: Events
    description: Annotated[str | UnsetType, about("For you; at most 200 characters.")] = UNSET


class WebhookChange(Part):
    """What is left out stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: str | UnsetType = UNSET
    status: Annotated[Status | UnsetType, about("`active` lets one go on that was disabled by a 410.")] = UNSET


class Webhook(Part):
    """The webhook."""

    webhook_id: Uuid
    url: Url
    events: list[EventType]
    description: str
    status: Status
    created_at: Moment
    secret: Annotated[
        str | UnsetType,
        about("Shown once: by the answer that made it.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
    ] = UNSET

    @classmethod
    def of(cls, row: models.Webhook, *, secret: str | UnsetType = UNSET) -> Self:
        return cls(
            webhook_id=str(row.id),
            url=row.url,
            events=[EventType(each) for each in row.events],
            description=row.description,
            status=Status(row.status),
            created_at=iso(row.created_at),
            secret=secret,
        )


class Webhooks(Part):
    """The webhooks."""

    webhooks: Annotated[list[Webhook], about("The newest first.")]


class WebhookSecret(Part):
    """The new secret; the one before signs beside it until `previousUntil`."""

    webhook_id: Uuid
    secret: Annotated[str, about("Shown once.")]
    previous_until: Moment | None


class DeliveryAttempt(Part):
    """One try."""

    at: Moment
    http_status: Annotated[int | None, about("null where there was no answer.")]
    ms: Count
    error: Annotated[str | None, about("Why it is no success.")]


class WebhookDelivery(Part):
    """An event on its way to a webhook."""

    delivery_id: Uuid
    event_id: Annotated[Uuid, about("The `webhook-id` of every try, replays too.")]
    type: Annotated[str, about("`webhook.test`, or what a webhook can subscribe to.")]
    status: DeliveryStatus
    attempts: list[DeliveryAttempt]
    next_attempt_at: Moment | None
    created_at: Moment

    @classmethod
    def of(cls, row: models.Delivery) -> Self:
        return cls(
            delivery_id=str(row.id),
            event_id=str(row.event_id),
            type=row.event.type,
            status=DeliveryStatus(row.status),
            attempts=[
                DeliveryAttempt(at=each["at"], http_status=each["httpStatus"], ms=each["ms"], error=each["error"])
                for each in row.attempts
            ],
            next_attempt_at=iso(row.next_attempt_at),
            created_at=iso(row.created_at),
        )


class WebhookTest(Part):
    """Which webhook is tested."""

    webhook_id: Uuid


class WebhookDeliveries(Part):
    """A page of deliveries."""

    deliveries: Annotated[list[WebhookDelivery], about("The newest first.")]
    next_cursor: NextCursor
