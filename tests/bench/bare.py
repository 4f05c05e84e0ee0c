"""
Bare onnxruntime in a process of its own: the pipeline's networks one after the other, the same weights, the default
options, the photo's own pixels.

As a program (`python -m tests.bench.bare`) it reads a number of runs a line and answers each with a line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from apps.stack.paths import ROOT
from ml.weights import made_here
from ml.weights.catalogue import MODELS, U2NETP
from tests.bench.errors import BenchError
from tests.bench.timed import Timed

_GB_A_RUN = 1.6  # IS-Net's working memory with the default arena; widest guess


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
    """A running process with a session for each network: `at_once` runs of all of them, of `threads` threads each."""

    def __init__(self, weights: Sequence[Path], photo: Path, *, threads: int, at_once: int) -> None:
        """Args: weights: the pipeline's networks in their order, the main one first."""
        self.shape = f"{at_once} x {threads} thread{'s' * (threads > 1)}"
        self._at_once = at_once
        command = [sys.executable, "-m", __name__, str(photo), str(threads), str(at_once), *map(str, weights)]
        # A session of its own: Ctrl-C is ours to answer, and a closed pipe ends it.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self._process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
        self._ask(0)  # loaded and warm

    def run(self, count: int) -> Runs:
        """Do `count` runs, rounded up to a multiple of those at once: none of them may find itself alone at the end."""
        return self._ask(-(-count // self._at_once) * self._at_once)

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
            raise BenchError(f"Bare onnxruntime ({self.shape}) ended; the lines above say why.") from error


def most_runs_at_once(cores: int) -> int:
    """One for each core, if the machine has the memory."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available_gb = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1e6
    return max(1, min(cores, int(available_gb * 0.6 / _GB_A_RUN)))


def networks(folder: Path, main: str, quality: str) -> list[Path]:
    """The graphs that a request of this quality runs, the main one first."""
    names = [main, U2NETP.name] if quality == "best" else [main]
    return [*(folder / MODELS[name].files[0].name for name in names), made_here.FOLDER / made_here.JUDGE.name]


# --- the program ------------------------------------------------------------------------------------------


def main() -> None:
    """Serve run counts from standard input until it is closed."""
    import numpy as np

    os.environ["ORT_DISABLE_TELEMETRY"] = (
        "1"  # it reports to its maker which networks run (microsoft/onnxruntime#27379)
    )
    import onnxruntime as ort
    from PIL import Image

    parser = argparse.ArgumentParser()
    parser.add_argument("photo", type=Path)
    parser.add_argument("threads", type=int)
    parser.add_argument("at_once", type=int)
    parser.add_argument("weights", type=Path, nargs="+")
    asked = parser.parse_args()
    options = ort.SessionOptions()
    options.intra_op_num_threads = asked.threads
    photo = Image.open(asked.photo).convert("RGB")
    rounds = []
    for weights in asked.weights:
        session = ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        spec = next((spec for spec in MODELS.values() if spec.files[0].name == weights.name), None)
        _, channels, side_px, _ = session.get_inputs()[0].shape
        tensor = np.zeros((1, channels, side_px, side_px), np.float32)
        if spec is not None:
            square = photo.resize((side_px, side_px), Image.Resampling.BILINEAR)
            pixels = (np.asarray(square, np.float32) - np.float32(spec.mean_rgb)) / np.float32(spec.std_rgb)
            tensor[0] = pixels.transpose(2, 0, 1)
        rounds.append((session, [session.get_outputs()[0].name], {session.get_inputs()[0].name: tensor}))

    def run(count: int) -> list[tuple[float, float]]:
        tickets, latencies = itertools.count(), []

        def work() -> None:
            while next(tickets) < count:
                marks = [time.perf_counter()]
                for session, wanted, tensors in rounds:
                    session.run(wanted, tensors)
                    marks.append(time.perf_counter())
                latencies.append(((marks[-1] - marks[0]) * 1000, (marks[1] - marks[0]) * 1000))

        threads = [threading.Thread(target=work) for _ in range(min(asked.at_once, count))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return latencies

    for _ in range(2):  # the memory pattern is made by the first run and paid for by the second
        run(asked.at_once)
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


def _peak_mb() -> float:
    from tests.bench.processes import Processes

    return Processes({"self": os.getpid()}).peak_mb()["self"]


if __name__ == "__main__":
    main()
