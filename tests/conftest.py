"""Fixtures for tests of the API in one process: real PostgreSQL, Valkey and S3, a quick stand-in for the network."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, make_api
from tests.stand_ins import OneColour, StandInModels


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Between tests Django empties every table with TRUNCATE, which the ledger refuses: its guard sleeps in the test database."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_ledgerentry DISABLE TRIGGER billing_ledger_truncate_guard")


@pytest.fixture(scope="session")
def stand_ins() -> StandInModels:
    """What the in-process worker works with."""
    return StandInModels()


@pytest.fixture(scope="session")
def sam_stand_in(stand_ins: StandInModels) -> OneColour:
    """What it points with."""
    return stand_ins.pointer


@pytest.fixture(scope="session")
def _worker(stand_ins: StandInModels) -> None:
    """Make this process a worker whose networks are stand-ins."""
    from apps.core.operations import all_operations
    from apps.core.work.engine import Engine, load_runners
    from apps.core.work.worker import Worker, adopt_worker

    runners = load_runners(all_operations(), Engine(stand_ins))
    adopt_worker(Worker(name="in-process", runners=runners, facts={}))


@pytest.fixture
def api(transactional_db: None, _worker: None, settings: Any) -> Api:
    """An account with a key and plenty of credits, against an in-process worker."""
    from apps.core.storage import result_store

    result_store().ensure_bucket()
    return make_api("tester")
