"""The C library's share in a process's memory."""

from __future__ import annotations

import ctypes


def give_back_freed_memory() -> None:
    """Hand what loading took and freed (250 MB for IS-Net) back to the system, where the C library is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
