"""
Measure how IS-Net runs on this machine: `python -m ml.evaluation.bench_session [--weights DIR] [--runs N]`.

Each line is a fresh process: bare ONNX Runtime, then our own session (OpenVINO) in each precision that the processor can
do. Latency is the median, CPU seconds are for one image, memory is the process's peak. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
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

from ml.sessions.precision import Precision, supported
from ml.weights.catalogue import ISNET

BARE: dict[str, dict[str, Any]] = {
    "bare ONNX Runtime, 2 threads": {"threads": 2},
    "bare ONNX Runtime, two runs of 1 thread": {"threads": 1, "clients": 2},
}
OURS: dict[str, dict[str, Any]] = {
    f"ours, {precision}, {clients} client{'s' if clients > 1 else ''}": {"precision": precision, "clients": clients}
    for precision in supported()
    for clients in (1, 4)
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
    cases = {**BARE, **OURS}
    for name, case in cases.items():
        command = [sys.executable, "-m", __spec__.name, "--weights", str(options.weights)]
        command += ["--runs", str(options.runs), "--case", json.dumps(case)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  our own module
        facts = json.loads(answer.stdout)
        sys.stdout.write("| {} | {latency_ms:.0f} | {per_s:.2f} | {cpu_s:.2f} | {peak_mb} |\n".format(name, **facts))
        sys.stdout.flush()


def _measure(path: Path, case: dict[str, Any], runs: int) -> dict[str, float]:
    run = _our_session(path, case["precision"]) if "precision" in case else _bare_session(path, case["threads"])
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


def _our_session(path: Path, precision: Precision) -> Callable[[Any], object]:
    from ml.sessions.compiling import Compiler
    from ml.sessions.openvino import OpenVinoSession
    from ml.sessions.slots import InferenceSlots

    return OpenVinoSession(path, slots=InferenceSlots(), compiler=Compiler(precision)).run


def _bare_session(path: Path, threads: int) -> Callable[[Any], object]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [session.get_outputs()[0].name]
    return lambda tensor: session.run(names, {session.get_inputs()[0].name: tensor})


if __name__ == "__main__":
    main()
