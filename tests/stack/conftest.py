"""A whole stack of its own for the tests of this folder: web, worker, sweeper and the three servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.stack.paths import VarDir
from tests.stack.service import Stack, outer_environment


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One stack for the whole session; a test that kills a part waits until it is back."""
    with tempfile.TemporaryDirectory(prefix="keyline-stack-", ignore_cleanup_errors=True) as folder:
        running = Stack(var=VarDir(Path(folder)), environ=outer_environment(Path(folder)))
        try:
            running.start()
            yield running
        finally:
            running.launcher("stop")
