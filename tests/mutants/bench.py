"""A copy of the checkout and a corner of the servers, in which one mutant after the other is tried."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import redis

from apps.stack.paths import ROOT
from tests.mutants.mutant import Mutant

_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", "node_modules", ".*_cache", ".hypothesis")
_LIMIT_S = 900  # a mutant may well make a test wait for ever; its few tests take seconds
_PASSED, _FAILED, _HUNG = 0, 1, -1


class Verdict(StrEnum):
    """What the tests said of a mutant."""

    KILLED = "killed"
    HUNG = "hung"
    """Killed too: tests that pass in seconds did not end within a quarter of an hour."""
    SURVIVED = "SURVIVED"
    UNPROVEN = "UNPROVEN"
    """pytest did not get as far as its tests: a mutant that cannot be imported, or an id that is none."""


@dataclass
class Bench:
    """
    Args:
        folder: an empty one, deleted by whoever made it.
        number: 0 and up; each has a database, a Redis database and a bucket of its own on the shared servers.
        said: the last lines that pytest printed.
    """

    folder: Path
    number: int
    said: str = ""
    _has_database: bool = field(default=False, repr=False)
    _running: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        return self.folder / "checkout"

    def __post_init__(self) -> None:
        shutil.copytree(ROOT, self.root, ignore=_NOT_COPIED)

    def passes(self, tests: list[str]) -> bool:
        """Whether these tests are green on the code as it is."""
        return self._pytest(tests, limit_s=None) == _PASSED

    def verdict(self, mutant: Mutant) -> Verdict:
        """Try one mutant; the copy is whole again afterwards."""
        path = self.root / mutant.file
        whole = path.read_text()
        self._has_database &= not mutant.is_migration
        try:
            _write(path, mutant.applied_to(whole))
            status = self._pytest(mutant.tests.split(), limit_s=_LIMIT_S)
        finally:
            _write(path, whole)
        self._has_database &= not mutant.is_migration
        known = {_PASSED: Verdict.SURVIVED, _FAILED: Verdict.KILLED, _HUNG: Verdict.HUNG}
        return known.get(status, Verdict.UNPROVEN)

    def _pytest(self, tests: list[str], *, limit_s: float | None) -> int:
        """pytest's exit status, or `_HUNG`."""
        environ = self._environ()
        redis.Redis.from_url(environ["REDIS_URL"]).flushdb()  # a mutant's counters must not kill the next one
        database = "--reuse-db" if self._has_database else "--create-db"
        # Of the plugins that are installed only Django's is of use, and the others take as long as a short test.
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
        command += ["-p", "pytest_django.plugin", "--reuse-db", database, *tests]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, cwd=self.root, env=environ, text=True, **pipes) as self._running:
            try:
                said, _ = self._running.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                self.stop()
                self._has_database = False
                return _HUNG
        self.said, self._has_database = said[-2000:], True
        return self._running.returncode

    def stop(self) -> None:
        """End the tests that are running, if any."""
        if self._running is not None:
            self._running.kill()

    def _environ(self) -> dict[str, str]:
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/mutants_{self.number}").geturl()
        return os.environ | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "DATABASE_URL": database,
            "REDIS_URL": urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{self.number}").geturl(),
            "S3_BUCKET": f"mutants-{self.number}",
        }


def _write(path: Path, text: str) -> None:
    """Write a module, and forget what was compiled of it: two writes of one length may fall into the same second."""
    path.write_text(text)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
