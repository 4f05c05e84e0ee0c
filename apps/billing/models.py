"""Credits: one balance row an account, an append-only ledger that explains it, prices as data, use by day."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q

from apps.core.models import MODES
from apps.core.owner import Mode


class Wallet(models.Model):
    """
    What an account can still spend (`balance`) and what is put aside for open jobs (`held`, already taken off `balance`).

    `last_grant` and `low_told` are for `credits.low`. Two constraints keep both from going below zero, whatever runs at once.
    """

    account = models.OneToOneField(
        "accounts.Account", on_delete=models.PROTECT, primary_key=True, related_name="wallet"
    )
    balance = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    last_grant = models.BigIntegerField(default=0, db_default=0)
    low_told = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(balance__gte=0), name="wallet_balance_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="wallet_held_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.balance} credits, {self.held} held"


class Kind(StrEnum):
    """Why a balance moved."""

    GRANT = "grant"
    ADJUST = "adjust"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"


class LedgerEntry(models.Model):
    """
    One movement. Database triggers refuse UPDATE, DELETE and TRUNCATE.

    The sums of `balance_change` and `held_change` over an account are its wallet, line by line.
    """

    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="ledger")
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in Kind])
    balance_change = models.BigIntegerField()
    held_change = models.BigIntegerField(default=0)
    balance_after = models.BigIntegerField()
    held_after = models.BigIntegerField()
    job_id = models.UUIDField(null=True, blank=True)
    operation = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=100)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(fields=["job_id"], condition=Q(kind="hold"), name="ledger_one_hold_a_job"),
            models.UniqueConstraint(
                fields=["job_id"], condition=Q(kind__in=["capture", "release"]), name="ledger_one_end_a_job"
            ),
        ]
        indexes = [models.Index(fields=["account", "-id"], name="ledger_by_account")]

    def __str__(self) -> str:
        return f"{self.kind} {self.balance_change:+d} ({self.account})"


class Price(models.Model):
    """Credits for one success. An operation without a row costs what its code says."""

    operation = models.CharField(max_length=40, unique=True, help_text="Slug, such as remove-bg.")
    credits = models.PositiveIntegerField()

    class Meta:
        ordering = ["operation"]

    def __str__(self) -> str:
        return f"{self.operation}: {self.credits}"


class UsageDay(models.Model):
    """What an account used in one mode on one day (UTC) of one operation; kept by the settlement, in its transaction."""

    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="usage")
    mode = models.CharField(max_length=7, choices=MODES, default=Mode.LIVE, db_default=Mode.LIVE.value)
    day = models.DateField()
    operation = models.CharField(max_length=40)
    succeeded = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    credits = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-day"]
        constraints = [
            models.UniqueConstraint(fields=["account", "mode", "day", "operation"], name="usage_one_row_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.day} {self.operation}"
