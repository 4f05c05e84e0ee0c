"""
What the worst legal files cost a worker: `python -m tests.bench.worst [FILE ...]`, 10 minutes on two quiet cores.

Each file goes through the real checks, the real runner with the real networks and the real encoders, each in a process of
its own; only the store and the job's row are stand-ins. It is no test: it never fails because of a slow machine.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from apps.stack.paths import ROOT
from tests.bench.service import environment

_RAW = ("remove-background", {"format": "webp"})
ASKED: dict[str, list[tuple[str, dict[str, str]]]] = {
    "baseline.jpg": [("remove-background", {}), _RAW],
    "profile.jpg": [_RAW, ("remove-background", {"output_format": "white_bg", "format": "jpg"})],
    "scans.jpg": [_RAW],
    "arithmetic.jpg": [_RAW],
    "noise.png": [("remove-background", {"quality": "fast"}), _RAW],
    "veil.png": [
        ("remove-background", {"quality": "fast"}),
        ("remove-background", {"quality": "fast", "format": "webp"}),
        _RAW,
        ("remove-background", {"output_format": "white_bg", "format": "webp"}),
        ("remove-background", {"output_format": "white_bg", "format": "jpg"}),
    ],
    "passes.png": [("remove-background", {}), _RAW],
    "passes16.png": [("remove-background", {}), _RAW],
    "lossy.webp": [_RAW],
    "lossless.webp": [_RAW],
    "noise.gif": [("remove-bg", {"format": "webp"})],
    "packed4.bmp": [("remove-bg", {"format": "webp"})],
    "packed8.bmp": [("watermark-removal", {"format": "webp"})],
}
"""File -> what is asked for, of which operation."""


def main(names: list[str]) -> int:
    """Print a line a run. Returns 1 if one broke."""
    broken = 0
    with tempfile.TemporaryDirectory(prefix="keyline-bench-worst-", ignore_cleanup_errors=True) as folder:
        print(
            _line("file", "asked for", "MB", "checks s", "CPU s", "wall s", "GB", "load", "stages (CPU s)"), flush=True
        )
        for name in names or ASKED:
            for operation, params in ASKED[name]:
                argv = [sys.executable, "-m", "tests.bench.worst", "--one", folder, name, operation, json.dumps(params)]
                done = subprocess.run(argv, cwd=ROOT, env=environment(Path(folder)), check=False)
                broken |= done.returncode
    return broken


def one(folder: str, name: str, operation: str, params: dict[str, str]) -> None:
    """One file, once: the program that `main` starts."""
    from apps.stack.plan import plan
    from tests.bench.worst_files import FILES

    path = Path(folder) / name
    if not path.exists():
        path.write_bytes(FILES[name]())
        os.execv(sys.executable, sys.orig_argv)  # making it took more memory than anything that is measured
    os.environ.update(
        plan(os.environ, {}).env | {"DJANGO_SETTINGS_MODULE": "config.settings.dev", "LOG_LEVEL": "ERROR"}
    )
    import django

    django.setup()
    facts = _measured(path.read_bytes(), operation, params)
    asked = " ".join([operation, *(f"{key}={value}" for key, value in params.items())])
    print(_line(name, asked, f"{path.stat().st_size / 1e6:.1f}", *facts), flush=True)


def _measured(data: bytes, slug: str, params: dict[str, str]) -> list[str]:
    import io

    from apps.background.serializers import RemoveBackgroundSerializer
    from apps.core.errors import AppError
    from apps.core.operations import all_operations
    from apps.core.pictures.inspection import inspect
    from apps.core.pictures.wholeness import check_whole

    operation = next(each for each in all_operations() if each.slug == slug)
    serializer = RemoveBackgroundSerializer if slug == "remove-background" else operation.serializer
    checked = serializer(data=params)
    checked.is_valid(raise_exception=True)
    runner, work = _runner(operation.runner), _work(operation, checked.validated_data, data)
    began = time.process_time()
    try:
        check_whole(io.BytesIO(data), inspect(io.BytesIO(data), limits=operation.image_limits))
        checks_s, began, wall = time.process_time() - began, time.process_time(), time.perf_counter()
        runner.run(work)
    except AppError as error:
        return [f"{time.process_time() - began:.1f}", "refused", "", "", "", str(error)]
    figures = checks_s, time.process_time() - began, time.perf_counter() - wall
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    stages = " ".join(f"{stage} {cpu_s:.1f}" for stage, cpu_s in work.cpu_s.items())
    return [*(f"{figure:.1f}" for figure in figures), f"{peak_gb:.1f}", f"{os.getloadavg()[0]:.1f}", stages]


def _runner(dotted_path: str) -> Any:
    from django.utils.module_loading import import_string

    from apps.core.work.engine import Engine
    from ml.models import Models
    from ml.sessions.slots import InferenceSlots
    from ml.weights.fetch import default_dir

    return import_string(dotted_path)(Engine(Models(default_dir(), slots=InferenceSlots(1))))


def _work(operation: Any, params: Any, data: bytes) -> Any:
    import contextlib

    from apps.core.models import Job
    from apps.core.work import execution

    class Measured(execution.Work):
        """A job whose row and objects are nowhere."""

        cpu_s: dict[str, float] = {}

        @contextlib.contextmanager
        def timed(self, name: str) -> Any:
            began = time.process_time()
            try:
                yield
            finally:
                self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - began

    mock.patch.object(execution, "lifecycle").start()
    mock.patch.object(execution, "result_store", return_value=mock.Mock(get=lambda _: data)).start()
    extra = {f"has_{image.name}": False for image in operation.more_images}
    job = Job(operation=operation.slug, params={**params, **extra}, mode="live", retention_s=3600)
    return Measured(job, operation)


def _line(*cells: str) -> str:
    widths = (15, 62, 5, 8, 7, 6, 4, 5, 0)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        folder, name, operation, params = sys.argv[2:6]
        one(folder, name, operation, json.loads(params))
    else:
        sys.exit(main(sys.argv[1:]))
