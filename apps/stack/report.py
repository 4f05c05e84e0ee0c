"""What the launcher says: one line a step, with the time that it took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from apps.stack.errors import StackError


def say(text: str = "") -> None:
    """One line, at once."""
    print(text, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """`text ... 1.2 s`"""
    print(f"{text} ... ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def last_lines(path: Path, count: int = 12) -> str:
    """The end of a log, indented."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_000))
            lines = file.read().decode(errors="replace").splitlines()[-count:]
        return "\n".join(f"    {line}" for line in lines)
    return ""


def failure(sentence: str, log: Path) -> StackError:
    """An error that shows the end of the log it stands in."""
    return StackError(f"{sentence} Its log is {log}:\n{last_lines(log) or '    (empty)'}")
