"""
Processes that must not outlive the one that started them.

`kill -9` of a server's head leaves its workers serving, and a second server binds the same port beside
them; the kernel's parent-death signal (Linux) closes that gap where no supervisor is left to do it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(sig: signal.Signals = signal.SIGKILL, *, parent_pid: int | None = None) -> None:
    """
    Ask the kernel for `sig` when the parent ends; does nothing where there is no Linux.

    The signal follows the parent's *thread*: start children from a thread that lives as long as they do.

    Args:
        parent_pid: who the parent must be; by default the multiprocessing parent, where there is one.
            If it is gone already, the process ends here, because the kernel would never say so.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if parent_pid is None:
        parent = multiprocessing.parent_process()
        parent_pid = parent.pid if parent else None
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), sig)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent died, so that none stays behind as a zombie."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
