"""What a worker loads before its first job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from apps.background.operation import REMOVE_BACKGROUND
from apps.core.work.engine import Engine, load_runners
from ml.models import Models
from ml.sessions.slots import InferenceSlots

PATH = f"{__name__}.CountedRunner"


class CountedRunner:
    """Counts how often it is made."""

    made = 0

    def __init__(self, engine: Engine) -> None:
        CountedRunner.made += 1


def test_operations_of_one_runner_share_it() -> None:
    engine = Engine(Models(Path(), slots=InferenceSlots(1)))
    first, second = (replace(REMOVE_BACKGROUND, slug=slug, runner=PATH) for slug in ("first", "second"))

    runners = load_runners([first, second], engine)

    assert runners["first"] is runners["second"]
    assert CountedRunner.made == 1
