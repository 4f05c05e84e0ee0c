"""
One supervised process: the head of its own session and group, a pid file, a log file.

Every process that the stack starts carries `KEYLINE_STACK=<folder>` in its environment, so that whatever
a killed supervisor left behind is found again, and nothing else is ever taken for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.parent_death import die_with_parent
from apps.stack.errors import StackError
from apps.stack.paths import ROOT, VarDir

MARK = "KEYLINE_STACK"
_LOG_LIMIT_BYTES = 20_000_000
_CLOCK_SLACK_S = (
    10.0  # of a start that the kernel tells in hundredths of a second since a boot that it tells in seconds
)


@dataclass(frozen=True)
class Account:
    """The system user that a process runs as, where it may not run as ours."""

    name: str
    uid: int
    gid: int

    @property
    def groups(self) -> list[int]:
        """All that an operator has put it into, such as the one that may use a card."""
        return os.getgrouplist(self.name, self.gid)


@dataclass(frozen=True)
class Program:
    """What to start, how to stop it, and how to see that it is ready."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    account: Account | None = None
    folder: Path = ROOT
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    stop_timeout_s: float = 6.0
    is_ready: Callable[[], bool] = lambda: True
    leaves: tuple[Path, ...] = ()


class Process:
    """A program's one running instance, started again and again under the same name."""

    def __init__(self, program: Program, var: VarDir) -> None:
        self.program = program
        self._var = var
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Start it as the head of a new session; call from the thread that lives longest."""
        program, log_path, parent_pid = self.program, self._var.log_file(self.program.name), os.getpid()
        account = program.account
        for path in program.leaves:  # of a run that was killed, and perhaps another user's
            with contextlib.suppress(PermissionError):
                path.unlink(missing_ok=True)
        with log_path.open("ab") as log:
            try:
                self._popen = subprocess.Popen(
                    program.argv,
                    cwd=program.folder,
                    env={**os.environ, **program.env, MARK: str(self._var.root)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    umask=0o077,  # sockets in /tmp too, and what is spooled there
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=account.groups if account else None,
                    preexec_fn=lambda: die_with_parent(program.orphan_signal, parent_pid=parent_pid),  # noqa: PLW1509
                )
            except OSError as error:
                raise StackError(f"{program.name} cannot be started: {error}.") from error
        self._var.pid_file(program.name).write_text(f"{self._popen.pid}\n")

    def trim_log(self) -> None:
        """Move a log that has grown too long aside; its writer goes on at the file's new beginning."""
        log_path = self._var.log_file(self.program.name)
        if log_path.exists() and log_path.stat().st_size > _LOG_LIMIT_BYTES:
            shutil.copyfile(log_path, log_path.with_suffix(".log.1"))
            os.truncate(log_path, 0)

    def has_ended(self) -> bool:
        return self._popen is None or self._popen.poll() is not None

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll() if self._popen else None

    def ask_to_stop(self) -> None:
        """Send the head its own stop signal."""
        if self._popen is not None and not self.has_ended():
            self._popen.send_signal(self.program.stop_signal)

    def finish(self, *, timeout_s: float) -> None:
        """Wait for the head to end, then leave nothing of its group and no pid file."""
        if self._popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(max(0.0, timeout_s))
            _kill_group(self._popen)
            self._popen.wait()
            self._popen = None
        self._var.pid_file(self.program.name).unlink(missing_ok=True)
        for path in self.program.leaves:
            path.unlink(missing_ok=True)


def _kill_group(head: subprocess.Popen[bytes], *, timeout_s: float = 3.0) -> None:
    """SIGKILL the head's whole group and wait until all are gone, reaping those that became ours."""
    deadline = time.monotonic() + timeout_s
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(head.pid, signal.SIGKILL)
            if head.poll() is not None:
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-head.pid, os.WNOHANG)[0]:
                        pass
            time.sleep(0.02)


def marked_pids(var: VarDir) -> Iterator[int]:
    """Every living process that a supervisor of this very folder started, whoever its parent is now."""
    needle, heads = f"{MARK}={var.root}\0".encode(), _heads(var)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (pid := int(entry.name)) != os.getpid():
            try:
                is_ours = needle in (entry / "environ").read_bytes() + b"\0"
            except PermissionError:  # root in a container may not look into another user's
                is_ours = _belongs_to(heads, pid)
            except OSError:
                continue
            if is_ours:
                yield pid


def _heads(var: VarDir) -> dict[int, float]:
    """The pids in the pid files, and since when these are there."""
    heads = {}
    for file in (var.root / "run").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            heads[int(file.read_text())] = file.stat().st_mtime
    return heads


def _belongs_to(heads: Mapping[int, float], pid: int) -> bool:
    """Whether it is a head, or is in its session, and began with it or later (so none of an earlier process of that number)."""
    try:
        session = os.getsid(pid)
    except OSError:
        return False
    noted, began = heads.get(session), started_at(pid)
    return noted is not None and began is not None and began > noted - _CLOCK_SLACK_S


def end_leftovers(var: VarDir) -> list[int]:
    """
    End what a killed supervisor left running; call only while holding the supervisor's lock.

    Returns:
        The pids that were found.
    """
    found = list(marked_pids(var))
    for sig, patience_s in ((signal.SIGINT, 4.0), (signal.SIGKILL, 4.0)):
        for pid in marked_pids(var):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sig)
        deadline = time.monotonic() + patience_s
        while any(True for _ in marked_pids(var)) and time.monotonic() < deadline:
            time.sleep(0.05)
    for path in (var.root / "run").glob("*.pid"):
        if path != var.supervisor_lock:
            path.unlink()
    return found


def started_at(pid: int) -> float | None:
    """Seconds since the epoch when the process began; None where it does not live (a zombie doesn't)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except OSError:
        return None
    if stat[0] == "Z":
        return None
    return int(boot.split()[1]) + int(stat[19]) / os.sysconf("SC_CLK_TCK")
