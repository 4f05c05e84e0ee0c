"""What our pages of the admin share."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin


class RowAdmin(ModelAdmin):
    """Rows that requests and workers write too: saving a form writes what was changed in it, and nothing else of the row."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002
        obj.save(update_fields=form.changed_data if change else None)


class ReadOnlyAdmin(RowAdmin):
    """Rows that only code may write."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False
