"""
`python -m apps.stack.alone web|worker|io|sweeper|prepare`: one process of ours where no supervisor runs it, as in a container.

It is started as the supervisor would start it, but with its settings from the environment. `health` asks the web process
beside it whether it lives.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from apps.stack.commands import ALONE_PORT, standing_alone
from apps.stack.local_http import get


def main(arguments: list[str]) -> int:
    """Becomes the process, or returns the exit code: of `health`, or 2 where nothing has that name."""
    name = arguments[0] if len(arguments) == 1 else ""
    if name == "health":
        return int(get(f"http://127.0.0.1:{ALONE_PORT}/healthz", timeout_s=4)[0] != 200)
    try:
        argv, allocator = standing_alone(name)
    except KeyError:
        print(__doc__, file=sys.stderr)
        return 2
    return _become(argv, {**allocator, **os.environ})


def _become(argv: tuple[str, ...], env: dict[str, str]) -> NoReturn:
    os.execve(argv[0], argv, env)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
