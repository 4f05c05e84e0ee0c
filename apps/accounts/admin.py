"""Accounts and keys in the admin; a new key is shown once, in a message."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.accounts.models import Account, ApiKey


@admin.register(Account)
class AccountAdmin(ModelAdmin):
    list_display = ["name", "plan", "is_active", "created_at"]
    list_filter = ["plan", "is_active"]
    search_fields = ["name"]
    actions = ["issue_key"]

    @admin.action(description="Make an API key (shown once)")
    def issue_key(self, request: HttpRequest, accounts: QuerySet[Account]) -> None:
        for account in accounts:
            _, secret = ApiKey.issue(account)
            messages.success(request, f"{account}: {secret} - note it now, it is not shown again.")


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    list_display = [
        "prefix",
        "account",
        "label",
        "is_sandbox",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    ]
    list_filter = ["is_sandbox", "revoked_at"]
    search_fields = ["prefix", "account__name", "label"]
    readonly_fields = ["account", "prefix", "created_at", "revoked_at", "last_used_at", "is_sandbox"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - keys are made from their account
        return False

    @admin.action(description="Revoke (works at once, for good)")
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        for key in keys:
            key.revoke()
        messages.success(request, f"Revoked: {len(keys)}.")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.revoke(request, queryset)
