"""Pipelines that a runner works with, and what it is without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from apps.core.errors import AppError, ErrorCode
from ml.errors import WeightsError

if TYPE_CHECKING:
    from ml.models import Models


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
        precision: in which numbers: f32, bf16, int8, or f16 on a GPU.
        warnings: sentences about what is lost in this set-up.
    """

    pipeline: Some | None
    what: str = ""
    model: str = ""
    device: str = "cpu"
    precision: str = ""
    warnings: tuple[str, ...] = ()

    def needed(self) -> Some:
        """The pipeline. Raises AppError(OVERLOADED) where there is none."""
        if self.pipeline is None:
            raise AppError(ErrorCode.OVERLOADED, f"This service is set up without {self.what}; ask its operator.")
        return self.pipeline


def load(models: Models, make: Callable[[], Some]) -> Loaded[Some]:
    """
    Load what a worker cannot be without. Raises WeightsError.

    Args:
        models: the networks of this process.
        make: the one of its methods that makes the pipeline.
    """
    pipeline = make()
    return Loaded(
        pipeline,
        model=f"{pipeline.model_name}@{pipeline.model_version}",
        device=pipeline.device,
        precision=models.precision_on(pipeline.device),
        warnings=tuple(pipeline.warnings),
    )


def load_or_do_without(models: Models, make: Callable[[], Some], *, what: str, lost: str) -> Loaded[Some]:
    """
    Load what a worker can be without: then some requests are refused, and the rest works.

    Args:
        models, make: as for `load`.
        what: the missing thing, for clients: "the network for garments".
        lost: which requests are refused, for the operator: "Requests for garments are refused."
    """
    try:
        return load(models, make)
    except WeightsError as error:
        return Loaded(None, what=what, warnings=(f"{lost} {error}",))
