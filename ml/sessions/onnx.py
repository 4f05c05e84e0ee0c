"""
ONNX Runtime on a CPU: fast, with memory that stays flat.

Measured with IS-Net (docs/models.md has the table, `python -m ml.evaluation.bench_session` makes it again):

* One run over all cores is as good as several narrow ones in throughput and twice as good in latency, with a third less
  memory, so the default is one slot that uses every core; machines with many cores get a slot for each four.
* Without an arena each tensor of 64 MB is mapped, zeroed and unmapped again: a third of the time. ONNX Runtime's own
  arena keeps one pool per session and grows by powers of two: 2.1 GB. One arena for the process that grows by what is
  asked ("same as requested"), without the memory pattern, is as fast as the arena and stays at 1.4 GB.
* Networks trained with side outputs (IS-Net 11, U²-Net 6) compute them all; cut to the first, a run is 4 % shorter.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ml.sessions.gpu import Gpu
from ml.sessions.onnx_graph import write_with_first_output_only, write_with_outputs

Output = TypeVar("Output")

CORES_PER_SLOT = 4
"""Convolutions of these sizes stop gaining much beyond four threads; more runs at once gain more."""


class InferenceSlots:
    """
    Where networks run, and how many runs the CPU takes at once. Sessions of one process share one object.

    Runs have threads of their own, made here and now: a caller that lowers its own priority to let networks go first
    (a run on several cores stands still while one of its threads waits for a core) doesn't lower theirs.
    """

    def __init__(self, count: int | None = None, *, threads_per_run: int | None = None, gpu: Gpu | None = None) -> None:
        """
        Args:
            count: runs at once; each keeps about 1 GB of working memory with IS-Net. By default one for each
                `CORES_PER_SLOT` cores that this process may use.
            threads_per_run: CPU threads of one run; by default the cores divided by `count`.
            gpu: takes the networks that are built in torch; the others stay on the CPU.

        Raises:
            ValueError: either is below 1.
        """
        cores = len(os.sched_getaffinity(0))
        self.count = max(1, cores // CORES_PER_SLOT) if count is None else count
        self.threads_per_run = max(1, cores // max(1, self.count)) if threads_per_run is None else threads_per_run
        if self.count < 1 or self.threads_per_run < 1:
            raise ValueError("count and threads_per_run are at least 1")
        self.gpu = gpu
        self._runs = ThreadPoolExecutor(self.count, thread_name_prefix="network")
        all_there = threading.Barrier(self.count + 1)
        for _ in range(self.count):
            self._runs.submit(all_there.wait)
        all_there.wait()

    @property
    def jobs(self) -> int:
        """Jobs that the device works on at once; more in hand only wait."""
        return self.count if self.gpu is None else self.gpu.jobs

    def run(self, network: Callable[[], Output]) -> Output:
        """Wait for a free slot, run `network` there, and give what it gives or raise what it raises."""
        return self._runs.submit(network).result()


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
        _give_back_freed_memory()
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

    def __init__(self, path: Path, *, outputs: Sequence[str], slots: InferenceSlots) -> None:
        """
        Args:
            path: an ONNX file.
            outputs: the float32 values to give, in this order: the graph's outputs, or values inside it.
            slots: as for `OnnxSession`.
        """
        _share_one_arena()
        self._slots = slots
        with tempfile.NamedTemporaryFile(suffix=".onnx") as chosen:
            write_with_outputs(path.read_bytes(), outputs, chosen)
            chosen.flush()
            self._session = ort.InferenceSession(
                chosen.name, _options(slots.threads_per_run), providers=["CPUExecutionProvider"]
            )
        _give_back_freed_memory()
        self._outputs = list(outputs)

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """
        Run the network, waiting for a free slot.

        Args:
            tensors: one float32 array for each of the graph's inputs, by name.

        Returns:
            The outputs asked for, float32, in the network's own range.
        """
        return list(self._slots.run(lambda: self._session.run(self._outputs, dict(tensors))))


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Idle threads that spin take the cores that decode and encode the other requests' images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _give_back_freed_memory() -> None:
    """Hand what loading took and freed (250 MB for IS-Net) back to the system, where the C library is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
