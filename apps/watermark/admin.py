"""Templates in the admin, to look at and to delete with their files."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.rows_admin import ListAdmin
from apps.watermark.models import WatermarkTemplate
from apps.watermark.templates import discard


@admin.register(WatermarkTemplate)
class WatermarkTemplateAdmin(ListAdmin):
    list_display = ["id", "account", "name", "kind", "files", "width", "height", "size_bytes", "created_at"]
    list_filter = ["kind", "created_at"]
    search_fields = ["=id", "account__name", "name"]
    list_select_related = ["account"]

    def has_change_permission(self, request: HttpRequest, obj: WatermarkTemplate | None = None) -> bool:  # noqa: ARG002
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - customers make them
        return False

    def delete_model(self, request: HttpRequest, obj: WatermarkTemplate) -> None:  # noqa: ARG002 - Django's signature
        discard(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[WatermarkTemplate]) -> None:  # noqa: ARG002
        for template in queryset:
            discard(template)
