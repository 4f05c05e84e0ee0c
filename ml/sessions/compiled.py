"""
Compiled networks, kept on the disk between starts: compiling takes seconds, reading a file back none.

A file is named by all that went into it, ends with its own digest, and appears whole or not at all.
What is damaged, of another version or of another processor is made anew; without a place on the disk nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
MOST_KEPT = 24
"""Files, the last used ones: the networks of three precisions."""


class CompiledNetworks:
    """A folder of compiled networks. Safe to use from several threads and processes."""

    def __init__(self, folder: Path | None) -> None:
        """Args: folder: made where it is missing. None keeps nothing."""
        self._folder = folder

    def open(self, facts: str, make: Callable[[], memoryview]) -> memoryview:
        """
        The compiled network, from the disk or made now.

        Args:
            facts: all that decides what it is.
            make: compiles it.

        Returns:
            Its bytes, in a private mapping of a file (their pages can be dropped), writable without changing the file.
        """
        if self._folder is None:
            return _in_a_file_without_a_name(make())
        path = self._folder / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.network"
        kept = _read(path)
        if kept is not None:
            return kept
        made = make()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(path, made)
        except OSError as error:
            log.warning("compiled networks are not kept in %s: %s", self._folder, error)
            return _in_a_file_without_a_name(made)
        _forget_the_oldest(self._folder)
        return _read(path) or _in_a_file_without_a_name(made)


def drop_pages(network: memoryview) -> None:
    """Give the mapping's memory back; what is read again comes from the file."""
    mapping = network.obj
    if isinstance(mapping, mmap.mmap):
        mapping.madvise(mmap.MADV_DONTNEED)


def _read(path: Path) -> memoryview | None:
    """None where the file is not there, cannot be read, or is not what was written."""
    try:
        with path.open("rb") as file:
            mapping = _mapped(file)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    with contextlib.suppress(OSError):  # another user's
        os.utime(path)
    whole = memoryview(mapping)
    network, digest = whole[:-_DIGEST_BYTES], whole[-_DIGEST_BYTES:]
    if hashlib.sha256(network).digest() != digest:
        log.warning("%s is damaged: the network is compiled anew", path)
        return None
    return network


def _write(path: Path, network: memoryview) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        try:
            file.write(network)
            file.write(hashlib.sha256(network).digest())
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # no secret: whoever runs a worker may read the weights too
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _forget_the_oldest(folder: Path) -> None:
    """Another process may do the same at the same time; a mapping outlives its file's name."""
    with contextlib.suppress(OSError):
        by_use = sorted(folder.glob("*.network"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in by_use[MOST_KEPT:]:
            path.unlink(missing_ok=True)


def _in_a_file_without_a_name(network: memoryview) -> memoryview:
    """In memory where no disk takes it."""
    try:
        with tempfile.TemporaryFile(prefix="keyline-network-") as file:
            file.write(network)
            file.flush()
            return memoryview(_mapped(file))
    except OSError as error:
        log.warning("a compiled network stays in memory: %s", error)
        return network


def _mapped(file: IO[bytes]) -> mmap.mmap:
    # A private copy, because OpenVINO takes no read-only memory; it never writes there.
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
