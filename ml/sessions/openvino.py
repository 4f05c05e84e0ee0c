"""
OpenVINO on a CPU, for the networks of background removal: one request alone is fast, many together lose nothing.

A network is there twice where slots can be shared: for one run on all cores, and for narrow runs beside each other.
Each keeps its weights as it has packed them; the weights that both were made from stay in a file (`_write_compiled`).
The working memory belongs to whichever ran last, and the other's is given back.
IS-Net takes 0.3 GB of working memory a run here and 1.1 GB in ONNX Runtime (docs/adr/0015).
"""

from __future__ import annotations

import gc
import logging
import mmap
import tempfile
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino
from numpy.typing import NDArray

from ml.sessions.memory import give_back_freed_memory
from ml.sessions.slots import InferenceSlots

log = logging.getLogger(__name__)

_OPTIONS = {
    "INFERENCE_PRECISION_HINT": "f32",  # as everywhere: the same picture on every machine
    "ENABLE_CPU_PINNING": False,  # other processes have work on these cores too
}


class OpenVinoSession:
    """A network of one image input, of which the first output is wanted. Safe to call from many threads."""

    device = "cpu"

    def __init__(self, path: Path, *, slots: InferenceSlots) -> None:
        """
        Args:
            path: an ONNX file whose input has a fixed shape.
            slots: bounds the runs at once, and tells how many threads each has.
        """
        self._slots = slots
        self._file = _write_compiled(path)
        self._wide = _Compiled(self._file, runs=slots.count, threads=slots.threads_per_run)
        self._narrow: _Compiled | None = None
        if slots.parts > 1:
            threads = max(1, slots.threads_per_run // slots.parts)
            self._narrow = _Compiled(self._file, runs=slots.count * slots.parts, threads=threads)
        self._file.madvise(mmap.MADV_DONTNEED)  # they have packed what they need of it
        gc.collect()
        give_back_freed_memory()

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """
        Run the network, waiting for a free slot or a part of one.

        Args:
            tensor: (N, C, H, W) float32 as the network was trained to see it.

        Returns:
            The first output, float32, in the network's own range.
        """
        wide, narrow = self._wide, self._narrow
        if narrow is None:
            return self._slots.run(lambda: wide.run(tensor))
        return self._slots.run_either(
            lambda: wide.run(tensor, instead_of=narrow), lambda: narrow.run(tensor, instead_of=wide)
        )


def _write_compiled(path: Path) -> mmap.mmap:
    """
    Compile the network into a file without a name, and map that.

    A network compiled from ONNX keeps its weights twice, as they were and packed. One that is imported from a mapping
    takes the former from there, and their pages can be dropped (0.18 GB for IS-Net, in each of its two shapes).
    """
    core = openvino.Core()
    model = core.read_model(path)
    first = openvino.Model([model.get_results()[0]], model.get_parameters(), path.stem)
    with tempfile.TemporaryFile(prefix="keyline-network-") as file:
        file.write(core.compile_model(first, "CPU", _OPTIONS).export_model().getbuffer())
        file.flush()
        # A private copy, because OpenVINO takes no read-only memory; it never writes there.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


class _Compiled:
    """The network for a number of runs at once. The slots see to it that there are never more."""

    def __init__(self, file: mmap.mmap, *, runs: int, threads: int) -> None:
        """Args: file: what `_write_compiled` gave; it has to outlive this."""
        options = {**_OPTIONS, "NUM_STREAMS": runs, "INFERENCE_NUM_THREADS": runs * threads}
        blob = openvino.Tensor(np.frombuffer(file, np.uint8), shared_memory=True)
        self._model = openvino.Core().import_model(blob, "CPU", options)
        self._requests: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(runs):
            self._requests.put(self._model.create_infer_request())
        self._holds_memory = False

    def run(self, tensor: NDArray[np.float32], *, instead_of: _Compiled | None = None) -> NDArray[np.float32]:
        """Run it. The slots never let `instead_of` run at the same time, so its working memory can go first."""
        if instead_of is not None:
            instead_of.release_memory()
        self._holds_memory = True
        request = self._requests.get()
        try:
            request.infer({0: tensor}, share_inputs=True)
            return np.array(request.get_output_tensor(0).data, np.float32)
        finally:
            self._requests.put(request)

    def release_memory(self) -> None:
        """Give the working memory back to the system; the next run takes it anew, which costs it a tenth of a second."""
        if self._holds_memory:
            self._holds_memory = False
            self._model.release_memory()
