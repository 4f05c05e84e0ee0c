"""`python -m ml.weights fetch|check [--profile best|permissive] [--dir FOLDER]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import get_args

from ml.weights.fetch import check, default_dir, fetch
from ml.weights.specs import Profile


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.weights", description="The networks' weights.")
    parser.add_argument("command", choices=["fetch", "check"])
    parser.add_argument("--profile", choices=get_args(Profile), default=os.environ.get("WEIGHTS_PROFILE") or "best")
    parser.add_argument("--dir", type=Path, default=default_dir(), help="default: $WEIGHTS_DIR or var/weights")
    options = parser.parse_args(arguments)
    command = {"fetch": fetch, "check": check}[options.command]
    return command(options.profile, options.dir)


if __name__ == "__main__":
    raise SystemExit(main())
