"""The table of our own processes: what the supervisor starts once the servers answer."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from apps.stack.accounts import own
from apps.stack.local_http import get
from apps.stack.opening import living_as
from apps.stack.paths import ROOT, VarDir
from apps.stack.processes import Account, Program

ALONE_PORT = 8000
_BIN = Path(sys.executable).parent
_MANAGE = (sys.executable, str(ROOT / "manage.py"))
_LEAN = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}  # glibc keeps an arena per thread, and there are many


def _giving_back(mapped_from: int, trimmed_from: int) -> dict[str, str]:
    """
    Bodies and pictures of megabytes come and go: each in a mapping of its own, which is given back after it.

    By itself glibc soon keeps up to 32 MB a piece in its heap, where holes stay. A worker's limit lies above the planes of
    a megapixel: mapping and faulting those in anew took 36 ms of a request's CPU.
    """
    return {"MALLOC_MMAP_THRESHOLD_": str(mapped_from), "MALLOC_TRIM_THRESHOLD_": str(trimmed_from)}


_WEB_MEMORY, _WORKER_MEMORY = _LEAN | _giving_back(1 << 18, 1 << 18), _LEAN | _giving_back(1 << 24, 1 << 25)

PREPARE = (*_MANAGE, "prepare")
SWEEP = (*_MANAGE, "sweep", "--loop")
CREATE_KEY = (*_MANAGE, "create_api_key", "--account", "default", "--plan", "CUSTOM", "--credits", "1000000")


def settled_environment(env: Mapping[str, str], var: VarDir) -> dict[str, str]:
    """What every process of ours gets on top of the starter's environment."""
    return {
        **env,
        "KEYLINE_VAR_DIR": str(var.root),
        "WEIGHTS_DIR": weights_dir(var),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "config.settings.dev"),
    }


def weights_dir(var: VarDir) -> str:
    """Where the networks' weights lie."""
    return os.environ.get("WEIGHTS_DIR") or str(var.root / "weights")


def app_programs(
    env: Mapping[str, str], var: VarDir, account: Account | None = None
) -> tuple[Program, Program, Program, Program, Program]:
    """Worker, web, io worker, sweeper and what prepares for them, for `account` where root starts them."""
    port, home = int(env["KEYLINE_PORT"]), var.data("home")
    if account is not None:
        own(home, account)
        if not os.environ.get(
            "NETWORKS_DIR"
        ):  # where the worker keeps its compiled ones; another folder is the operator's
            own(var.root / "networks", account)
    settled = living_as(account, home, settled_environment(env, var))
    return (
        # The same name for every worker of this supervisor, so that the next one takes over what a dead one held.
        Program(
            name="worker",
            argv=_worker(),
            env=settled | _WORKER_MEMORY | {"WORKER_NAME": _worker_name()},
            account=account,
        ),
        Program(
            name="web",
            argv=_web(port, host="127.0.0.1"),
            env=settled | _WEB_MEMORY | {"AWAIT_TABLES": "1"},
            port=port,
            account=account,
            is_ready=lambda: get(f"http://127.0.0.1:{port}/healthz")[0] == 200,
        ),
        Program(name="io", argv=_io(), env=settled | _WEB_MEMORY, account=account),
        Program(name="sweeper", argv=SWEEP, env=settled | _LEAN, account=account),
        Program(name="prepare", argv=PREPARE, env=settled, account=account),
    )


def standing_alone(name: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """
    The command of one process that no supervisor runs, as in a container, and its allocator's settings.

    Web listens on every address: which of them is reached is the container's to say.

    Raises:
        KeyError: there is no process of that name.
    """
    return {
        "web": (_web(ALONE_PORT, host="0.0.0.0"), _WEB_MEMORY),  # noqa: S104
        "worker": (_worker(), _WORKER_MEMORY),
        "io": (_io(), _WEB_MEMORY),
        "sweeper": (SWEEP, _LEAN),
        "prepare": (PREPARE, _LEAN),
    }[name]


def _web(port: int, *, host: str) -> tuple[str, ...]:
    options = {
        "--interface": "rsgi",
        "--host": host,
        "--port": str(port),
        "--http": "1",
        "--workers": "1",
        "--backpressure": "1024",  # connections, idle ones too: more wait in the backlog
        "--http1-buffer-size": "65536",  # of each connection, and so the longest headers
        "--http1-header-read-timeout": "15000",  # ms; a client that trickles its headers is let go
        "--workers-kill-timeout": "4",
        "--respawn-interval": "0.5",
        "--log-config": str(ROOT / "config" / "granian_logs.json"),
    }
    words = [word for pair in options.items() for word in pair]
    return (str(_BIN / "granian"), *words, "--no-ws", "--respawn-failed-workers", "config.rsgi:application")


def _worker_name() -> str:
    return os.environ.get("WORKER_NAME") or f"{socket.gethostname()}:{secrets.token_hex(4)}"


def _worker() -> tuple[str, ...]:
    return _celery("config.inference_worker", queue="inference", threads=8)


def _io() -> tuple[str, ...]:
    return _celery("config.io_worker", queue="io", threads=8)


def _celery(module: str, *, queue: str, threads: int) -> tuple[str, ...]:
    """A worker with at least so many threads: the module adds to them."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    pool = ("--pool", "threads", "--concurrency", str(threads), "-Q", queue, "--loglevel", "INFO")
    return (str(_BIN / "celery"), "--quiet", "-A", module, "worker", *pool, *quiet)
