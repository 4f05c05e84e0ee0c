"""A batch: one row, and a row for each of its items that points at an ordinary job."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from apps.core.models import MODES
from apps.core.owner import Mode


class Batch(models.Model):
    """
    One operation on many images, sent at once.

    What its items are is told by their jobs. When the last of them has ended, `finished_at` is set and what they came to is
    kept here: a list of batches reads no jobs. `deleted_at` says that its owner wants it gone; the row stays for the books.
    `params` are the client's own words.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="batches")
    mode = models.CharField(max_length=7, choices=MODES, default=Mode.LIVE)
    operation = models.CharField(max_length=40)
    params = models.JSONField(default=dict, blank=True)
    retention_s = models.PositiveIntegerField()
    total = models.PositiveSmallIntegerField()

    succeeded = models.PositiveSmallIntegerField(default=0)
    failed = models.PositiveSmallIntegerField(default=0)
    cancelled = models.PositiveSmallIntegerField(default=0)
    charged_credits = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "batches"
        indexes = [
            models.Index(fields=["account", "mode", "-created_at", "-id"], name="batch_by_account"),
            models.Index(fields=["created_at"], condition=Q(finished_at=None), name="batch_unfinished"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.id}"


class Item(models.Model):
    """One image of a batch. `source_url` is its address until it has been fetched, which is to be done at `fetch_at`."""

    job = models.OneToOneField("core.Job", on_delete=models.CASCADE, primary_key=True, related_name="+")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items", db_index=False)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=200)
    source_url = models.TextField(blank=True, default="")
    fetch_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["index"]
        constraints = [models.UniqueConstraint(fields=["batch", "index"], name="batch_item_once")]
        indexes = [models.Index(fields=["fetch_at"], condition=~Q(source_url=""), name="batch_item_due")]

    def __str__(self) -> str:
        return self.name
