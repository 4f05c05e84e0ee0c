"""
The best known open-source server for the same task, with the same weights: `rembg s` (https://github.com/danielgatis/rembg).

It lives in a virtual environment of its own under `var/`, at pinned versions. It finds the weights by their name in its
home folder and asks no checksum of files that are there already.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.stack.paths import ROOT, VarDir
from apps.stack.ports import free_ports
from tests.bench.clients import Call
from tests.bench.errors import BenchError
from tests.bench.processes import Processes, available_gb

PINS = ROOT / "requirements" / "rembg.lock"
NAMES = {"isnet": "isnet-general-use", "u2net": "u2net"}
"""What rembg calls the networks that Keyline may use."""

MOST_AT_ONCE = 16
_GB_A_RUN = 1.6  # as much as for bare onnxruntime; rembg runs as many at once as there are requests
_LEAST_FREE_BYTES = 1_500_000_000
_START_S = 300.0


@dataclass(frozen=True)
class Rembg:
    """A running server: where it is, how it is asked and its processes."""

    name: str
    url: str
    call: Call
    processes: Processes


def install(say: Callable[[str], None]) -> Path:
    """
    Make the environment unless it is there with these very pins.

    Returns:
        Its `rembg` program.

    Raises:
        BenchError: it can't be had.
    """
    venv = VarDir.from_environment().root / "bench" / "rembg"
    program, stamp = venv / "bin" / "rembg", venv / ".pins"
    pins = f"{hashlib.sha256(PINS.read_bytes()).hexdigest()} {venv}"
    if program.is_file() and stamp.is_file() and stamp.read_text() == pins:
        return program
    venv.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(venv.parent).free < _LEAST_FREE_BYTES:
        raise BenchError(f"{venv.parent} has less than {_LEAST_FREE_BYTES / 1e9} GB left.")
    say(f"Installing rembg into {venv} (once, about 500 MB) ...")
    _step([sys.executable, "-m", "venv", "--clear", str(venv)])
    quiet = ["--quiet", "--disable-pip-version-check"]
    _step([str(venv / "bin" / "pip"), "install", *quiet, "--no-deps", "--require-hashes", "-r", str(PINS)])
    _step([str(venv / "bin" / "python"), "-c", "import rembg.bg"])  # numba compiles for a minute, once
    stamp.write_text(pins)
    return program


def _step(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise BenchError(f"`{' '.join(argv[:3])} ...` failed: {last}")


@contextlib.contextmanager
def running(program: Path, model: str, weights: Path) -> Iterator[Rembg]:
    """
    Start the server, and end it whatever happens.

    Args:
        model: Keyline's name of the network.
        weights: its file.

    Raises:
        BenchError: it does not come up.
    """
    at_once = min(MOST_AT_ONCE, max(1, int(available_gb() * 0.6 / _GB_A_RUN)))
    name = "rembg" if at_once == MOST_AT_ONCE else f"rembg, {at_once} at once"
    with tempfile.TemporaryDirectory(prefix="keyline-bench-rembg-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / f"{NAMES[model]}.onnx").symlink_to(weights.resolve())
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        log = Path(folder) / "log"
        process = _start(program, url, Path(folder), log, at_once)
        try:
            _await(process, url, log)
            call = Call("/api/remove", "file", fields={"model": NAMES[model]})
            yield Rembg(name, url, call, Processes({"rembg": process.pid}))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(program: Path, url: str, home: Path, log: Path, at_once: int) -> subprocess.Popen[bytes]:
    argv = [str(program), "s", "--host", "127.0.0.1", "--port", url.rpartition(":")[2], "--no-ui"]
    argv += ["--log_level", "warning"]
    if at_once < MOST_AT_ONCE:  # on its own it may run out of memory
        argv += ["--threads", str(at_once)]
    # It opens a browser when it starts. Where memory does run out, it goes first and nobody else's work with it.
    environ = os.environ | {"U2NET_HOME": str(home), "BROWSER": "true", "HOME": str(home)}
    first_to_go = ["/bin/sh", "-c", 'echo 1000 > /proc/self/oom_score_adj; exec "$@"', "sh"]
    with log.open("wb") as out:
        return subprocess.Popen([*first_to_go, *argv], env=environ, stdout=out, stderr=out, start_new_session=True)


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _START_S:
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise BenchError(f"rembg ended at its start: {lines[-1]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/openapi.json", timeout=10) as answer:
            if answer.status == 200:
                return
        time.sleep(0.5)
    raise BenchError(f"rembg was not ready after {_START_S:.0f} s.")
