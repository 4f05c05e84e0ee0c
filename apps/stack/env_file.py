"""`stack.env`: shell-quoted NAME=value lines, readable by its owner only."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from apps.stack.errors import StackError

_HEAD = "# Written by the running stack; `set -a; . this-file` gives a shell the same settings.\n"


def read(path: Path) -> dict[str, str]:
    """The values in `path`; empty where there is no such file."""
    if not path.is_file():
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise StackError(f"{path}, line {number}: {error}. Mend the line or remove the file.") from error
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                values[name] = value
    return values


def write(path: Path, values: Mapping[str, str]) -> None:
    """Replace `path` in one step, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(_HEAD)
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    draft.replace(path)
