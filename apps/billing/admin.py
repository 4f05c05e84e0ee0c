"""Balances and the ledger to read, prices to change. Credits are granted by `manage.py grant_credits` alone."""

from __future__ import annotations

from django.contrib import admin

from apps.billing.models import LedgerEntry, Price, UsageDay, Wallet
from apps.core.rows_admin import ReadOnlyAdmin, RowAdmin


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
class PriceAdmin(RowAdmin):
    list_display = ["operation", "credits"]
    list_editable = ["credits"]
