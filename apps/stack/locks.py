"""
Who runs a stack: a lock that dies with its holder, so no stale file ever says that something runs.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


def try_hold(path: Path) -> TextIO | None:
    """
    Take the lock and write our pid into it; it is ours until the file is closed or the process ends.

    Returns:
        The open file, or None where another process holds it.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def hold(path: Path) -> TextIO:
    """Take the lock, waiting for it."""
    file = path.open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def holder(path: Path) -> int | None:
    """The pid of the lock's holder; None where nobody holds it."""
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read().strip() or 0) or None
    return None
