"""The networks of a process: each loaded once, and a missing file of weights says what to do."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from ml.errors import WeightsMissingError
from ml.models import Models
from ml.weights import made_here


@pytest.mark.parametrize("missing", [made_here.WATERMARK, made_here.REPAIR])
def test_missing_weights_are_named_with_the_command_that_makes_them(
    tmp_path: Path, missing: made_here.MadeHere
) -> None:
    for file in {made_here.WATERMARK, made_here.REPAIR} - {missing}:
        shutil.copy(made_here.FOLDER / file.name, tmp_path)

    with pytest.raises(WeightsMissingError, match=rf"{missing.name}.*make train-watermark"):
        Models(tmp_path, made_here_dir=tmp_path).watermark()


class Counted(Models):
    """Counts how often a pipeline is made, and makes it slowly."""

    made = 0

    def _make_clothing(self) -> object:
        self.made += 1
        threading.Event().wait(0.05)
        return object()


def test_what_is_asked_for_from_many_threads_is_made_once(tmp_path: Path) -> None:
    models, got = Counted(tmp_path), []
    threads = [threading.Thread(target=lambda: got.append(models.clothing())) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert models.made == 1
    assert len(set(map(id, got))) == 1


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    models = Models(tmp_path, made_here_dir=tmp_path)
    with pytest.raises(WeightsMissingError):
        models.judge()
    shutil.copy(made_here.FOLDER / made_here.JUDGE.name, tmp_path)

    assert models.judge() is models.judge()
