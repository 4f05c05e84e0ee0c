"""Which background network a licence profile gets from the weights that are there. The standard library alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml.errors import WeightsMissingError
from ml.weights.catalogue import specs_for
from ml.weights.fetch import is_right
from ml.weights.specs import ModelSpec, Profile


@dataclass(frozen=True, slots=True)
class BackgroundChoice:
    """The network that will cut backgrounds, and what is lost where it is not the profile's best."""

    spec: ModelSpec
    warnings: tuple[str, ...]


def choose_background(profile: Profile, weights_dir: Path) -> BackgroundChoice:
    """
    Take the best network whose weights are there and right. Loads nothing.

    Raises:
        WeightsMissingError: none of the profile's networks has its weights in `weights_dir`.
        WeightsDamagedError: a file is there with the wrong content.
    """
    wanted = specs_for(profile)
    for spec in wanted:
        if all(is_right(file, weights_dir) for file in spec.files):
            return BackgroundChoice(spec, () if spec is wanted[0] else (_what_is_lost(wanted[0], spec),))
    names = ", ".join(file.name for spec in wanted for file in spec.files)
    raise WeightsMissingError(
        f"No background network in {weights_dir}: none of {names} is there. "
        f"Run `python -m ml.weights fetch --profile {profile}`."
    )


def _what_is_lost(best: ModelSpec, used: ModelSpec) -> str:
    return (
        f"{best.files[0].name} is missing, so backgrounds are cut with {used.name}: hair, spokes and holes come out softer. "
        "Run `python -m ml.weights fetch` where npm is installed, then restart the worker."
    )
