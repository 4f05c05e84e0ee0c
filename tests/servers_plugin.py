"""
Real PostgreSQL, Valkey and S3 for one pytest session, in a folder of their own.

Loaded by `-p` (pyproject.toml), because Django reads its settings before any conftest. With xdist the
controller starts them and the workers inherit the addresses. Servers whose URLs are set already are used.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import PARTS, plan
from apps.stack.servers import embedded_servers

_SERVERS = pytest.StashKey[contextlib.ExitStack]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        _own_database(worker)
    asked = early_config.known_args_namespace
    if asked.help or asked.version or all(os.environ.get(name) for name in PARTS.values()):
        return
    servers = early_config.stash[_SERVERS] = contextlib.ExitStack()
    servers.enter_context(own_servers())


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
    folder = Path(tempfile.mkdtemp(prefix="keyline-tests-"))
    env = plan(os.environ, {}).env
    try:
        with embedded_servers(env | {"KEYLINE_THROWAWAY": "1"}, VarDir(folder)):
            os.environ.setdefault("WEIGHTS_DIR", str(ROOT / "var" / "weights"))
            os.environ.update(env | {"KEYLINE_VAR_DIR": str(folder)})
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
