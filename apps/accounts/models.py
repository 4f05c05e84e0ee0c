"""Who may call: accounts and their API keys. A key is stored as its SHA-256 only and shown once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.db import models
from django.utils import timezone


class Plan(models.TextChoices):
    """The plans, by the names that RapidAPI sends."""

    FREE = "FREE"
    BASIC = "BASIC"
    PRO = "PRO"
    ULTRA = "ULTRA"
    MEGA = "MEGA"
    CUSTOM = "CUSTOM"


class Account(models.Model):
    """A customer."""

    name = models.CharField(max_length=100, unique=True)
    plan = models.CharField(max_length=10, choices=Plan, default=Plan.PRO)
    is_active = models.BooleanField(default=True, help_text="Off: all its keys stop at once.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def digest_of(key: str) -> str:
    """
    SHA-256, in hex, of a key.

    A fast hash is right here: a key has 256 random bits, so there is nothing to guess.
    """
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKey(models.Model):
    """One key of an account."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="keys")
    prefix = models.CharField(max_length=16, help_text="The key's first characters, for people.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    label = models.CharField(max_length=100, blank=True)
    scopes = models.JSONField(default=list, blank=True, help_text="Operations that it may call; empty for all.")
    is_sandbox = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}... of {self.account}"

    @classmethod
    def issue(
        cls,
        account: Account,
        *,
        sandbox: bool = False,
        scopes: list[str] | None = None,
        expires_at: datetime | None = None,
        label: str = "",
    ) -> tuple[ApiKey, str]:
        """Make a key. Returns the row and the key itself, which is nowhere kept."""
        secret = f"kl_{'test' if sandbox else 'live'}_{secrets.token_urlsafe(32)}"
        row = cls.objects.create(
            account=account,
            prefix=secret[:12],
            digest=digest_of(secret),
            is_sandbox=sandbox,
            scopes=scopes or [],
            expires_at=expires_at,
            label=label,
        )
        return row, secret

    def revoke(self) -> bool:
        """Stop this key at once; there is no way back. False where it was revoked already."""
        return ApiKey.objects.filter(id=self.id, revoked_at=None).update(revoked_at=timezone.now()) > 0

    @property
    def is_usable(self) -> bool:
        """Neither revoked nor expired, and its account is active."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired and self.account.is_active
