"""Batches in the admin, to look at."""

from __future__ import annotations

from django.contrib import admin

from apps.batches.models import Batch
from apps.core.rows_admin import ReadOnlyAdmin


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "account",
        "operation",
        "mode",
        "total",
        "succeeded",
        "failed",
        "cancelled",
        "charged_credits",
        "created_at",
        "finished_at",
        "deleted_at",
    ]
    list_filter = ["operation", "mode", "created_at"]
    search_fields = ["=id", "account__name"]
    list_select_related = ["account"]
