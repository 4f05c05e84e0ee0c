"""Jobs in the admin, to look at and to cancel."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core import lifecycle
from apps.core.models import Job
from apps.core.rows_admin import ReadOnlyAdmin


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
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
    actions = ["cancel"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """For `cancel`; nothing else of a job is changed by hand."""
        return request.user.has_perm("core.change_job")

    @admin.action(description="Cancel (nothing is charged)", permissions=["cancel"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        cancelled = [job for job in rows if lifecycle.cancel(job)]
        self.log_changes(request, cancelled, "Cancelled.")
        messages.success(request, f"Cancelled: {len(cancelled)}; the others had ended.")
