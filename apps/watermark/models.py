"""A customer's own mark: one row, and its files in the store."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models

from apps.core.models import MODES, object_token
from apps.core.owner import Mode


class Kind(StrEnum):
    """How a mark was given: as a PNG with alpha, or by photos that carry it."""

    PNG = "png"
    PHOTOS = "photos"


class WatermarkTemplate(models.Model):
    """
    What a customer sent to describe its mark; the worker learns the mark from it at its first use.

    The files lie in the store under `templates/{object_token}/`, by their number, and beside them what was learned from
    photos. A row exists as long as its files may: `stored_at` is set when all are there, `discarded_at` when they are to
    go; without an account they are to go as well. As with jobs, the keys of the account's other mode know nothing of it.
    Until it is stored, `created_at` says since when somebody has been storing it, and guards what he writes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.SET_NULL, null=True, related_name="+")
    mode = models.CharField(max_length=7, choices=MODES, default=Mode.LIVE, db_default=Mode.LIVE.value)
    name = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in Kind])
    files = models.PositiveSmallIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    object_token = models.CharField(max_length=32, default=object_token, editable=False)
    created_at = models.DateTimeField()
    stored_at = models.DateTimeField(null=True)
    discarded_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name or str(self.id)

    @property
    def keys(self) -> list[str]:
        """The files' keys in the store, in their order."""
        return [f"{self.prefix}{number}" for number in range(self.files)]

    @property
    def learned_key(self) -> str:
        """Where a worker keeps what it learned from photos."""
        return f"{self.prefix}learned"

    @property
    def prefix(self) -> str:
        return f"templates/{self.object_token}/"
