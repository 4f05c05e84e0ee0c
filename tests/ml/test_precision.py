"""In which precision networks run: what the processor can, and what is quickest there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import PrecisionMissingError
from ml.sessions import precision
from ml.sessions.precision import Precision, choose_precision

MS = {"f32": 40.0, "bf16": 12.0, "int8": 9.0}


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Precision]:
    """What was tried, on a processor that can do all and takes `MS`."""
    seen: list[Precision] = []

    def seconds(name: Precision) -> float:
        seen.append(name)
        return MS[name]

    monkeypatch.setattr(precision, "supported", lambda: ("f32", "bf16", "int8"))
    monkeypatch.setattr(precision, "_seconds", seconds)
    return seen


def test_auto_takes_the_quickest_and_tries_once(tried: list[Precision], tmp_path: Path) -> None:
    folder = tmp_path / "networks"

    assert [choose_precision("auto", kept_in=folder) for _ in range(2)] == ["int8", "int8"]
    assert tried == ["f32", "bf16", "int8"]


@pytest.mark.parametrize(
    "said", ["", "{", "[]", '{"processor": "another", "seconds": {"f32": 1, "bf16": 2, "int8": 3}}']
)
def test_what_another_processor_or_a_crash_left_is_not_believed(
    tried: list[Precision], tmp_path: Path, said: str
) -> None:
    (tmp_path / "precision.json").write_text(said)

    assert choose_precision("auto", kept_in=tmp_path) == "int8"
    assert len(tried) == 3


def test_folder_that_cannot_be_written_is_done_without(tried: list[Precision], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    assert choose_precision("auto", kept_in=tmp_path / "file") == "int8"


def test_what_is_hardly_quicker_is_not_worth_another_picture(
    tried: list[Precision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda name: {"f32": 10.0, "bf16": 30.0, "int8": 9.5}[name])

    assert choose_precision("auto") == "f32"


def test_wish_is_not_tried(tried: list[Precision]) -> None:
    assert choose_precision("int8") == "int8"
    assert tried == []


def test_wish_that_the_processor_cannot_fulfil_is_refused_with_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "supported", lambda: ("f32", "int8"))

    with pytest.raises(PrecisionMissingError, match=r"INFERENCE_PRECISION=bf16.*it has f32, int8.*or auto"):
        choose_precision("bf16")


def test_this_processor_can_do_one_and_the_trial_runs() -> None:
    assert "f32" in precision.supported()
    assert choose_precision("auto") in precision.supported()
