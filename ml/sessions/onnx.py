"""
ONNX Runtime on a CPU, for networks of any input size or of several inputs and outputs: memory that stays flat.

Measured with IS-Net, which ran here before it got OpenVINO (docs/adr/0015; `python -m ml.evaluation.bench_session`):

* Without an arena each tensor of 64 MB is mapped, zeroed and unmapped again: a third of the time. ONNX Runtime's own
  arena keeps one pool per session and grows by powers of two: 2.1 GB. One arena for the process that grows by what is
  asked ("same as requested"), without the memory pattern, is as fast as the arena and stays at 1.4 GB.
* Networks trained with side outputs (IS-Net 11, U²-Net 6) compute them all; cut to the first, a run is 4 % shorter.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ml.sessions.memory import give_back_freed_memory
from ml.sessions.onnx_graph import write_with_first_output_only, write_with_outputs
from ml.sessions.slots import InferenceSlots


class OnnxSession:
    """A network of one image input, of which the first output is wanted. Safe to call from many threads."""

    device = "cpu"

    def __init__(self, path: Path, *, slots: InferenceSlots) -> None:
        """
        Args:
            path: an ONNX file.
            slots: bounds the runs at once; its `threads_per_run` is the session's number of threads.
        """
        _share_one_arena()
        self._slots = slots
        # Through a file: from bytes, ONNX Runtime keeps the whole model a second time as long as the session lives.
        with tempfile.NamedTemporaryFile(suffix=".onnx") as pruned:
            write_with_first_output_only(path.read_bytes(), pruned)
            pruned.flush()
            self._session = ort.InferenceSession(
                pruned.name, _options(slots.threads_per_run), providers=["CPUExecutionProvider"]
            )
        give_back_freed_memory()
        self._input_name = self._session.get_inputs()[0].name
        self._output_names = [self._session.get_outputs()[0].name]

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """
        Run the network, waiting for a free slot.

        Args:
            tensor: (N, C, H, W) float32 as the network was trained to see it.

        Returns:
            The first output, float32, in the network's own range.
        """
        outputs = self._slots.run(lambda: self._session.run(self._output_names, {self._input_name: tensor}))
        output: NDArray[np.float32] = outputs[0]
        return output


class OnnxGraph:
    """A network of several named inputs and outputs. Safe to call from many threads."""

    device = "cpu"

    def __init__(self, path: Path, *, outputs: Sequence[str], slots: InferenceSlots, keeps_memory: bool = True) -> None:
        """
        Args:
            path: an ONNX file.
            outputs: the float32 values to give, in this order: the graph's outputs, or values inside it.
            slots: as for `OnnxSession`.
            keeps_memory: between runs, for the next one. What every size of input asks for anew piles up in an arena; a
                network that is asked seldom, or at many sizes, gives it back after each run and takes a little longer.
        """
        _share_one_arena()
        self._slots = slots
        self._keeps_memory = keeps_memory
        with tempfile.NamedTemporaryFile(suffix=".onnx") as chosen:
            write_with_outputs(path.read_bytes(), outputs, chosen)
            chosen.flush()
            options = _options(slots.threads_per_run, keeps_memory=keeps_memory)
            self._session = ort.InferenceSession(chosen.name, options, providers=["CPUExecutionProvider"])
        give_back_freed_memory()
        self._outputs = list(outputs)

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """
        Run the network, waiting for a free slot.

        Args:
            tensors: one float32 array for each of the graph's inputs, by name.

        Returns:
            The outputs asked for, float32, in the network's own range.
        """
        outputs = list(self._slots.run(lambda: self._session.run(self._outputs, dict(tensors))))
        if not self._keeps_memory:
            give_back_freed_memory()
        return outputs


class LateGraph:
    """An `OnnxGraph` that is opened when it is first asked: for a network that many a worker never needs."""

    def __init__(self, open_graph: Callable[[], OnnxGraph]) -> None:
        self._open_graph = open_graph
        self._graph: OnnxGraph | None = None
        self._opening = threading.Lock()

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """As `OnnxGraph.run`."""
        with self._opening:
            graph = self._graph = self._graph or self._open_graph()
        return graph.run(tensors)


def _options(threads: int, *, keeps_memory: bool = True) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = keeps_memory
    options.add_session_config_entry("session.use_env_allocators", "1" if keeps_memory else "0")
    # Idle threads that spin take the cores that decode and encode the other requests' images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


_arena_lock = threading.Lock()
_arena_is_registered = False


def _share_one_arena() -> None:
    """Give ONNX Runtime's environment (one per process) the arena that every session here uses."""
    global _arena_is_registered  # noqa: PLW0603  the environment is the process's, so is this flag
    with _arena_lock:
        if _arena_is_registered:
            return
        memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": 1}))
        _arena_is_registered = True
