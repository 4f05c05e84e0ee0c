"""Every dependency is locked with its hashes, and each lock fits the pins that it was made from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from apps.stack.paths import ROOT

FOLDER = ROOT / "requirements"
LOCKS = sorted(FOLDER.glob("*.lock"))
AUDIT = ROOT / ".ci" / "audit.py"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w,]+\])?==(\S+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: Path) -> dict[str, str]:
    text = file.read_text()
    found = {normal(name): version for name, version in _PIN.findall(text)}
    for other in re.findall(r"^-r (\S+)", text, re.MULTILINE):
        found |= pins(file.with_name(other))
    return found


def test_every_file_of_pins_has_its_lock() -> None:
    names = {file.stem for file in FOLDER.glob("*.txt")} - {"torch-cpu", "payments"}

    assert {file.stem for file in LOCKS} == names


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_fits_its_pins_and_each_entry_has_a_hash(lock: Path) -> None:
    locked = pins(lock)
    entries = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]

    wrong = {name: version for name, version in pins(lock.with_suffix(".txt")).items() if locked.get(name) != version}

    assert wrong == {}, "`make lock` writes it anew"
    assert len(entries) == len(locked)
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_names_no_index_and_no_place_on_a_machine(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]

    assert [line for line in lines if "://" in line or "/" in line or line.startswith("-")] == []


def test_what_is_in_two_locks_of_one_environment_has_one_version() -> None:
    dev = pins(FOLDER / "dev.lock")

    for name in ("build", "web", "worker", "training"):
        locked = pins(FOLDER / f"{name}.lock")
        assert {key: version for key, version in locked.items() if dev.get(key, version) != version} == {}


def test_torch_without_cuda_is_in_no_lock_and_all_that_it_needs_is() -> None:
    pytest.importorskip("torch", reason="torch is not installed, so nobody says what it needs")
    needed = [re.split(r"[<>=!~ ;\[]", each)[0] for each in requires("torch") or [] if "extra ==" not in each]
    needed = [normal(name) for name in needed if not name.startswith(("nvidia", "cuda", "triton"))]

    assert set(needed) <= set(pins(FOLDER / "worker.lock"))
    assert [lock.stem for lock in LOCKS if "torch" in pins(lock)] == ["worker-gpu"]


# --- make audit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "No fault is known of any of 1 packages."),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            1,
            "a 1 (some.lock): CVE-1, mended in 2",
        ),
        ([{"name": "a", "skip_reason": "Dependency not found: a"}], 2, "could not be asked about any package"),
        (
            [{"name": "a", "skip_reason": "Dependency not found: a"}, {"name": "b", "version": "1", "vulns": []}],
            2,
            "could not be asked about 1 of 2 packages",
        ),
        (None, 2, "Nobody could be asked about some.lock: no way to the index"),
    ],
)
def test_audit_says_what_is_known_and_never_takes_silence_for_good_news(
    answer: list[dict[str, object]] | None, status: int, told: str, tmp_path: Path
) -> None:
    pip_audit = tmp_path / "pip-audit"
    words = json.dumps({"dependencies": answer, "fixes": []}) if answer is not None else ""
    pip_audit.write_text(
        f"#!/bin/sh\necho '{words}'\necho 'no way to the index' >&2\necho 'No known vulnerabilities found' >&2\n"
    )
    pip_audit.chmod(0o755)

    done = subprocess.run(
        [sys.executable, AUDIT, pip_audit, "some.lock"], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == status, done.stderr
    assert told in done.stdout + done.stderr
