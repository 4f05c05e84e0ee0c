"""A process that a container runs: started as the supervisor would, with its settings from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from apps.stack import alone, commands
from apps.stack.paths import VarDir


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []
    monkeypatch.setattr(alone, "_become", lambda argv, env: asked.append((argv, env)))
    return asked


@pytest.mark.parametrize("name", ["web", "worker", "io", "sweeper", "prepare"])
def test_each_is_started_as_the_supervisor_starts_it(
    name: str, become: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    supervised = {each.name: each for each in commands.app_programs({"KEYLINE_PORT": "8000"}, VarDir(tmp_path))}

    alone.main([name])

    ((argv, env),) = become
    assert [word for word in argv if word != "0.0.0.0"] == [
        word for word in supervised[name].argv if word != "127.0.0.1"
    ]
    allocator = {key: value for key, value in supervised[name].env.items() if key.startswith("MALLOC_")}
    assert env == {**os.environ, **allocator, "MALLOC_ARENA_MAX": "7", "PYTHONUNBUFFERED": "1"}


def test_what_has_no_name_is_refused(become: list[Any]) -> None:
    assert [alone.main(words) for words in ([], ["valkey"], ["web", "worker"])] == [2, 2, 2]
    assert become == []


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (0, 1)])
def test_health_is_what_the_web_process_says(status: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "get", lambda url, **_: (status, b""))

    assert alone.main(["health"]) == code
