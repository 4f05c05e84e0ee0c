"""What a worker runs on, and its runners: one per operation, loaded before the first job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from apps.core.operations import Operation
from apps.core.outcome import Outcome
from apps.core.work.execution import Work
from apps.core.work.loading import Loaded

if TYPE_CHECKING:
    from ml.models import Models


@dataclass(frozen=True)
class Engine:
    """The networks of this process, on the device that it has."""

    models: Models


class Runner(ABC):
    """The code behind an operation: made once, with the Engine, when the worker starts. It holds nothing of any job."""

    loaded: tuple[Loaded[Any], ...] = ()

    def __init__(self, engine: Engine) -> None:  # noqa: B027 - one without networks has nothing to load
        """Load the pipelines that it works with and name them in `loaded`."""

    def load_the_rest(self) -> None:  # noqa: B027 - most have loaded all
        """Load what few requests need; called once, when the worker takes jobs already, and adds to `loaded`."""

    @abstractmethod
    def run(self, work: Work) -> Outcome:
        """Do one job. Raises AppError for what the client can mend."""


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
    every = [loaded for runner in runners.values() for loaded in runner.loaded]
    return {
        "models": sorted({loaded.model for loaded in every if loaded.model}),
        "device": next((loaded.device for loaded in every if loaded.model), "cpu"),
        "precision": next((loaded.precision for loaded in every if loaded.model), ""),
        "warnings": sorted({warning for loaded in every for warning in loaded.warnings}),
        "slots": engine.models.slots.jobs,
    }
