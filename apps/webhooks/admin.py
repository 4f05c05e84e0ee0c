"""Webhooks and their deliveries in the admin, to look at; an address may hold a secret, so its host alone is shown."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib import admin

from apps.core.rows_admin import ReadOnlyAdmin
from apps.webhooks.models import Delivery, Event, Webhook


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ["id", "account", "mode", "host", "events", "status", "is_failing", "created_at"]
    list_filter = ["status", "mode", "is_failing", "created_at"]
    search_fields = ["=id", "account__name"]
    list_select_related = ["account"]
    exclude = ["url", "sealed_secret", "sealed_previous"]

    @admin.display(description="host")
    def host(self, row: Webhook) -> str:
        return urlsplit(row.url).hostname or ""


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["id", "account", "type", "subject_id", "created_at"]
    list_filter = ["type", "created_at"]
    search_fields = ["=id", "=subject_id", "account__name"]
    list_select_related = ["account"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "account",
        "webhook",
        "event",
        "status",
        "tries",
        "next_attempt_at",
        "created_at",
        "finished_at",
    ]
    list_filter = ["status", "created_at"]
    search_fields = ["=id", "=webhook__id", "=event__id", "=subject_id"]
    list_select_related = ["account", "webhook", "event"]

    @admin.display(description="tries")
    def tries(self, row: Delivery) -> int:
        return len(row.attempts)
