"""All that has to be there before the service starts, in one process: each start of Django costs seconds."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Bring the tables up to date (migrate), make sure of the bucket and the administrator."
    requires_system_checks = ()  # `make check` asks them; they load every view, for a third of a second of CPU

    def handle(self, *args: Any, **options: Any) -> None:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        try:
            call_command("migrate", interactive=False, verbosity=0)
            for migration, _ in plan:
                log.info("migration applied", extra={"facts": {"migration": str(migration)}})
            call_command("ensure_bucket")
            call_command("ensure_admin")
        except CommandError as error:
            log.critical("%s", error)
            raise SystemExit(1) from error
