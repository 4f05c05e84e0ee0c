"""What a worker runs on, and its runners: one per operation, loaded before the first job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from django.utils.module_loading import import_string

from apps.core.operations import Operation
from apps.core.outcome import Outcome
from ml.registry import SamChoice

if TYPE_CHECKING:
    from apps.core.work.execution import Work
    from ml.sessions.slots import InferenceSlots
    from ml.weights.specs import Profile


@dataclass(frozen=True)
class Engine:
    """The device and the weights: `slots` knows the device and bounds how many networks run at once."""

    profile: Profile
    weights_dir: Path
    slots: InferenceSlots
    sam: SamChoice = field(default_factory=SamChoice)


class Runner(Protocol):
    """
    The code behind an operation: made once, with the Engine, when the worker starts.

    Args:
        models: `name@version` of the networks it loaded.
        device: where they run.
        warnings: sentences about what is lost in this set-up.
    """

    models: list[str]
    device: str
    warnings: list[str]

    def run(self, work: Work) -> Outcome:
        """Do one job."""


def load_runners(operations: Iterable[Operation], engine: Engine) -> dict[str, Runner]:
    """Import and make the runner of every operation, by slug; this loads the networks. Operations may share one."""
    made: dict[str, Runner] = {}
    by_slug: dict[str, Runner] = {}
    for operation in operations:
        if operation.runner not in made:
            make: Callable[[Engine], Runner] = import_string(operation.runner)
            made[operation.runner] = make(engine)
        by_slug[operation.slug] = made[operation.runner]
    return by_slug


def facts_of(runners: dict[str, Runner], engine: Engine) -> dict[str, Any]:
    """What the heartbeat tells of this worker."""
    return {
        "models": sorted({model for runner in runners.values() for model in runner.models}),
        "device": next(iter(runners.values())).device,
        "warnings": sorted({warning for runner in runners.values() for warning in runner.warnings}),
        "slots": engine.slots.jobs,
    }
