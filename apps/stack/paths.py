"""Where the stack keeps its files: everything lies under one folder, so that two stacks never meet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class VarDir:
    """The folder of one stack (`var/`, or `KEYLINE_VAR_DIR`)."""

    root: Path

    @classmethod
    def from_environment(cls) -> VarDir:
        """The folder that `KEYLINE_VAR_DIR` names, or `var/` beside the code."""
        return cls(Path(os.environ.get("KEYLINE_VAR_DIR") or ROOT / "var").resolve())

    @property
    def env_file(self) -> Path:
        return self.root / "stack.env"

    @property
    def supervisor_lock(self) -> Path:
        return self.root / "run" / "supervisor.pid"

    @property
    def start_lock(self) -> Path:
        return self.root / "run" / "start.lock"

    @property
    def ready_mark(self) -> Path:
        """Exists while the whole stack has been seen ready."""
        return self.root / "run" / "ready"

    def pid_file(self, name: str) -> Path:
        return self.root / "run" / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"

    def data(self, name: str) -> Path:
        return self.root / "data" / name

    def make(self) -> None:
        """Create the folders; logs and data are the owner's alone."""
        (self.root / "run").mkdir(parents=True, exist_ok=True)
        (self.root / "log").mkdir(mode=0o700, exist_ok=True)
        (self.root / "data").mkdir(mode=0o700, exist_ok=True)
