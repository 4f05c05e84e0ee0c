"""A sign of life in a file, for whoever watches processes from outside, such as a container's health check."""

from __future__ import annotations

import contextlib
from pathlib import Path

from django.conf import settings


def show_life() -> None:
    """Touch `HEARTBEAT_FILE`, where it is set. A file that cannot be written stays old, and that is what the watcher sees."""
    if settings.HEARTBEAT_FILE:
        with contextlib.suppress(OSError):
            Path(settings.HEARTBEAT_FILE).touch()
