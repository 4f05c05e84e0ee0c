"""
Real PostgreSQL, Valkey and S3 for one pytest session, in a folder of their own.

Loaded by `-p` (pyproject.toml), because Django reads its settings before any conftest. With xdist the
controller starts them and the workers inherit the addresses. Servers whose URLs are set already are used.
What one process compiles of the networks, all others find, in `NETWORKS_DIR`.
Folders whose tests need none of them start none: `pytest tests/ml` begins at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apps.stack.accounts import own, own_account
from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import PARTS, plan
from apps.stack.servers import embedded_servers

ALONE = ("tests/ml", "tests/core", "tests/golden")
"""Folders whose tests need no server."""

_SERVERS = pytest.StashKey[contextlib.ExitStack]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        _own_database(worker)
    asked = early_config.known_args_namespace
    if asked.help or asked.version or all(os.environ.get(name) for name in PARTS.values()):
        return
    servers = early_config.stash[_SERVERS] = contextlib.ExitStack()
    servers.enter_context(no_servers() if need_none(asked.file_or_dir) else own_servers())


def need_none(chosen: Sequence[str]) -> bool:
    """Whether all these paths and test ids lie in folders whose tests need no server; False for none at all."""
    alone = [ROOT / folder for folder in ALONE]
    paths = [Path.cwd() / each.partition("::")[0] for each in chosen]
    return bool(paths) and all(any(path.resolve().is_relative_to(folder) for folder in alone) for path in paths)


def _own_database(worker: str) -> None:
    """Give a worker of xdist a database of the broker: tests clear counters, and a neighbour's would go with them."""
    url = os.environ.get("REDIS_URL", "")
    if url:
        os.environ["REDIS_URL"] = urlsplit(url)._replace(path=f"/{1 + int(worker.removeprefix('gw'))}").geturl()


def pytest_unconfigure(config: pytest.Config) -> None:
    if servers := config.stash.get(_SERVERS, None):
        servers.close()


@contextlib.contextmanager
def own_servers() -> Iterator[None]:
    """All three, with their addresses in the environment."""
    with _folder_and_addresses() as (folder, env), embedded_servers(env | {"KEYLINE_THROWAWAY": "1"}, VarDir(folder)):
        if (networks := folder / "networks").is_dir():
            own(networks, own_account())  # of the services that tests start
        yield


@contextlib.contextmanager
def no_servers() -> Iterator[None]:
    """The addresses alone, which the settings ask for: who calls them after all hears that nobody is there."""
    with _folder_and_addresses():
        yield


@contextlib.contextmanager
def _folder_and_addresses() -> Iterator[tuple[Path, dict[str, str]]]:
    folder = Path(tempfile.mkdtemp(prefix="keyline-tests-"))
    env = plan(os.environ, {}).env
    os.environ.setdefault("WEIGHTS_DIR", str(ROOT / "var" / "weights"))
    if "NETWORKS_DIR" not in os.environ:  # `make test` has one for all of its parts
        (networks := folder / "networks").mkdir()
        os.environ["NETWORKS_DIR"] = str(networks)
    os.environ.update(env | {"KEYLINE_VAR_DIR": str(folder)})
    try:
        yield folder, env
    finally:
        shutil.rmtree(folder, ignore_errors=True)
