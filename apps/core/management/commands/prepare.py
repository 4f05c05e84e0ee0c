"""All that has to be there before the service starts, in one process: each start of Django costs seconds."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Bring the tables up to date (migrate), make sure of the bucket and the administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("ensure_bucket")
        call_command("ensure_admin")
