"""Whether the database has the tables that this code expects."""

from __future__ import annotations

import logging
import time

from django.db import DatabaseError, close_old_connections, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

log = logging.getLogger(__name__)
_POLL_S = 0.1
_NO_DATABASE = "the database does not answer"


def wait_for_tables(*, needs_database: bool = True) -> None:
    """
    Return when every app's last migration has been applied.

    A worker that is new and a database that is not would fail every job between them.

    Args:
        needs_database: wait for a database that does not answer, too.
    """
    wanted = set(MigrationLoader(None).graph.leaf_nodes())
    said = ""
    while (why := _lacking(wanted)) and (needs_database or why != _NO_DATABASE):
        if why != said:
            log.warning("waiting before taking work: %s", why)
            said = why
        time.sleep(_POLL_S)


def _lacking(wanted: set[tuple[str, str]]) -> str:
    """What is in the way, as a sentence; empty where nothing is."""
    try:
        missing = wanted - MigrationRecorder(connection).applied_migrations().keys()
    except DatabaseError:
        return _NO_DATABASE
    finally:
        close_old_connections()
    if not missing:
        return ""
    return f"{len(missing)} migrations have not been applied, run `python manage.py migrate`"
