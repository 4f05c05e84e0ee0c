"""The front of the launcher: `run`, `start`, `stop`, `status`, as the person at the terminal sees them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from apps.parent_death import die_with_parent
from apps.stack import demo, env_file, locks
from apps.stack.commands import CREATE_KEY, settled_environment, weights_dir
from apps.stack.errors import StackError
from apps.stack.local_http import get
from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import PARTS, plan
from apps.stack.processes import end_leftovers, marked_pids, started_at
from apps.stack.report import failure, for_people, last_lines, say

NAMES = ("web", "worker", "io", "sweeper", "valkey", "s3", "postgres")
NOT_ALL_UP = 3
_PORT_IN = {"web": "KEYLINE_URL", **PARTS}
_LEAST_FREE_BYTES = 1_000_000_000
_STOP_TIMEOUT_S = 30.0
_NO_SUCH_JOB = "/v1/jobs/00000000-0000-0000-0000-000000000000"


def run(var: VarDir, *, with_demo: bool) -> int:
    """Start the stack, show a first picture, serve until Ctrl-C or SIGTERM, stop everything."""
    if locks.holder(var.supervisor_lock):
        say(f"A stack runs already at {_url(var)}: `make stop` stops it, `make status` shows it.")
        return 1
    if _parent_is_make():
        die_with_parent(signal.SIGTERM)  # a killed make must not leave its stack behind
    _let_signals_interrupt()
    supervisor = _start_supervisor(var, detached=False)
    code = 0
    try:
        _greet(var, with_demo=with_demo)
        say(f"\nKeyline serves at {_url(var)} (manual: {_url(var)}/docs). Ctrl-C stops everything.")
        code = supervisor.wait()
        say(f"The supervisor ended by itself:\n{last_lines(var.log_file('supervisor'))}")
    except KeyboardInterrupt:
        say("\nStopping (a few seconds) ...")
    finally:
        _end_supervisor(supervisor, var)
    say("Everything has stopped.")
    return code


def start(var: VarDir, *, with_demo: bool) -> int:
    """The same, detached: returns when the stack is ready."""
    if locks.holder(var.supervisor_lock) and var.ready_mark.exists():
        say(f"A stack runs already at {_url(var)}.")
        return 0
    _let_signals_interrupt()
    _start_supervisor(var, detached=True)
    try:
        _greet(var, with_demo=with_demo)
    except StackError as error:
        raise StackError(
            f"{error}\nThe stack goes on running: `make status` shows it, `make stop` stops it."
        ) from error
    say(f"\nKeyline serves at {_url(var)} (manual: {_url(var)}/docs). `make stop` stops it.")
    return 0


def stop(var: VarDir) -> int:
    """Stop a stack, whoever started it, and what a killed supervisor left."""
    if not _stop_supervisor(var) and not _end_leftovers(var):
        say("No stack runs here.")
        return 0
    say("Everything has stopped.")
    return 0


def status(var: VarDir) -> int:
    """Print a table of the processes. Returns 3 unless all that should run do."""
    env = env_file.read(var.env_file)
    embedded = env.get("KEYLINE_EMBEDDED", ",".join(PARTS)).split(",")
    rows, all_up = [("NAME", "STATE", "PID", "PORT", "UP FOR")], True
    for name in NAMES:
        if name in PARTS and name not in embedded:
            rows.append((name, "external", "-", "-", "-"))
            continue
        pid, since = _living(var, name)
        all_up = all_up and since is not None
        up_for = f"{max(0.0, time.time() - since):.0f} s" if since else "-"
        port = str(urlsplit(env.get(_PORT_IN.get(name, ""), "")).port or "-")
        rows.append((name, "up" if since else "down", str(pid) if since else "-", port, up_for))
    for row in rows:
        say("{:<10} {:<9} {:>8} {:>6} {:>10}".format(*row))
    if all_up:
        say(f"Keyline serves at {_url(var)}.")
    return 0 if all_up else NOT_ALL_UP


def show_demo(var: VarDir) -> int:
    """Cut the demo photo out once more."""
    if not locks.holder(var.supervisor_lock):
        raise StackError("No stack runs here: `make start` or `make run` first.")
    demo.cut_out(env_file.read(var.env_file), var)
    return 0


# --- starting -------------------------------------------------------------------------------------------


def _start_supervisor(var: VarDir, *, detached: bool) -> subprocess.Popen[bytes]:
    """
    Settle everything, start the supervisor and show what it says until the stack is ready.

    Raises:
        StackError: it did not become ready; it has said why.
    """
    _check_disk(var)
    var.make()
    with locks.hold(var.start_lock):
        if locks.holder(var.supervisor_lock):
            raise StackError("Another start is under way or has just finished: `make status` shows it.")
        _fetch_weights(var)
        settled = plan(os.environ, env_file.read(var.env_file))
        for note in settled.notes:
            say(note)
        env_file.write(var.env_file, settled.env)
        var.ready_mark.unlink(missing_ok=True)
        log_path = var.log_file("supervisor")
        parent = os.getpid()
        with log_path.open("wb") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "apps.stack", "supervise"],
                cwd=ROOT,
                env={**os.environ, "KEYLINE_VAR_DIR": str(var.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=None if detached else lambda: die_with_parent(signal.SIGTERM, parent_pid=parent),  # noqa: PLW1509
            )
        try:
            _follow(supervisor, log_path, var.ready_mark)
        except BaseException:
            _end_supervisor(supervisor, var)
            raise
    return supervisor


def _follow(supervisor: subprocess.Popen[bytes], log_path: Path, ready_mark: Path) -> None:
    """Copy the supervisor's words to the terminal until it is ready or has given up."""
    unfinished = ""
    with log_path.open() as log:
        while True:
            is_ready, has_ended = ready_mark.exists(), supervisor.poll() is not None
            unfinished = _show(unfinished + log.read())
            if is_ready:
                return
            if has_ended:
                raise StackError(f"The start was given up; everything is stopped again. All logs: {log_path.parent}.")
            time.sleep(0.05)


