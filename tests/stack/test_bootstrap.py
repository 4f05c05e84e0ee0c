"""Set-up's choice of torch: the build without CUDA, or none; nothing is installed here."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from apps.stack import bootstrap
from apps.stack.paths import ROOT
from ml import registry


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


def test_torch_without_cuda_comes_before_pip_could_choose_another(pip: Pip) -> None:
    assert bootstrap._install() is None

    first, second = pip.asked
    assert first.endswith("torch==2.13.0+cpu")
    assert second.endswith("requirements/dev.txt")


def test_its_own_index_is_asked_where_the_usual_one_has_none(pip: Pip) -> None:
    pip.failing = ("off torch==2.13.0+cpu",)

    assert bootstrap._install() is None

    _, own, rest = pip.asked
    assert f"--index-url {bootstrap.TORCH_CPU_INDEX} torch==2.13.0+cpu" in own
    assert rest.endswith("requirements/dev.txt")


def test_without_any_such_build_everything_else_is_installed_and_it_is_said(
    pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    pip.failing = ("torch==2.13.0+cpu",)

    assert bootstrap._install() is None

    rest = pip.asked[-1].split()
    assert {"django==5.2.19", "onnxruntime==1.31.1", "pytest==9.2.0", "segment-anything==1.0"} <= set(rest)
    assert not any(word.startswith("torch") for word in rest)
    assert "requests with points or box are refused" in capsys.readouterr().err


def test_torch_that_is_there_stays_whatever_its_build(pip: Pip) -> None:
    pip.frozen = "tomli==2.0\ntorch==2.13.0+cu130\n"

    bootstrap._install()

    assert [words.rpartition(" ")[2] for words in pip.asked] == [str(bootstrap.REQUIREMENTS)]


def test_one_version_and_one_index_in_all_places() -> None:
    assert bootstrap.TORCH in (ROOT / "requirements" / "worker.txt").read_text().splitlines()
    assert bootstrap.TORCH_CPU_INDEX == registry.TORCH_CPU_INDEX
