"""What the user of our processes has to reach and to read where root starts the stack: code, packages, Python, weights."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from apps.stack.accounts import let_list, let_pass, make_readable, packages_to_open
from apps.stack.errors import StackError
from apps.stack.paths import ROOT
from apps.stack.processes import Account

_CODE = ("apps", "config", "ml", "manage.py")
_UNPRIVILEGED_FROM = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def open_the_house(account: Account, *, weights: Path) -> None:
    """
    Open to `account` what it needs, and nothing that holds secrets: `var/stack.env`, logs and data stay root's.

    Raises:
        StackError: a way stays shut; the sentence says which, and what to do.
    """
    site = Path(sysconfig.get_paths()["purelib"])
    try:
        environment = (Path(sys.prefix) / "pyvenv.cfg", Path(sys.prefix) / "bin", *packages_to_open(site))
        make_readable(*(ROOT / name for name in _CODE), *(path for path in environment if path.exists()), weights)
        let_list(account, ROOT)
    except OSError as error:
        raise StackError(
            f"{error.filename} cannot be opened to the user {account.name}: {_ways_out(account)}"
        ) from error
    pythons = (*_hops(Path(sys.executable)), Path(sys.base_prefix), Path(sysconfig.get_paths()["stdlib"]))
    let_pass(account, ROOT, site, weights, *pythons)
    ours = [str(ROOT / name) for name in ("manage.py", "config/celery.py")]  # to import that one takes half a second
    probe = [sys.executable, "-c", f"import django, celery, apps, ml; [open(path) for path in {ours!r}]"]
    done = subprocess.run(
        probe,
        cwd=ROOT,
        check=False,
        capture_output=True,
        user=account.uid,
        group=account.gid,
        extra_groups=account.groups,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise StackError(
            f"The user {account.name} cannot run {sys.executable} in {ROOT} ({said}): {_ways_out(account)}"
        )


def _ways_out(account: Account) -> str:
    return (
        f"Started by root, the stack runs as {account.name}. Move the checkout, for example to /opt, start as another user, "
        "or set KEYLINE_ACCOUNT=root to run everything as root."
    )


def _hops(link: Path) -> list[Path]:
    """A path and every path that its symbolic links lead over."""
    hops = [link]
    while hops[-1].is_symlink() and len(hops) < 20:
        hops.append(hops[-1].parent / hops[-1].readlink())
    return [*hops, link.resolve()]


def may_listen(account: Account | None, port: int) -> None:
    """
    See that the web process may have its port.

    Raises:
        StackError: the port is one of root's.
    """
    lowest = int(_UNPRIVILEGED_FROM.read_text()) if _UNPRIVILEGED_FROM.exists() else 1024
    if account is not None and port < lowest:
        raise StackError(
            f"KEYLINE_PORT={port} is root's, and web runs as {account.name}: use {lowest} or above behind a proxy, "
            "or set KEYLINE_ACCOUNT=root."
        )


def living_as(account: Account | None, home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """
    `env` for a process of the account: a home of its own, and the secrets whose files root alone can read.

    Args:
        home: a folder that belongs to the account.
    """
    if account is None:
        return dict(env)
    lived = {**env, "HOME": str(home), "USER": account.name, "LOGNAME": account.name}
    for name, value in {**os.environ, **env}.items():
        secret = Path(value)
        if name.endswith("_FILE") and secret.is_file() and not _is_readable(secret, account):
            lived[name.removesuffix("_FILE")] = secret.read_text()
            lived[name] = ""
    return lived


def _is_readable(path: Path, account: Account) -> bool:
    test = ["test", "-r", str(path)]
    done = subprocess.run(test, check=False, user=account.uid, group=account.gid, extra_groups=account.groups)
    return done.returncode == 0


def see_that_it_reads(account: Account, file: Path) -> None:
    """
    Let the account reach a file of the operator's.

    Raises:
        StackError: it may not read it; whose it shall be is the operator's to say.
    """
    let_pass(account, file)
    if file.exists() and not _is_readable(file, account):
        raise StackError(f"{file} cannot be read by {account.name}: `chmod o+r {file}`.")
