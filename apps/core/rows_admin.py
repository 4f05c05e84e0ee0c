"""What our pages of the admin share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.views.main import ERROR_FLAG
from django.db import DataError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin


class ListAdmin(ModelAdmin):
    """A filter in the address that no row can fulfil, such as a year beyond the calendar, leaves the list unfiltered."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except (OverflowError, ValueError, DataError):  # Django turns those of other kinds into the same redirection
            if not request.GET or ERROR_FLAG in request.GET:
                raise
            return redirect(f"{request.path}?{ERROR_FLAG}=1")


class RowAdmin(ListAdmin):
    """Rows that requests and workers write too: saving a form writes what was changed in it, and nothing else of the row."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002
        obj.save(update_fields=form.changed_data if change else None)

    def log_changes(self, request: HttpRequest, rows: Iterable[Model], sentence: str) -> None:
        """Note what an action did in the history of each row that it changed."""
        for row in rows:
            self.log_change(request, row, sentence)


class ReadOnlyAdmin(RowAdmin):
    """Rows that only code may write."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False