def _show(text: str) -> str:
    """Write the lines of a log as a person reads them. Returns what is no whole line yet."""
    *lines, unfinished = text.split("\n")
    for line in lines:
        sys.stdout.write(for_people(line))
    sys.stdout.flush()
    return unfinished


def _check_disk(var: VarDir) -> None:
    place = var.root
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        raise StackError(f"{place} cannot be written to: make it yours, or set KEYLINE_VAR_DIR to another folder.")
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE_BYTES:
        raise StackError(
            f"The disk of {place} has {free // 1_000_000} MB left and 1,000 MB are needed: "
            "free some space, or set KEYLINE_VAR_DIR to a folder on another disk."
        )


def _fetch_weights(var: VarDir) -> None:
    command = [sys.executable, "-m", "ml.weights", "fetch", "--dir", weights_dir(var)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise StackError("The networks' weights could not be fetched; the lines above say why. Then start again.")


# --- the first key, the first picture ---------------------------------------------------------------------


def _greet(var: VarDir, *, with_demo: bool) -> None:
    _ensure_api_key(var)
    if with_demo:
        demo.cut_out(env_file.read(var.env_file), var)


def _ensure_api_key(var: VarDir) -> None:
    """Make a key where there is none, or where the database does not know the one we have."""
    env = env_file.read(var.env_file)
    base = f"http://127.0.0.1:{env['KEYLINE_PORT']}"
    if env["KEYLINE_API_KEY"] and get(base + _NO_SUCH_JOB, {"X-Api-Key": env["KEYLINE_API_KEY"]})[0] != 401:
        return
    if os.environ.get("KEYLINE_API_KEY") == env["KEYLINE_API_KEY"] != "":
        say("KEYLINE_API_KEY is set from outside, but this service does not know that key: unset it for a new one.")
        return
    done = subprocess.run(
        CREATE_KEY,
        cwd=ROOT,
        env={**os.environ, **settled_environment(env, var)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        var.log_file("prepare-key").write_text(done.stderr)
        raise failure("No API key could be made.", var.log_file("prepare-key"))
    env["KEYLINE_API_KEY"] = done.stdout.strip()
    env_file.write(var.env_file, env)
    say(f"API key (shown once; kept in {var.env_file}): {env['KEYLINE_API_KEY']}")


# --- stopping and looking -----------------------------------------------------------------------------------


def _let_signals_interrupt() -> None:
    """SIGTERM and SIGHUP end the launcher as Ctrl-C does."""
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.default_int_handler)


def _end_supervisor(supervisor: subprocess.Popen[bytes], var: VarDir) -> None:
    """Stop the stack that we started ourselves; from here on a second Ctrl-C changes nothing."""
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(sig, signal.SIG_IGN)
    supervisor.terminate()
    try:
        supervisor.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    _end_leftovers(var)


def _stop_supervisor(var: VarDir) -> bool:
    """Ask the supervisor to stop everything and wait for it. Returns whether there was one."""
    pid = locks.holder(var.supervisor_lock)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while started_at(pid) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
            _end_leftovers(var)
            break
        time.sleep(0.05)
    return True


def _end_leftovers(var: VarDir) -> bool:
    if not any(True for _ in marked_pids(var)):
        return False
    end_leftovers(var)
    return True


def _living(var: VarDir, name: str) -> tuple[int, float | None]:
    """The pid in a pid file, and since when that very process lives."""
    try:
        pid = int(var.pid_file(name).read_text())
    except (OSError, ValueError):
        return 0, None
    return pid, started_at(pid) if pid in set(marked_pids(var)) else None


def _url(var: VarDir) -> str:
    return env_file.read(var.env_file).get("KEYLINE_URL", "an unknown address")


def _parent_is_make() -> bool:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip() in {"make", "gmake"}
    except OSError:
        return False
