"""Balances and the ledger to read, prices to change, credits to grant."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.billing.models import LedgerEntry, Price, UsageDay, Wallet


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only code may write."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ["account", "balance", "held"]
    search_fields = ["account__name"]
    list_select_related = ["account"]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "account", "kind", "balance_change", "held_change", "balance_after", "held_after",
                    "job_id", "operation", "actor", "reason"]  # fmt: skip
    list_filter = ["kind", "operation"]
    search_fields = ["account__name", "=job_id"]
    list_select_related = ["account"]


@admin.register(UsageDay)
class UsageDayAdmin(ReadOnlyAdmin):
    list_display = ["day", "account", "mode", "operation", "succeeded", "failed", "credits"]
    list_filter = ["day", "mode", "operation"]
    search_fields = ["account__name"]
    list_select_related = ["account"]


@admin.register(Price)
class PriceAdmin(ModelAdmin):
    list_display = ["operation", "credits"]
    list_editable = ["credits"]
