"""A worker that starts before the migrations waits for them."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from apps.core.work.tables import wait_for_tables


@pytest.mark.django_db(transaction=True)
def test_worker_takes_no_work_before_the_last_migration_is_there(caplog: pytest.LogCaptureFixture) -> None:
    recorder = MigrationRecorder(connection)
    last = max(name for app, name in recorder.applied_migrations() if app == "core")
    recorder.record_unapplied("core", last)
    waiting = threading.Thread(target=wait_for_tables, daemon=True)
    try:
        waiting.start()
        waiting.join(2)
        is_waiting = waiting.is_alive()
    finally:
        recorder.record_applied("core", last)
    waiting.join(10)

    assert is_waiting
    assert not waiting.is_alive()
    assert "1 migrations have not been applied, run `python manage.py migrate`" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_web_waits_for_tables_and_not_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: MigrationRecorder) -> None:
        raise OperationalError

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", away)

    wait_for_tables(needs_database=False)  # returns
