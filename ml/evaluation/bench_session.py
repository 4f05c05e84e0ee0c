"""
Measure how IS-Net runs on this machine: `python -m ml.evaluation.bench_session [--weights DIR] [--runs N]`.

Each line is a fresh process: bare ONNX Runtime with one option changed at a time, then our own session (OpenVINO) under 1
to 16 clients. Latency is the median, CPU seconds are for one image, memory is the process's peak. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ml.weights.catalogue import ISNET

BARE: dict[str, dict[str, Any]] = {
    "bare, defaults, 2 threads": {},
    "bare, defaults, 1 thread": {"threads": 1},
    "bare, two runs of 1 thread": {"threads": 1, "clients": 2},
    "bare, two runs of 1 thread, no memory pattern": {"threads": 1, "clients": 2, "pattern": False},
    "bare, no memory pattern": {"pattern": False},
    "bare, no arena": {"arena": False},
    "bare, no arena, no memory pattern": {"arena": False, "pattern": False},
    "bare, no spinning": {"pattern": False, "entries": {"session.intra_op.allow_spinning": "0"}},
    "bare, denormals as zero": {"pattern": False, "entries": {"session.set_denormal_as_zero": "1"}},
    "bare, optimisation extended": {"pattern": False, "level": 2},
    "bare, optimisation basic": {"pattern": False, "level": 1},
}
OURS: dict[str, dict[str, Any]] = {
    "ours, 1 client": {"clients": 1, "share": False},
    "ours, 4 clients": {"clients": 4, "share": False},
    "ours, 16 clients": {"clients": 16, "share": False},
    "ours, shared slot, 4 clients": {"clients": 4, "share": True},
}


def main() -> None:
    """Run every case and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path("var/weights"))
    parser.add_argument("--runs", type=int, default=6, help="runs of each case, shared by its clients")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.weights / ISNET.files[0].name
    if options.case:
        sys.stdout.write(json.dumps(_measure(path, json.loads(options.case), options.runs)))
        return
    sys.stdout.write("| case | latency ms | images/s | CPU s | peak MB |\n|---|---|---|---|---|\n")
    cases = {**BARE, **{name: {**case, "ours": True} for name, case in OURS.items()}}
    for name, case in cases.items():
        command = [sys.executable, "-m", __spec__.name, "--weights", str(options.weights)]
        command += ["--runs", str(options.runs), "--case", json.dumps(case)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  our own module
        facts = json.loads(answer.stdout)
        sys.stdout.write("| {} | {latency_ms:.0f} | {per_s:.2f} | {cpu_s:.2f} | {peak_mb} |\n".format(name, **facts))
        sys.stdout.flush()


def _measure(path: Path, case: dict[str, Any], runs: int) -> dict[str, float]:
    run = _our_session(path, share=case["share"]) if "ours" in case else _bare_session(path, case)
    tensor = np.random.default_rng(0).normal(0, 0.3, (1, 3, 1024, 1024)).astype(np.float32)
    clients = case.get("clients", 1)
    for _ in range(2):  # the memory pattern is made by the first run and paid for by the second
        _in_threads(clients, lambda: run(tensor))
    each = max(2, runs // clients)
    latencies: list[float] = []

    def work() -> None:
        for _ in range(each):
            started = time.perf_counter()
            run(tensor)
            latencies.append(time.perf_counter() - started)

    started, cpu = time.perf_counter(), time.process_time()
    _in_threads(clients, work)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return {
        "latency_ms": statistics.median(latencies) * 1000,
        "per_s": len(latencies) / wall_s,
        "cpu_s": cpu_s / len(latencies),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _our_session(path: Path, *, share: bool) -> Callable[[Any], object]:
    from ml.sessions.openvino import OpenVinoSession
    from ml.sessions.slots import InferenceSlots

    return OpenVinoSession(path, slots=InferenceSlots(share=share)).run


def _bare_session(path: Path, case: dict[str, Any]) -> Callable[[Any], object]:
    import onnxruntime as ort

    levels = {1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, 2: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED}
    options = ort.SessionOptions()
    options.intra_op_num_threads = case.get("threads", 2)
    options.enable_cpu_mem_arena = case.get("arena", True)
    options.enable_mem_pattern = case.get("pattern", True)
    options.graph_optimization_level = levels.get(case.get("level", 99), ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    for key, value in case.get("entries", {}).items():
        options.add_session_config_entry(key, value)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [session.get_outputs()[0].name]
    return lambda tensor: session.run(names, {session.get_inputs()[0].name: tensor})


if __name__ == "__main__":
    main()
