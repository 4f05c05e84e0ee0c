"""
The supervisor: starts everything in order, starts again whatever dies, stops everything in order.

It is a process of its own (`python -m apps.stack supervise`); `make run` and `make start` read what it
prints. Everything here runs in one thread, because children are bound to the life of the thread that
started them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from apps.parent_death import adopt_orphans
from apps.stack import env_file, locks
from apps.stack.accounts import own_account
from apps.stack.commands import PREPARE, app_programs, weights_dir
from apps.stack.errors import StackError, StopRequested
from apps.stack.local_http import get
from apps.stack.opening import may_listen, open_the_house, see_that_it_reads
from apps.stack.paths import VarDir
from apps.stack.processes import Process, Program, end_leftovers
from apps.stack.report import failure, say, step
from apps.stack.servers import READY_TIMEOUT_S, embedded_programs

_TICK_S = 0.1
_BACKOFF_S = (0.3, 1.0, 2.0, 5.0, 10.0)
_STEADY_S = 20.0
_TRIM_EVERY_S = 60.0
_FATAL_DEATHS = 3  # while starting; later on it keeps trying


class Kept:
    """A process that is kept alive: when it died, how often lately, and when it is started again."""

    def __init__(self, program: Program, var: VarDir) -> None:
        self.process = Process(program, var)
        self.name = program.name
        self.deaths = 0
        self._started_at = 0.0
        self._again_at: float | None = None

    def start(self) -> None:
        self.process.start()
        self._started_at, self._again_at = time.monotonic(), None

    def tick(self) -> None:
        """Notice a death, end the rest of its group at once, and start it again when its time has come."""
        if self._again_at is None and self.process.has_ended():
            pid = self.process.pid
            self.process.finish(timeout_s=0)
            self._start_later(f"{self.name} (pid {pid}) ended")
        if self._again_at is not None and time.monotonic() >= self._again_at:
            try:
                self.start()
            except StackError as error:
                self._start_later(str(error))

    def _start_later(self, why: str) -> None:
        self.deaths = 1 if time.monotonic() - self._started_at > _STEADY_S else self.deaths + 1
        wait_s = _BACKOFF_S[min(self.deaths, len(_BACKOFF_S)) - 1]
        self._again_at = time.monotonic() + wait_s
        say(f"{time.strftime('%H:%M:%S')} {why}; it starts again in {wait_s:g} s.")


class Supervisor:
    """All processes of one stack, from the first to the last."""

    def __init__(self, var: VarDir) -> None:
        self._var = var
        self._env = env_file.read(var.env_file)
        self._servers: list[Kept] = []
        self._apps: list[Kept] = []
        self._stop_asked = False

    def bring_up(self) -> None:
        """
        Start servers, prepare the database, start our processes and wait until `/readyz` says yes.

        Raises:
            StackError: something does not come up; the sentence names it and shows its log.
        """
        account = own_account()
        if account is not None:
            may_listen(account, int(self._env["KEYLINE_PORT"]))
            with step(f"Opening code and weights to the user {account.name}, who runs what root starts"):
                open_the_house(account, weights=Path(weights_dir(self._var)))
                if checkpoint := os.environ.get("SAM_CHECKPOINT"):
                    see_that_it_reads(account, Path(checkpoint))
        worker, web, io, sweeper, prepare = app_programs(self._env, self._var, account)
        self._start(worker, self._apps)  # it loads its models meanwhile, and waits for the tables before it takes work
        with step("Starting the servers: " + self._env["KEYLINE_EMBEDDED"].replace(",", ", ")):
            for program in embedded_programs(self._env, self._var):
                self._start(program, self._servers)
            for kept in self._servers:
                self._wait(kept.process.program.is_ready, kept.name, timeout_s=READY_TIMEOUT_S)
        self._start(web, self._apps)  # it waits for the tables as well
        with step("Settling tables, administrator and bucket"):
            self._prepare(prepare)
        with step("Starting web, workers and sweeper (one loads its models)"):
            self._wait(web.is_ready, "web", timeout_s=READY_TIMEOUT_S)
            self._wait_all_ready()
            for late in (io, sweeper):  # last: nobody waits for them, and each takes a second of CPU to start
                self._start(late, self._apps)
        self._var.ready_mark.touch()

    def serve(self) -> None:
        """Keep everything alive, and the logs short, until a stop is asked for."""
        trim_at = 0.0
        while True:
            self._tick()
            if time.monotonic() > trim_at:
                trim_at = time.monotonic() + _TRIM_EVERY_S
                for kept in (*self._servers, *self._apps):
                    kept.process.trim_log()
            time.sleep(_TICK_S)

    def shut_down(self) -> None:
        """Stop ours first, then the servers; whoever does not end in time is killed with its group."""
        self._var.ready_mark.unlink(missing_ok=True)
        for wave in (self._apps, self._servers):
            for kept in wave:
                kept.process.ask_to_stop()
            began = time.monotonic()
            for kept in wave:
                kept.process.finish(timeout_s=began + kept.process.program.stop_timeout_s - time.monotonic())

    def _start(self, program: Program, kin: list[Kept]) -> None:
        kin.append(Kept(program, self._var))
        kin[-1].start()

    def ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Signal handler. It only takes a note: an exception in the middle of a start would lose a child."""
        self._stop_asked = True

    def _tick(self) -> None:
        if self._stop_asked:
            raise StopRequested
        for kept in (*self._servers, *self._apps):
            kept.tick()

    def _wait(self, is_ready: Callable[[], bool], name: str, *, timeout_s: float, poll_s: float = _TICK_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            self._tick()
            for kept in (*self._servers, *self._apps):
                if kept.deaths >= _FATAL_DEATHS:
                    raise failure(f"{kept.name} ends as soon as it is started.", self._var.log_file(kept.name))
            if time.monotonic() > deadline:
                raise failure(f"{name} did not come up in {timeout_s:g} s.", self._var.log_file(name))
            time.sleep(poll_s)

    def _wait_all_ready(self) -> None:
        url = f"http://127.0.0.1:{self._env['KEYLINE_PORT']}/readyz"
        try:
            self._wait(lambda: get(url)[0] == 200, "worker", timeout_s=2 * READY_TIMEOUT_S)
        except StackError as error:
            _, told = get(url, {"Authorization": f"Bearer {os.environ.get('METRICS_TOKEN', '')}"})
            raise StackError(f"{error}\n  /readyz says: {told.decode(errors='replace')[:600]}") from error

    def _prepare(self, program: Program) -> None:
        """Run the command to its end, keeping everything else alive meanwhile."""
        process = Process(program, self._var)
        process.start()
        try:
            while process.exit_code() is None:
                self._tick()
                time.sleep(_TICK_S / 5)
            if process.exit_code() != 0:
                raise failure(f"`{' '.join(PREPARE[1:])}` failed.", self._var.log_file("prepare"))
        finally:
            process.finish(timeout_s=0)


def supervise(var: VarDir) -> int:
    """Run a whole stack until SIGTERM or SIGINT. Returns the exit code."""
    lock = locks.try_hold(var.supervisor_lock)
    if lock is None:
        say(f"A stack runs already in {var.root}: `make status` shows it, `make stop` stops it.")
        return 1
    with lock:
        adopt_orphans()
        supervisor = Supervisor(var)
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, supervisor.ask_to_stop)
        try:
            return _run(supervisor, var)
        finally:
            supervisor.shut_down()
            lock.truncate(0)


def _run(supervisor: Supervisor, var: VarDir) -> int:
    try:
        var.ready_mark.unlink(missing_ok=True)
        if found := end_leftovers(var):
            say(f"Ended {len(found)} processes that an earlier stack had left behind.")
        supervisor.bring_up()
        supervisor.serve()
    except StopRequested:
        return 0
    except (StackError, OSError, subprocess.SubprocessError) as error:
        say(f"\nThe stack could not be started. {error}")
        return 1
    return 0
