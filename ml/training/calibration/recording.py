"""What each network sees when the pipelines work on photos."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.models import Models
from ml.sessions.session import Graph, Session

Tensors = dict[Any, NDArray[np.float32]]
"""By name, or by place."""


class Recorder:
    """Keeps some of the inputs of each network, each as likely as another."""

    def __init__(self, most: int) -> None:
        """Args: most: inputs kept of each network."""
        self._most = most
        self._counts: dict[str, int] = {}
        self._draw = random.Random(0)  # noqa: S311  nothing secret
        self.seen: dict[str, list[Tensors]] = {}

    def see(self, network: str, tensors: Tensors) -> None:
        """Reservoir sampling (Vitter 1985, algorithm R)."""
        count = self._counts[network] = self._counts.get(network, 0) + 1
        kept = self.seen.setdefault(network, [])
        place = len(kept) if len(kept) < self._most else self._draw.randrange(count)
        if place < self._most:
            copied = {name: np.array(tensor, np.float32) for name, tensor in tensors.items()}
            kept[place : place + 1] = [copied]


class RecordingModels(Models):
    """Networks whose inputs are kept, by the stem of their file's name."""

    def __init__(self, weights_dir: Path, *, recorder: Recorder) -> None:
        super().__init__(weights_dir)
        self._recorder = recorder

    def _session(self, path: Path) -> Session:
        return _RecordedSession(super()._session(path), path.stem, self._recorder)

    def _graph(self, path: Path, outputs: Sequence[str], *, keeps_memory: bool = True) -> Graph:
        return _RecordedGraph(super()._graph(path, outputs, keeps_memory=keeps_memory), path.stem, self._recorder)


class _RecordedSession:
    def __init__(self, session: Session, name: str, recorder: Recorder) -> None:
        self._session, self._name, self._recorder = session, name, recorder
        self.device = session.device

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        self._recorder.see(self._name, {0: tensor})
        return self._session.run(tensor)


class _RecordedGraph:
    def __init__(self, graph: Graph, name: str, recorder: Recorder) -> None:
        self._graph, self._name, self._recorder = graph, name, recorder

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self._recorder.see(self._name, dict(tensors))
        return self._graph.run(tensors)
