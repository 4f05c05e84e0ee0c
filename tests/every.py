"""
`make test`: every test that this machine can run, part by part, and at the end in words which ones did not run and why.

    python -m tests.every [pytest's arguments]

It is also the plugin of pytest that notes, in each part, what was skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from apps.stack.accounts import own, own_account

_NOTES = "KEYLINE_TEST_NOTES"
_ALONE = ("tests/core", "tests/ml")
_IN_ONE_PROCESS = ("tests/architecture", "tests/contract")
_PAYMENTS = "tests/payments"
_COVERAGE = ("--cov", "--cov-report=")
"""Of the tests that need no server, with the floor of pyproject.toml: it costs them half as much CPU again, the others twice."""
Part: TypeAlias = tuple[str, tuple[str, ...]]
PARTS: tuple[Part, ...] = (
    ("pixels and files", (*_ALONE, "-n2", *_COVERAGE)),
    ("the API in one process", (*_IN_ONE_PROCESS, "-n2")),
    (
        "the networks, and the service as processes",
        ("tests", *(f"--ignore={folder}" for folder in (*_ALONE, *_IN_ONE_PROCESS, _PAYMENTS))),
    ),
    # Beside the one before: half of both is waiting, for a killed process, for a chain that hangs. A file stays together, with
    # the service that it starts.
    ("payments on two chains", (_PAYMENTS, "-n2", "--dist=loadfile")),
)
BESIDE_THE_ONE_BEFORE = frozenset({"payments on two chains"})
_NOTHING_CHOSEN = 5  # pytest's exit code where its arguments leave no test


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Note how many tests ran, and what did not with its reason."""
    folder = os.environ.get(_NOTES)
    if folder and "PYTEST_XDIST_WORKER" not in os.environ:  # whose reports come to the controller
        stats = terminalreporter.stats
        note = {
            "ran": sum(len(stats.get(kind, [])) for kind in ("passed", "failed", "error", "xfailed", "xpassed")),
            "skipped": [[report.nodeid, _reason(report)] for report in stats.get("skipped", [])],
        }
        with (Path(folder) / "notes").open("a") as file:
            file.write(json.dumps(note) + "\n")


def _reason(report: pytest.TestReport) -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ").splitlines()[0]


def words(notes: list[dict[str, Any]]) -> str:
    """What the parts noted, for people: a line for each reason and file."""
    ran, skipped = sum(note["ran"] for note in notes), [each for note in notes for each in note["skipped"]]
    if not skipped:
        return f"All {ran} tests ran."
    lines = [f"{ran} tests ran. These did not:"]
    for (file, is_whole, why), count in Counter(
        (name.partition("::")[0], "::" not in name, why) for name, why in skipped
    ).items():
        lines.append(f"  {'all' if is_whole else count} of {file}: {why}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 where all that could run has passed."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="keyline-test-notes-") as folder:
        own(networks := Path(folder) / "networks", own_account())  # compiled once, for all parts
        env = {"NETWORKS_DIR": str(networks), **os.environ, _NOTES: folder}
        for parts in _rounds():
            failed += _failed(parts, arguments, env, Path(folder))
        notes = Path(folder) / "notes"
        print("\n" + words([json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []))
    if failed:
        print(f"Not everything passed: see {', '.join(failed)}.")
    return 1 if failed else 0


def _rounds() -> list[list[Part]]:
    """The parts in their order, and together what runs beside another."""
    rounds: list[list[Part]] = []
    for part in PARTS:
        if rounds and part[0] in BESIDE_THE_ONE_BEFORE:
            rounds[-1].append(part)
        else:
            rounds.append([part])
    return rounds


def _failed(parts: list[Part], arguments: list[str], env: dict[str, str], folder: Path) -> list[str]:
    """Run them at once, and return the names of those that failed; what all but the first say comes behind it."""
    # Of chosen tests alone, coverage would say nothing but that it is too little.
    of_all = [] if not arguments else ["--no-cov"]
    started = []
    with contextlib.ExitStack() as files:
        for number, (name, chosen) in enumerate(parts):
            command = [sys.executable, "-m", "pytest", "-p", "tests.every", *chosen, *of_all, *arguments]
            said = files.enter_context((folder / name).open("w+")) if number else None
            if not number:
                print(f"\n--- {' and, beside it, '.join(name for name, _ in parts)} ---", flush=True)
            started.append((name, subprocess.Popen(command, env=env, stdout=said, stderr=subprocess.STDOUT), said))
        codes = {}
        for name, process, said in started:
            codes[name] = process.wait()
            if said is not None:
                said.seek(0)
                print(f"\n--- {name} ---\n{said.read()}", flush=True)
    return [name for name, code in codes.items() if code not in {0, _NOTHING_CHOSEN}]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
