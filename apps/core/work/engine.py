"""What a worker runs on, and its runners: one per operation, loaded before the first job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from django.utils.module_loading import import_string

from apps.core.errors import AppError, ErrorCode
from apps.core.operations import Operation
from apps.core.outcome import Outcome
from ml.errors import WeightsError

if TYPE_CHECKING:
    from apps.core.work.execution import Work
    from ml.models import Models


@dataclass(frozen=True)
class Engine:
    """The networks of this process, on the device that it has."""

    models: Models


class Pipeline(Protocol):
    """What the core knows of a pipeline: what answers and the heartbeat say of it."""

    model_name: str
    model_version: str
    device: str
    warnings: tuple[str, ...]


Some = TypeVar("Some", bound=Pipeline)


@dataclass(frozen=True)
class Loaded(Generic[Some]):
    """
    A pipeline that a runner works with, or why it has none.

    Attributes:
        model: `name@version`; empty without one.
        device: where it runs.
        warnings: sentences about what is lost in this set-up.
    """

    pipeline: Some | None
    what: str = ""
    model: str = ""
    device: str = "cpu"
    warnings: tuple[str, ...] = ()

    def needed(self) -> Some:
        """The pipeline. Raises AppError(OVERLOADED) where there is none."""
        if self.pipeline is None:
            raise AppError(ErrorCode.OVERLOADED, f"This service is set up without {self.what}; ask its operator.")
        return self.pipeline


def load(make: Callable[[], Some]) -> Loaded[Some]:
    """Load what a worker cannot be without. Raises WeightsError."""
    pipeline = make()
    model = f"{pipeline.model_name}@{pipeline.model_version}"
    return Loaded(pipeline, model=model, device=pipeline.device, warnings=tuple(pipeline.warnings))


def load_or_do_without(make: Callable[[], Some], *, what: str, lost: str) -> Loaded[Some]:
    """
    Load what a worker can be without: then some requests are refused, and the rest works.

    Args:
        what: the missing thing, for clients: "the network for garments".
        lost: which requests are refused, for the operator: "Requests for garments are refused."
    """
    try:
        return load(make)
    except WeightsError as error:
        return Loaded(None, what=what, warnings=(f"{lost} {error}",))


class Runner:
    """The code behind an operation: made once, with the Engine, when the worker starts. It holds nothing of any job."""

    loaded: tuple[Loaded[Any], ...] = ()

    def __init__(self, engine: Engine) -> None:
        """Load the pipelines that it works with and name them in `loaded`."""

    def run(self, work: Work) -> Outcome:
        """Do one job. Raises AppError for what the client can mend."""
        raise NotImplementedError


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
        "warnings": sorted({warning for loaded in every for warning in loaded.warnings}),
        "slots": engine.models.slots.jobs,
    }
