"""What a network knows of its runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
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


class LateGraph:
    """A graph that is opened when it is first asked: for a network that many a worker never needs."""

    def __init__(self, open_graph: Callable[[], Graph]) -> None:
        self._open_graph = open_graph
        self._graph: Graph | None = None
        self._opening = threading.Lock()

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """As the graph does."""
        with self._opening:
            graph = self._graph = self._graph or self._open_graph()
        return graph.run(tensors)
