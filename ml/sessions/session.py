"""What a network knows of its runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Session(Protocol):
    """One tensor in, one out: `OpenVinoSession`, `TorchSession`, or a test's fake."""

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, or a GPU's name."""
        ...

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on a float32 tensor; the network's own module says of which shape and range."""
        ...


class Graph(Protocol):
    """Several tensors in and out, by name: `OpenVinoGraph`, or a test's fake."""

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Run the network on float32 tensors; the network's own module says of which shapes and ranges."""
        ...
