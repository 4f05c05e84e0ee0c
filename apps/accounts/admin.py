"""Accounts, keys and who may log in here; a new key is shown once, on a page of its own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from apps.accounts.models import Account, ApiKey
from apps.core.operations import all_operations
from apps.core.rows_admin import ListAdmin, RowAdmin

admin.site.unregister([User, Group])


@admin.register(Account)
class AccountAdmin(RowAdmin):
    list_display = ["name", "plan", "is_active", "created_at"]
    list_filter = ["plan", "is_active"]
    search_fields = ["name"]
    actions = ["issue_key"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - `is_active` ends it
        return False

    def has_issue_permission(self, request: HttpRequest) -> bool:
        """For `issue_key`: a key spends its account's credits."""
        return request.user.has_perm("accounts.add_apikey")

    @admin.action(description="Make an API key (shown once)", permissions=["issue"])
    def issue_key(self, request: HttpRequest, accounts: QuerySet[Account]) -> TemplateResponse:
        """The key goes out in this answer alone: a message would travel in a cookie or lie in the session."""
        made = []
        for account in accounts:
            row, secret = ApiKey.issue(account)
            self.log_addition(request, row, "Made in the admin.")
            self.log_change(request, account, f"Made the API key {row.prefix}.")
            made.append((account.name, secret))
        context = {**self.admin_site.each_context(request), "title": "New API keys", "made": made}
        return TemplateResponse(request, "accounts/new_keys.html", context, headers={"Cache-Control": "no-store"})


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """What may be changed of a key."""

    def clean_scopes(self) -> list[str]:
        """A list of operations' names."""
        scopes = self.cleaned_data["scopes"] or []
        known = {operation.slug for operation in all_operations()}
        if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope in known for scope in scopes):
            raise forms.ValidationError(f"A JSON list of some of: {', '.join(sorted(known))}.")
        return scopes


@admin.register(ApiKey)
class ApiKeyAdmin(RowAdmin):
    form = ApiKeyForm
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

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - revoked ones stay
        return False

    @admin.action(description="Revoke (works at once, for good)", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        revoked = [key for key in keys if key.revoke()]
        for key in revoked:
            self.log_change(request, key, "Revoked.")
        messages.success(request, f"Revoked: {len(revoked)}.")


class SuperusersAffair(ListAdmin):
    """Whoever may change users or groups could give himself every right."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return bool(request.user.is_superuser)


@admin.register(User)
class StaffAdmin(SuperusersAffair, UserAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Users of the admin."""


@admin.register(Group)
class StaffGroupAdmin(SuperusersAffair, GroupAdmin):
    """Their groups."""
