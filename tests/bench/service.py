"""The Keyline that is measured: a private stack in a folder of its own, or one that runs already."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.stack import env_file
from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import plan
from apps.stack.ports import free_ports
from tests.bench.errors import BenchError
from tests.bench.processes import Processes

NAMES = ("web", "worker", "io", "sweeper", "valkey", "s3", "postgres")
_PATIENCE_S = "120"  # the synchronous limit: on a slow machine 16 clients may wait longer than the contract's 25 s


@dataclass(frozen=True)
class Service:
    """
    Where it is, how to get in, and its processes where they can be seen.

    Attributes:
        second_start_s: how long it took to start where it had run before; None where that was not seen.
    """

    url: str
    api_key: str
    processes: Processes
    second_start_s: float | None = None


@contextlib.contextmanager
def private_stack(**settings: str) -> Iterator[Service]:
    """
    Start a stack, stop it, start it again, and stop it whatever happens.

    Args:
        settings: of its environment.

    Raises:
        BenchError: it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="keyline-bench-", ignore_cleanup_errors=True) as folder:
        var, environ = VarDir(Path(folder)), environment(Path(folder)) | settings
        try:
            _launch("start", environ)
            _launch("stop", environ)
            began = time.monotonic()
            _launch("start", environ)
            took_s = time.monotonic() - began
            env = env_file.read(var.env_file)
            yield Service(env["KEYLINE_URL"], env["KEYLINE_API_KEY"], _processes(var), second_start_s=took_s)
        finally:
            _launch("stop", environ)


def running_stack(url: str, api_key: str) -> Service:
    """A service that runs already; its processes are seen only if it is this checkout's own stack."""
    var = VarDir.from_environment()
    is_ours = env_file.read(var.env_file).get("KEYLINE_URL", "").rstrip("/") == url.rstrip("/")
    return Service(url, api_key, _processes(var) if is_ours else Processes({}))


def environment(folder: Path) -> dict[str, str]:
    """The environment without what a sourced stack.env has put there, for a stack in `folder`."""
    theirs = {*plan({}, {}).env, "KEYLINE_VAR_DIR", "DJANGO_SETTINGS_MODULE"}
    kept = {name: value for name, value in os.environ.items() if name not in theirs}
    return kept | {
        "KEYLINE_VAR_DIR": str(folder),
        "KEYLINE_PORT": str(free_ports(1)[0]),
        "WEIGHTS_DIR": str(weights_dir()),
        "SYNC_LIMIT_S": _PATIENCE_S,
    }


def weights_dir() -> Path:
    """Where this checkout's weights lie."""
    return Path(os.environ.get("WEIGHTS_DIR") or VarDir.from_environment().root / "weights")


def _processes(var: VarDir) -> Processes:
    files = {name: var.pid_file(name) for name in NAMES}
    return Processes({name: int(file.read_text()) for name, file in files.items() if file.is_file()})


def _launch(command: str, environ: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "apps.stack", command, *(["--no-demo"] if command == "start" else [])]
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"The stack did not {command}:\n{done.stdout}{done.stderr}")
