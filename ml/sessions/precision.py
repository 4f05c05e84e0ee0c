"""
In which numbers networks run on a CPU: f32, bf16 or int8, by what the processor is quick at.

f32 runs everywhere. bf16 takes a processor with units for it (AMX, AVX-512 BF16); without them it is emulated, slower
than f32. int8 pays from AVX2 on, more with VNNI, most with AMX; without AVX2 it is slower. What is true here is tried once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import time
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import openvino
from openvino import opset13

from ml.errors import PrecisionMissingError

log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16", "int8"]
Wish = Literal["auto", "f32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_CAPABILITIES: dict[Precision, str] = {"f32": "FP32", "bf16": "BF16", "int8": "INT8"}
_CHANNELS, _SIDE_PX, _LAYERS, _RUNS = 64, 96, 4, 4
_GAIN = 1.15
"""So much quicker than f32, or it is not worth another picture."""


def processor() -> str:
    """What decides how networks are compiled here: two machines with the same words may share what one has compiled."""
    core = openvino.Core()
    said = [
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        *sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
    ]
    flags = ""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return " ".join([platform.machine(), openvino.__version__, *said, flags, limit])


def supported() -> tuple[Precision, ...]:
    """What this processor can run without emulating it."""
    can = set(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return tuple(name for name in PRECISIONS if _CAPABILITIES[name] in can)


def choose_precision(wish: Wish, *, kept_in: Path | None = None) -> Precision:
    """
    Decide in which numbers networks run.

    Args:
        wish: `auto` takes the quickest, tried with a small network for a second.
        kept_in: a folder where the trial's result is kept for this processor.

    Raises:
        PrecisionMissingError: the processor cannot do what is wished for.
    """
    can = supported()
    if wish != "auto":
        if wish not in can:
            raise PrecisionMissingError(
                f"INFERENCE_PRECISION={wish}, but this processor cannot do it: it has {', '.join(can)}. Set one of them, or auto."
            )
        return wish
    file = kept_in / "precision.json" if kept_in else None
    tried = _read(file, can)
    if tried is None:
        tried = {name: _seconds(name) for name in can}
        _keep(file, tried)
    quickest = min(can, key=lambda name: tried[name])
    chosen: Precision = quickest if tried["f32"] > _GAIN * tried[quickest] else "f32"
    log.info("networks run in %s: %s", chosen, ", ".join(f"{name} {1000 * tried[name]:.0f} ms" for name in can))
    return chosen


def _seconds(precision: Precision) -> float:
    """How long a few convolutions take, at best of some runs on all cores."""
    compiled = openvino.Core().compile_model(
        _small_network(is_quantised=precision == "int8"), "CPU", {"INFERENCE_PRECISION_HINT": hint(precision)}
    )
    request, took = compiled.create_infer_request(), []
    tensor = np.ones((1, _CHANNELS, _SIDE_PX, _SIDE_PX), np.float32)
    for _ in range(_RUNS):
        started = time.perf_counter()
        request.infer({0: tensor}, share_inputs=True)
        took.append(time.perf_counter() - started)
    return min(took)


def hint(precision: Precision) -> str:
    """OpenVINO's word; an int8 network computes in f32 between its integer convolutions."""
    return "bf16" if precision == "bf16" else "f32"


def _small_network(*, is_quantised: bool) -> openvino.Model:
    drawn = np.random.default_rng(0)
    first = value = opset13.parameter([1, _CHANNELS, _SIDE_PX, _SIDE_PX], np.float32)
    for _ in range(_LAYERS):
        kernel = opset13.constant(drawn.normal(0, 0.05, (_CHANNELS, _CHANNELS, 3, 3)).astype(np.float32))
        if is_quantised:
            value = opset13.fake_quantize(value, *map(np.float32, (0, 4, 0, 4)), 256)
            kernel = opset13.fake_quantize(kernel, *map(np.float32, (-0.5, 0.5, -0.5, 0.5)), 255)
        value = opset13.relu(opset13.convolution(value, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    return openvino.Model([value], [first], "trial")


def _read(file: Path | None, can: tuple[Precision, ...]) -> dict[Precision, float] | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(file.read_text()) if file else {}
        if said["processor"] == processor():
            return {name: float(said["seconds"][name]) for name in can}
    return None


def _keep(file: Path | None, tried: dict[Precision, float]) -> None:
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"processor": processor(), "seconds": tried}))
        part.replace(file)
    except OSError as error:
        log.warning("which precision is quickest here is not kept: %s", error)
