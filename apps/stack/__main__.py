"""`python -m apps.stack run|start|stop|status|demo`; `supervise` is for the launcher itself."""

from __future__ import annotations

import argparse
import sys

from apps.stack import launch
from apps.stack.errors import StackError
from apps.stack.paths import VarDir
from apps.stack.report import speak_json
from apps.stack.supervisor import supervise


def main(arguments: list[str]) -> int:
    """Run one command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m apps.stack", description="Run Keyline on this machine.")
    parser.add_argument("command", choices=["run", "start", "stop", "status", "demo", "supervise"])
    parser.add_argument("--no-demo", action="store_true", help="cut out no first picture")
    options = parser.parse_args(arguments)
    var = VarDir.from_environment()
    try:
        match options.command:
            case "run":
                return launch.run(var, with_demo=not options.no_demo)
            case "start":
                return launch.start(var, with_demo=not options.no_demo)
            case "stop":
                return launch.stop(var)
            case "status":
                return launch.status(var)
            case "demo":
                return launch.show_demo(var)
            case _:
                speak_json()
                return supervise(var)
    except StackError as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
