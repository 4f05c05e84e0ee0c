"""Webhooks, what they are told (the outbox), and each telling."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from django.db import models
from django.db.models import Q

from apps.core.answers import DeliveryStatus
from apps.core.models import MODES
from apps.core.owner import Mode


class EventType(StrEnum):
    """What a webhook can subscribe to."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    BATCH_FINISHED = "batch.finished"
    CREDITS_LOW = "credits.low"


TEST = "webhook.test"
"""The type of what `POST .../test` sends."""


class Status(StrEnum):
    """Of a webhook; a disabled one hears nothing."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Webhook(models.Model):
    """
    An address of a customer's, and what it wants to hear.

    `scopes` are those of the key that made it, so that it hears of no operation that the key may not read; null for all.
    `sealed_secret` signs, and `sealed_previous` beside it until `previous_until`. `is_failing` says that the last try was no
    success: it then has fewer places.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.CASCADE, related_name="+", db_index=False)
    mode = models.CharField(max_length=7, choices=MODES, default=Mode.LIVE)
    url = models.CharField(max_length=4096)
    events = models.JSONField()
    description = models.CharField(max_length=200, blank=True)
    scopes = models.JSONField(null=True, blank=True)
    status = models.CharField(
        max_length=8, choices=[(status.value, status.value) for status in Status], default=Status.ACTIVE
    )
    sealed_secret = models.TextField(editable=False)
    sealed_previous = models.TextField(blank=True, editable=False)
    previous_until = models.DateTimeField(null=True, blank=True)
    is_failing = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["account", "mode", "-created_at", "-id"], name="webhook_by_account")]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def log_facts(self) -> dict[str, Any]:
        """What log lines say of it; its address may hold a secret."""
        return {"webhook": str(self.id), "account_id": self.account_id}


class Rotation(models.Model):
    """One change of a webhook's secret; an Idempotency-Key stands for it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="rotations")
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)


class Event(models.Model):
    """
    What happened, written in the transaction in which it did; its id is the `webhook-id` of every try.

    `data` is what is told where that is fixed; else it is told anew at every try, with fresh links.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.CASCADE, related_name="+")
    type = models.CharField(max_length=20)
    subject_id = models.CharField(max_length=36)
    data = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class Delivery(models.Model):
    """
    One event on its way to one webhook.

    `attempts` is a list of `{"at", "httpStatus", "ms", "error"}`, one for each try. A pending row is due at `next_attempt_at`;
    who claims it moves that to the end of its lease, `lease_until`, so that another takes over what a dead worker held.
    `account_id` and `subject_id` repeat the event's, for the shares and for the order.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.CASCADE, related_name="+", db_index=False)
    subject_id = models.CharField(max_length=36)
    status = models.CharField(
        max_length=9,
        choices=[(status.value, status.value) for status in DeliveryStatus],
        default=DeliveryStatus.PENDING,
    )
    attempts = models.JSONField(default=list)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["webhook", "-created_at", "-id"], name="delivery_by_webhook"),
            models.Index(fields=["webhook", "next_attempt_at"], condition=Q(status="pending"), name="delivery_due"),
            models.Index(
                fields=["webhook", "subject_id", "created_at"], condition=Q(status="pending"), name="delivery_order"
            ),
            models.Index(fields=["account", "webhook"], condition=Q(lease_until__isnull=False), name="delivery_held"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="delivery_ended"),
        ]

    def __str__(self) -> str:
        return str(self.id)
