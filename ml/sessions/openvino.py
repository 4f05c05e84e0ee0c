"""
OpenVINO on a CPU: as many runs at once as there are slots, each on all the cores of its slot.

A network keeps its weights as it has packed them; those that they were made from stay in a file (`ml.sessions.compiling`).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino
from numpy.typing import NDArray

from ml.sessions.compiled import drop_pages
from ml.sessions.compiling import Compiler
from ml.sessions.memory import give_back_freed_memory
from ml.sessions.slots import InferenceSlots

Tensors = Mapping[str, NDArray[np.float32]] | Mapping[int, NDArray[np.float32]]


class OpenVinoGraph:
    """A network of named inputs and outputs, of any size where its file leaves that open. Safe to call from many threads."""

    device = "cpu"

    def __init__(
        self,
        path: Path,
        *,
        outputs: Sequence[str] = (),
        slots: InferenceSlots,
        compiler: Compiler | None = None,
        keeps_memory: bool = True,
    ) -> None:
        """
        Args:
            path: an ONNX file.
            outputs: the float32 values to give, in this order: the graph's outputs, or values inside it. By default its
                first output.
            slots: bounds the runs at once, and tells how many threads each has.
            compiler: f32, and nothing kept on the disk, by default.
            keeps_memory: between runs, for the next one. A network that is asked seldom gives it back and takes a little
                longer.
        """
        compiler = compiler or Compiler()
        self._slots = slots
        self._keeps_memory = keeps_memory
        self._network = compiler.compile(path, outputs=outputs)
        self._compiled = _Compiled(self._network, compiler.options, runs=slots.count, threads=slots.threads_per_run)
        drop_pages(self._network)  # it has packed what it needs of it
        gc.collect()
        give_back_freed_memory()

    def run(self, tensors: Tensors) -> list[NDArray[np.float32]]:
        """
        Run the network, waiting for a free slot.

        Args:
            tensors: one float32 array for each of the graph's inputs, by name or by place.

        Returns:
            The outputs asked for, float32, in the network's own range.
        """
        outputs = self._slots.run(lambda: self._compiled.run(tensors))
        if not self._keeps_memory:
            self._compiled.release_memory()
            give_back_freed_memory()
        return outputs


class OpenVinoSession:
    """A network of one image input, of which the first output is wanted. Safe to call from many threads."""

    device = "cpu"

    def __init__(self, path: Path, *, slots: InferenceSlots, compiler: Compiler | None = None) -> None:
        """Args: as for `OpenVinoGraph`."""
        self._graph = OpenVinoGraph(path, slots=slots, compiler=compiler)

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """
        Run the network, waiting for a free slot.

        Args:
            tensor: (N, C, H, W) float32 as the network was trained to see it.

        Returns:
            The first output, float32, in the network's own range.
        """
        return self._graph.run({0: tensor})[0]


class _Compiled:
    """The network for a number of runs at once. The slots see to it that there are never more."""

    def __init__(self, network: memoryview, options: dict[str, object], *, runs: int, threads: int) -> None:
        """Args: network: what the compiler gave; it has to outlive this."""
        options = {**options, "NUM_STREAMS": runs, "INFERENCE_NUM_THREADS": runs * threads}
        blob = openvino.Tensor(np.frombuffer(network, np.uint8), shared_memory=True)
        self._model = openvino.Core().import_model(blob, "CPU", options)
        self._requests: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(runs):
            self._requests.put(self._model.create_infer_request())
        self._lock = threading.Lock()
        self._running = 0

    def run(self, tensors: Tensors) -> list[NDArray[np.float32]]:
        """Run it in one of its requests."""
        with self._lock:
            self._running += 1
        request = self._requests.get()
        try:
            request.infer(tensors, share_inputs=True)
            return [np.array(each.data, np.float32) for each in request.output_tensors]
        finally:
            self._requests.put(request)
            with self._lock:
                self._running -= 1

    def release_memory(self) -> None:
        """
        Give the working memory back to the system; the next run takes it anew, which costs it a tenth of a second.

        While it runs, nothing is given back.
        """
        with self._lock:
            if not self._running:
                self._model.release_memory()
