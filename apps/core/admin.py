"""Jobs in the admin, to look at and to cancel."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.core import lifecycle
from apps.core.models import Job


@admin.register(Job)
class JobAdmin(ModelAdmin):
    list_display = [
        "id",
        "account",
        "operation",
        "state",
        "stage",
        "charged_credits",
        "worker",
        "created_at",
        "finished_at",
    ]
    list_filter = ["state", "operation", "created_at"]
    search_fields = ["=id", "account__name", "=request_id"]
    list_select_related = ["account"]
    show_full_result_count = False
    actions = ["cancel"]

    def get_readonly_fields(self, request: HttpRequest, obj: Job | None = None) -> list[str]:  # noqa: ARG002
        return [field.name for field in Job._meta.fields]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:  # noqa: ARG002
        return False

    @admin.action(description="Cancel (nothing is charged)")
    def cancel(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        cancelled = sum(lifecycle.cancel(job) for job in rows)
        messages.success(request, f"Cancelled: {cancelled}; the others had ended.")
