"""What the launcher and the supervisor say: to a person one line a step, with the time that it took; into a log as JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from apps.stack.errors import StackError

_BEGINS, _ENDS, _BREAKS = "begins", "ends", "breaks off"
_speaks_json = False


def speak_json() -> None:
    """From now on this process writes a log, not to a person: one JSON object a line, a last exception too."""
    global _speaks_json  # noqa: PLW0603 - how a process speaks is a fact of the whole process
    _speaks_json = True
    sys.excepthook = _uncaught


def say(text: str = "") -> None:
    """One line, at once."""
    if _speaks_json:
        _log(text)
    else:
        print(text, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """`text ... 1.2 s`"""
    began = time.monotonic()
    _tell(text, step=_BEGINS)
    try:
        yield
    except BaseException:
        _tell(text, step=_BREAKS)
        raise
    _tell(text, step=_ENDS, seconds=round(time.monotonic() - began, 1))


def _tell(text: str, **facts: object) -> None:
    if _speaks_json:
        _log(text, facts)
    else:
        sys.stdout.write(_as_text({"event": text, **facts}))
        sys.stdout.flush()


def _log(text: str, facts: dict[str, object] | None = None, *, level: str = "info") -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"time": now, "level": level, "logger": "supervisor", "event": text, **(facts or {})}), flush=True)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    told = "".join(traceback.format_exception(kind, error, trace))
    _log("uncaught exception", {"exception": told}, level="critical")


def for_people(line: str) -> str:
    """A line of a log, without its end, as a person reads it; what is no JSON object stays as it is."""
    try:
        told = json.loads(line)
    except ValueError:
        return f"{line}\n"
    return _as_text(told) if isinstance(told, dict) and "event" in told else f"{line}\n"


def _as_text(told: dict[str, object]) -> str:
    match told.get("step"):
        case "begins":
            return f"{told['event']} ... "
        case "ends":
            return f"{told['seconds']:.1f} s\n"
        case "breaks off":
            return "\n"
    exception = f"\n{told['exception']}" if "exception" in told else ""
    return f"{told['event']}{exception}\n"


def last_lines(path: Path, count: int = 12) -> str:
    """The end of a log, indented, as a person reads it."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_000))
            lines = file.read().decode(errors="replace").splitlines()[-count:]
        told = "\n".join(for_people(line).rstrip("\n") for line in lines).splitlines()
        return "\n".join(f"    {line}" for line in told)
    return ""


def failure(sentence: str, log: Path) -> StackError:
    """An error that shows the end of the log it stands in."""
    return StackError(f"{sentence} Its log is {log}:\n{last_lines(log) or '    (empty)'}")
