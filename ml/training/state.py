"""What a training keeps on the disk, so that a second call goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_AVERAGED = "module."
"""What an `AveragedModel` puts before the names of its network's weights."""


def keep_state(state: Mapping[str, Any], file: Path) -> None:
    """Write a state, whole or not at all."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)


def kept_state(file: Path, device: str) -> dict[str, Any] | None:
    """Read what was kept, its tensors on `device`; None where nothing was."""
    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    return state


def take_average(network: nn.Module, average: Mapping[str, Tensor]) -> None:
    """Give a network the running mean of the weights. Args: average: the state of an `AveragedModel`."""
    its = {name.removeprefix(_AVERAGED): value for name, value in average.items() if name.startswith(_AVERAGED)}
    network.load_state_dict(its)
