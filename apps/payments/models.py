"""The payment: one row, and the one truth about somebody's money."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models
from django.db.models import Q


class PaymentState(StrEnum):
    """
    x402: `claimed -> working -> settling -> settled`; MPP: `claimed -> settling -> paid -> working -> settled`.

    `released` and `failed` are ends at which no money has moved and none can, so the same payment may be claimed again.
    `free` is a result that costs nothing. `unknown` means that money may have moved; the reconciler asks the chain.
    """

    CLAIMED = "claimed"
    WORKING = "working"
    SETTLING = "settling"
    PAID = "paid"
    SETTLED = "settled"
    FREE = "free"
    RELEASED = "released"
    FAILED = "failed"
    UNKNOWN = "unknown"


S = PaymentState
CLAIMABLE_STATES = (S.RELEASED, S.FAILED)
"""Nothing was charged: the same credential may try again."""
LEASED_STATES = (S.CLAIMED, S.WORKING, S.SETTLING)
"""A web process is at it until the lease ends."""
DELIVERED_STATES = (S.SETTLED, S.FREE)


class Rail(StrEnum):
    """The two ways to pay."""

    X402 = "x402"
    MPP = "mpp"


class Payment(models.Model):
    """
    One credential of one payer.

    `key` names the money and is unique: for x402 chain, asset, payer and nonce of the authorization; for MPP the challenge.
    `fingerprint` is what the money is for: SHA-256 of method, path, query and body.
    `transaction` is written before it is broadcast, wherever we are the ones who broadcast.
    `money_moved` is true from the moment at which the chain said so.
    `valid_until` is the second after which the credential can no longer move money.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rail = models.CharField(max_length=4, choices=[(each.value, each.value) for each in Rail])
    key = models.CharField(max_length=200, unique=True)
    fingerprint = models.CharField(max_length=64)

    state = models.CharField(max_length=10, choices=[(each.value, each.value) for each in S], default=S.CLAIMED)
    lease_until = models.DateTimeField(null=True, blank=True)
    money_moved = models.BooleanField(default=False)
    reason = models.CharField(max_length=200, blank=True)

    payer = models.CharField(max_length=42)
    recipient = models.CharField(max_length=42)
    asset = models.CharField(max_length=42)
    network = models.CharField(max_length=30)
    amount = models.PositiveBigIntegerField(help_text="In millionths of a dollar.")
    nonce = models.CharField(max_length=66, blank=True)
    transaction = models.CharField(max_length=66, null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    receipt = models.JSONField(null=True, blank=True)

    job = models.ForeignKey("core.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    refund_due = models.BooleanField(default=False)
    refunded_at = models.DateTimeField(null=True, blank=True)
    refund_note = models.CharField(max_length=200, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["transaction"],
                condition=Q(rail="mpp", transaction__isnull=False, money_moved=True),
                name="payment_transaction_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_until"], condition=Q(state__in=["claimed", "working", "settling"]), name="payment_leases"
            ),
            models.Index(fields=["updated_at"], condition=Q(state="unknown"), name="payment_unknown"),
            models.Index(fields=["-created_at"], name="payment_newest"),
            models.Index(fields=["updated_at"], condition=Q(refund_due=True, refunded_at=None), name="payment_refunds"),
        ]

    def __str__(self) -> str:
        return f"{self.rail} {self.payer} {self.state}"
