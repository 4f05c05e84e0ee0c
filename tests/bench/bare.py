"""
The pipeline's networks alone, one after the other, in a process of their own: in onnxruntime, f32, with its default options;
or as the service runs them, in the precision that it has chosen. The same weights, the photo's own pixels.

As a program (`python -m tests.bench.bare`) it reads a number of runs a line and answers each with a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from apps.stack.paths import ROOT
from ml.weights import made_here
from ml.weights.catalogue import MODELS, U2NETP
from tests.bench.errors import BenchError
from tests.bench.timed import Timed

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass
class Runs(Timed):
    """What some runs took; `+=` adds more of the same kind."""

    main_ms: list[float] = field(default_factory=list)  # the main network's part of them
    cpu_s: float = 0.0
    peak_mb: float = 0.0

    def __iadd__(self, more: Runs) -> Runs:
        self.add_times(more)
        self.main_ms += more.main_ms
        self.cpu_s += more.cpu_s
        self.peak_mb = max(self.peak_mb, more.peak_mb)
        return self

    @property
    def cpu_s_each(self) -> float:
        return self.cpu_s / self.count


class Bare:
    """A running process with a session for each network, on all cores."""

    def __init__(self, weights: Sequence[Path], photo: Path, *, precision: str = "") -> None:
        """
        Args:
            weights: the pipeline's networks in their order, the main one first.
            precision: in which the service runs them; empty for onnxruntime.
        """
        self.name = f"the networks alone, {precision}" if precision else "bare onnxruntime, f32"
        command = [sys.executable, "-m", __name__, str(photo), "--precision", precision, *map(str, weights)]
        # A session of its own: Ctrl-C is ours to answer, and a closed pipe ends it.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self._process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
        self._ask(0)  # loaded and warm

    def run(self, count: int) -> Runs:
        """Do `count` runs, one after the other."""
        return self._ask(count)

    def close(self) -> None:
        """End the process; its memory is free for the next."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, count: int) -> Runs:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(f"{count}\n")
            return Runs(**json.loads(self._process.stdout.readline()))
        except (OSError, ValueError) as error:
            raise BenchError(f"What runs {self.name} ended; the lines above say why.") from error


def networks(folder: Path, main: str, quality: str) -> list[Path]:
    """The graphs that a request of this quality runs, the main one first."""
    names = [main, U2NETP.name] if quality == "best" else [main]
    return [*(folder / MODELS[name].files[0].name for name in names), made_here.FOLDER / made_here.JUDGE.name]


# --- the program ------------------------------------------------------------------------------------------


def main() -> None:
    """Serve run counts from standard input until it is closed."""
    from PIL import Image

    parser = argparse.ArgumentParser()
    parser.add_argument("photo", type=Path)
    parser.add_argument("--precision", default="")
    parser.add_argument("weights", type=Path, nargs="+")
    asked = parser.parse_args()
    photo = Image.open(asked.photo).convert("RGB")
    open_network = _as_served(asked.precision) if asked.precision else _in_onnxruntime
    rounds = [(open_network(weights), _tensor(weights, photo)) for weights in asked.weights]

    def run(count: int) -> list[tuple[float, float]]:
        latencies = []
        for _ in range(count):
            marks = [time.perf_counter()]
            for network, tensor in rounds:
                network(tensor)
                marks.append(time.perf_counter())
            latencies.append(((marks[-1] - marks[0]) * 1000, (marks[1] - marks[0]) * 1000))
        return latencies

    run(2)  # the memory pattern is made by the first run and paid for by the second
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        latencies = run(int(line))
        facts = {
            "latencies_ms": [whole for whole, _ in latencies],
            "main_ms": [main for _, main in latencies],
            "wall_s": time.perf_counter() - began,
            "cpu_s": time.process_time() - cpu,
            "peak_mb": _peak_mb(),
        }
        print(json.dumps(facts), flush=True)


def _in_onnxruntime(weights: Path) -> Callable[[Any], object]:
    # It reports to its maker which networks run (microsoft/onnxruntime#27379).
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    wanted, name = [session.get_outputs()[0].name], session.get_inputs()[0].name
    return lambda tensor: session.run(wanted, {name: tensor})


def _as_served(precision: str) -> Callable[[Path], Callable[[Any], object]]:
    from ml.sessions.compiling import Compiler
    from ml.sessions.openvino import OpenVinoSession
    from ml.sessions.slots import InferenceSlots

    compiler, slots = Compiler(precision), InferenceSlots()
    return lambda weights: OpenVinoSession(weights, slots=slots, compiler=compiler).run


def _tensor(weights: Path, photo: Image) -> Any:
    """What a network sees of the photo; the judge, which sees maps too, sees nothing."""
    import numpy as np
    from PIL import Image

    from ml.background.judge_network import SIDE_PX

    spec = next((spec for spec in MODELS.values() if spec.files[0].name == weights.name), None)
    if spec is None:
        return np.zeros((1, 5, SIDE_PX, SIDE_PX), np.float32)
    square = photo.resize((spec.input_side_px, spec.input_side_px), Image.Resampling.BILINEAR)
    pixels = (np.asarray(square, np.float32) - np.float32(spec.mean_rgb)) / np.float32(spec.std_rgb)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def _peak_mb() -> float:
    from tests.bench.processes import Processes

    return Processes({"self": os.getpid()}).peak_mb()["self"]


if __name__ == "__main__":
    main()
