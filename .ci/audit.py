"""
`make audit`: is a fault of a locked package known? pip-audit asks PyPI; here its answers become one sentence a package.

    python3 .ci/audit.py PIP_AUDIT LOCK...

A package that nobody could be asked about is no good news: an index without PyPI's JSON interface answers "not found" for
every one, and pip-audit calls that success. The standard library alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def ask(pip_audit: str, lock: Path) -> list[dict[str, Any]] | str:
    """What pip-audit says of each package of a lock, or its last line where it could not ask."""
    command = [
        pip_audit,
        "--progress-spinner=off",
        "--disable-pip",
        "--require-hashes",
        "--format=json",
        "-r",
        str(lock),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return next((line for line in reversed(lines) if "No known vulnerabilities" not in line), "it said nothing")


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 where no fault is known, 1 where one is, 2 where not every package could be asked about."""
    pip_audit, *locks = arguments
    faults, unasked, asked = set(), set(), set()
    for lock in map(Path, locks):
        answer = ask(pip_audit, lock)
        if isinstance(answer, str):
            print(f"Nobody could be asked about {lock.name}: {answer}", file=sys.stderr)
            return 2
        for package in answer:
            name = f"{package['name']} {package.get('version', '')}".strip()
            (unasked if "skip_reason" in package else asked).add(package.get("skip_reason", name))
            for fault in package.get("vulns", []):
                mended = ", ".join(fault["fix_versions"]) or "no version yet"
                faults.add(f"{name} ({lock.name}): {fault['id']}, mended in {mended}")
    for sentence in (*sorted(faults), *sorted(unasked)):
        print(sentence, file=sys.stderr)
    if faults:
        return 1
    if unasked:
        all_or_some = "any package" if not asked else f"{len(unasked)} of {len(asked) + len(unasked)} packages"
        print(
            f"The index could not be asked about {all_or_some}: is it PyPI, with its JSON interface?", file=sys.stderr
        )
        return 2
    print(f"No fault is known of any of {len(asked)} packages.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
