"""The whole service as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from apps.stack import env_file
from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import plan
from apps.stack.ports import free_ports

PATIENCE_S = float(os.environ.get("PATIENCE_S", "600"))
"""How long a test waits for what must come: for machines far slower than any that should be. What is well comes long before."""


@dataclass
class Stack:
    """A running stack, and the ways to look at it from outside."""

    var: VarDir
    environ: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.env["KEYLINE_URL"]

    @property
    def api_key(self) -> str:
        return self.env["KEYLINE_API_KEY"]

    def pid(self, name: str) -> int:
        """The pid in the process's pid file; 0 while there is none."""
        try:
            return int(self.var.pid_file(name).read_text())
        except (OSError, ValueError):
            return 0

    def launcher(self, *arguments: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """`python -m apps.stack ...` for this stack."""
        return self._run([sys.executable, "-m", "apps.stack", *arguments], timeout_s)

    def manage(self, *arguments: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """`manage.py ...` against this stack, as an operator runs it."""
        return self._run([sys.executable, "manage.py", *arguments], timeout_s)

    def start(self) -> None:
        done = self.launcher("start", "--no-demo")
        assert done.returncode == 0, done.stdout + done.stderr
        self.env = env_file.read(self.var.env_file)

    def _run(self, argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False, timeout=timeout_s
        )


def outer_environment(folder: Path) -> dict[str, str]:
    """The environment without what the test session's own servers, or a sourced stack.env, have put there."""
    ours = {*plan({}, {}).env, "KEYLINE_VAR_DIR", "DJANGO_SETTINGS_MODULE", "COVERAGE_PROCESS_START"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {
        "KEYLINE_VAR_DIR": str(folder),
        "KEYLINE_PORT": str(free_ports(1)[0]),
        "WEIGHTS_DIR": os.environ.get("WEIGHTS_DIR", str(ROOT / "var" / "weights")),
        "FETCH_ALLOW_CIDRS": "127.0.0.0/8",
        "SYNC_LIMIT_S": "100",  # four times the default: for a machine that is slower, or busy
    }


@contextmanager
def quick_stack(name: str, **settings: str) -> Iterator[Stack]:
    """
    A stack of its own, with the quick network: for tests about rows, not about pictures.

    Args:
        name: of its folder, for whoever looks at what runs.
        settings: of its environment.
    """
    with tempfile.TemporaryDirectory(prefix=f"keyline-{name}-", ignore_cleanup_errors=True) as folder:
        environ = outer_environment(Path(folder)) | {"WEIGHTS_PROFILE": "permissive"} | settings
        running = Stack(var=VarDir(Path(folder)), environ=environ)
        try:
            running.start()
            yield running
        finally:
            running.launcher("stop")


def wait_until(is_true: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> bool:
    """Poll; for things that only other processes can bring about."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return is_true()
