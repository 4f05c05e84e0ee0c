"""The ledger is append-only for whoever speaks to the database as the application does."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from apps.billing.models import LedgerEntry
from tests.api import make_api


@pytest.fixture
def entries(transactional_db: None) -> int:
    """How many entries the ledger has."""
    make_api("someone")
    return LedgerEntry.objects.count()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_ledgerentry SET reason = 'other'",
        "DELETE FROM billing_ledgerentry",
        "TRUNCATE billing_ledgerentry",
        "TRUNCATE billing_ledgerentry RESTART IDENTITY CASCADE",
        "TRUNCATE accounts_account CASCADE",
    ],
)
def test_no_statement_takes_an_entry_away(entries: int, statement: str) -> None:
    wake = "ALTER TABLE billing_ledgerentry ENABLE ALWAYS TRIGGER billing_ledger_truncate_guard"  # it sleeps for flush

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(wake)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
        transaction.set_rollback(True)

    assert LedgerEntry.objects.count() == entries > 0


def test_guards_are_awake_for_a_session_that_plays_a_replica(transactional_db: None) -> None:
    asked = (
        "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'billing_ledgerentry'::regclass AND NOT tgisinternal"
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        found = dict(cursor.fetchall())

    assert found == {
        "billing_ledger_guard": "A",
        "billing_ledger_truncate_guard": "D",
    }  # "D": in the tests' database alone
