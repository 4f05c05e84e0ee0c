"""
Hold the subjects of commits to the rule of CONTRIBUTING.md: at most 60 characters, no dot at the end.

    python3 .ci/subjects.py BASE..HEAD      each commit of the range but merges
    python3 .ci/subjects.py --file MESSAGE  a message that is being written (a commit-msg hook)

Whether it is in the imperative, people see. The standard library alone: it runs before anything is installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAX_CHARACTERS = 60
_MADE_BY_GIT = ("fixup! ", "squash! ", "amend! ", "Merge ", 'Revert "')


def fault(subject: str) -> str:
    """What is wrong with a subject; empty where nothing is."""
    if subject.startswith(_MADE_BY_GIT):
        return ""
    if not subject:
        return "there is none"
    if len(subject) > MAX_CHARACTERS:
        return f"{len(subject)} characters, {MAX_CHARACTERS} are allowed"
    return "it ends with a dot" if subject.endswith(".") else ""


def of_message(text: str) -> str:
    """The subject of a message as git will keep it: its first line that is neither empty nor a comment."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


def of_range(commits: str) -> dict[str, str]:
    """
    The subjects of a range by their commits' short names.

    Raises:
        CalledProcessError: git does not know the range; it has said so.
    """
    command = ["git", "log", "--no-merges", "--format=%h %s", commits, "--"]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split(" ", 1) for line in listed.splitlines())


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 where every subject is good, 1 where one is not, 2 where nothing could be looked at."""
    if len(arguments) == 2 and arguments[0] == "--file":
        subjects = {"subject": of_message(Path(arguments[1]).read_text())}
    elif len(arguments) == 1:
        try:
            subjects = of_range(arguments[0])
        except subprocess.CalledProcessError:
            return 2
    else:
        print(__doc__, file=sys.stderr)
        return 2
    faults = {name: fault(subject) for name, subject in subjects.items()}
    for name, what in faults.items():
        if what:
            print(f"{name}: {what}: {subjects[name]}", file=sys.stderr)
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
