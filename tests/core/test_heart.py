"""The sign of life that health checks of containers look at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from apps.core import broker, lifecycle
from apps.core.management.commands import sweep
from apps.core.work import worker
from apps.core.work.heart import show_life


class NextRoundError(Exception):
    """Stands in for the pause between two rounds."""


@pytest.fixture
def heart(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    def stop(_: float) -> None:
        raise NextRoundError

    monkeypatch.setattr("time.sleep", stop)
    settings.HEARTBEAT_FILE = str(tmp_path / "heart")
    return tmp_path / "heart"


def test_a_round_of_the_worker_shows_life(heart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "renew_leases", lambda claims: None)
    monkeypatch.setattr(broker, "beat", lambda name, facts: None)

    with pytest.raises(NextRoundError):
        worker.Worker(name="a", runners={}, facts={})._keep_alive()

    assert heart.exists()


def test_a_round_of_the_sweeper_shows_life_though_the_database_is_away(
    heart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> dict[str, int]:
        raise sweep.DatabaseError

    monkeypatch.setattr(sweep, "sweep", away)
    monkeypatch.setattr(sweep, "registered_rounds", dict)
    long_ago = 1_000_000_000
    heart.touch()
    os.utime(heart, (long_ago, long_ago))

    with pytest.raises(NextRoundError):
        sweep.Command().handle(loop=True)

    assert heart.stat().st_mtime > long_ago


def test_a_place_that_cannot_be_written_stops_nobody(settings: Any) -> None:
    settings.HEARTBEAT_FILE = "/nowhere/heart"

    show_life()
