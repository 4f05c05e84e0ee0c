"""The admin's site: its login has a limit."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite

from apps.accounts.login_limits import count_try, forget_tries
from apps.core.errors import AppError


class LimitedLoginForm(AuthenticationForm):
    """Counts before it looks at the password: a right one is refused too while its user is locked out."""

    def clean(self) -> dict[str, Any]:
        """Raises AppError: too many tries, or nothing to count them with."""
        name = self.cleaned_data.get("username")
        if not (name and self.cleaned_data.get("password")):
            return super().clean()
        count_try(self.request, name)
        cleaned: dict[str, Any] = super().clean()
        forget_tries(self.request, name)
        return cleaned


class KeylineAdminSite(UnfoldAdminSite):
    """unfold's site with a limited login."""

    login_form = LimitedLoginForm

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            return super().login(request, extra_context)
        except AppError as error:
            page = render(request, "accounts/locked_out.html", {"issue": error.message}, status=error.code.status)
            page.headers["Retry-After"] = str(error.retry_after_s)
            return page
