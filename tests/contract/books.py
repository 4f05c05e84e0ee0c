"""What tests ask of money, and a worker that doesn't hear."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from apps.core import tasks
from tests.api import Api


def credits(api: Api) -> dict[str, int]:
    return api.get("/v1/account").json()["data"]["credits"]


def books_balance() -> bool:
    out = io.StringIO()
    try:
        call_command("ledger_check", stdout=out)
    except SystemExit:
        pytest.fail(out.getvalue())
    return True


def asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker hears the wake-up: jobs stay queued."""
    monkeypatch.setattr(tasks, "wake_worker", lambda: None)
