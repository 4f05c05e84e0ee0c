"""Make the bucket and its lifecycle rule."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.core.storage import result_store


class Command(BaseCommand):
    help = "Make the S3 bucket and its lifecycle rule, unless S3_MANAGE_BUCKET is off."
    requires_system_checks = ()  # `make check` asks them; they load every view, for a third of a second of CPU

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.S3_MANAGE_BUCKET:
            result_store().ensure_bucket()
