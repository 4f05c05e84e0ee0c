"""What set-up asks pip for: locks with hashes, and torch without CUDA, or none; nothing is installed here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from apps.stack import bootstrap
from apps.stack.paths import ROOT
from ml import models


class Pip:
    """Stands in for pip: remembers what it was asked, and fails where it is told to."""

    def __init__(self, *, frozen: str = "", failing: tuple[str, ...] = ()) -> None:
        self.frozen, self.failing = frozen, failing
        self.asked: list[str] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        words = " ".join(command[3:])
        if not words.startswith("freeze"):
            self.asked.append(words)
        failed = any(each in words for each in self.failing)
        return subprocess.CompletedProcess(command, int(failed), stdout=self.frozen)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr(subprocess, "run", pip)
    return pip


def test_everything_is_asked_for_by_its_hash_and_nothing_is_built_with_what_pip_fetches(pip: Pip) -> None:
    assert bootstrap._install() is None

    build, torch, rest = pip.asked
    assert torch.endswith("--no-deps -r " + str(bootstrap.TORCH_PIN))
    assert build.endswith("-r " + str(bootstrap.BUILD_LOCK))
    assert rest.endswith("--no-build-isolation -r " + str(bootstrap.LOCK))
    assert all("--require-hashes" in words for words in pip.asked)


def test_torchs_own_index_is_asked_where_the_usual_one_has_none(pip: Pip) -> None:
    pip.failing = ("off --no-deps",)

    assert bootstrap._install() is None

    build, _, own, *rest = pip.asked
    assert f"--index-url {bootstrap.TORCH_CPU_INDEX} --no-deps -r {bootstrap.TORCH_PIN}" in own
    assert "--require-hashes" in own
    assert not any("--index-url" in words for words in [build, *rest])


def test_without_that_build_everything_else_is_installed_and_it_is_said(
    pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    pip.failing = ("torch-cpu.txt",)

    assert bootstrap._install() is None

    assert pip.asked[-1].endswith(str(bootstrap.LOCK))
    assert "requests with points or box are refused" in capsys.readouterr().err


def test_a_lock_that_cannot_be_installed_is_no_success(pip: Pip) -> None:
    pip.failing = ("dev.lock",)

    assert "could not be installed" in (bootstrap._install() or "")


def test_torch_that_is_there_stays_whatever_its_build(pip: Pip) -> None:
    pip.frozen = "tomli==2.0\ntorch==2.13.0+cu130\n"

    bootstrap._install()

    assert [Path(words.rpartition(" ")[2]) for words in pip.asked] == [bootstrap.BUILD_LOCK, bootstrap.LOCK]


@pytest.mark.parametrize("name", ["dev.lock", "build.lock", "torch-cpu.txt"])
def test_whatever_is_installed_counts_as_new_when_it_changes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for constant in ("LOCK", "BUILD_LOCK", "TORCH_PIN"):
        copy = tmp_path / getattr(bootstrap, constant).name
        copy.write_text("a==1")
        monkeypatch.setattr(bootstrap, constant, copy)
    before = bootstrap._pins()

    (tmp_path / name).write_text("a==2")

    assert bootstrap._pins() != before


def test_one_version_and_one_index_in_all_places() -> None:
    pins = {name: (ROOT / "requirements" / name).read_text() for name in ("torch-cpu.txt", "worker-gpu.txt")}

    assert f"\n{bootstrap.TORCH}+cpu " in pins["torch-cpu.txt"]
    assert f"\n{bootstrap.TORCH}\n" in pins["worker-gpu.txt"]
    assert bootstrap.TORCH_CPU_INDEX == models.TORCH_CPU_INDEX
