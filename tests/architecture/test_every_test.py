"""`make test` runs all there is, and says in words what did not run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from apps.stack.paths import ROOT
from tests import every
from tests.payments.rig import chains
from tests.stack.service import PATIENCE_S

TESTS = """
import pytest

def test_runs(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_lacks_something(n): pytest.skip("the moon is not installed")
"""
WHOLE = "import pytest\npytest.importorskip('no_such_package_at_all', reason='no package for it')\ndef test_a(): pass\n"


@pytest.fixture(autouse=True)
def _a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs these tests may be a process of xdist itself, and says so to whatever it starts."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def test_parts_leave_no_test_out() -> None:
    folders = {f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    rest = [word for _, words in every.PARTS for word in words if word.startswith("--ignore=")]
    named = {word for _, words in every.PARTS for word in words if word in folders}

    assert any("tests" in words for _, words in every.PARTS)
    assert {word.removeprefix("--ignore=") for word in rest} == named


def test_what_did_not_run_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole.py").write_text(WHOLE)
    lean = ("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path))
    monkeypatch.setattr(every, "PARTS", (("one", (*lean, "-n2")), ("two", (*lean, "-k", "runs"))))

    code = every.main([])

    told = capfd.readouterr().out.rpartition("\n\n")[2]
    assert code == 0
    assert told.splitlines()[0] == "2 tests ran. These did not:"
    assert "  2 of test_some.py: the moon is not installed" in told
    assert "  all of test_whole.py: no package for it" in told


def test_a_failure_in_any_part_is_one_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_bad.py").write_text("def test_bad(): assert 0")
    (tmp_path / "test_good.py").write_text("def test_good(): pass")
    lean = ("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path))
    parts = tuple((name, (*lean, str(tmp_path / f"test_{name}.py"))) for name in ("bad", "good"))
    monkeypatch.setattr(every, "PARTS", parts)

    code = every.main([])

    said = capfd.readouterr().out
    assert code == 1
    assert "All 2 tests ran.\nNot everything passed: see bad." in said


def test_what_runs_beside_another_part_is_told_behind_it_and_fails_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each waits for the other: one behind the other would wait for ever."""
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"test_{name}.py").write_text(
            "import os, pathlib, time\n\ndef test_meets_the_other():\n"
            f"    here, deadline = pathlib.Path(os.environ['MEETING']), time.monotonic() + {PATIENCE_S}\n"
            f"    (here / '{name}').touch()\n"
            f"    while not (here / '{other}').exists() and time.monotonic() < deadline: time.sleep(.02)\n"
            f"    assert (here / '{other}').exists()\n    assert '{name}' == 'one', 'said by two'\n"
        )
    lean = ("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path))
    parts = tuple((name, (*lean, str(tmp_path / f"test_{name}.py"))) for name in ("one", "two"))
    monkeypatch.setattr(every, "PARTS", parts)
    monkeypatch.setattr(every, "BESIDE_THE_ONE_BEFORE", {"two"})
    monkeypatch.setenv("MEETING", str(tmp_path))

    code = every.main([])

    said = capfd.readouterr().out
    assert code == 1
    assert "All 2 tests ran.\nNot everything passed: see two." in said
    assert said.index("1 passed") < said.index("--- two ---") < said.index("said by two")


@pytest.mark.parametrize(
    ("version", "lacking"),
    [("v20.0.0", ""), ("v22.1.0", ""), ("v18.19.1", "Node.js 20 or later is needed, and here is v18.19.1")],
)
def test_rig_needs_a_node_that_is_new_enough(
    version: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(chains.platform, "machine", lambda: "x86_64")

    assert chains.why_not() == lacking


@pytest.mark.parametrize(("asked", "outcome"), [("auto", "skipped"), ("1", "error")])
def test_build_machine_without_node_fails_and_others_tell(
    asked: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = {"PATH": "/nowhere", "KEYLINE_RIG": asked}
    for name, value in bare.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "tests/payments/test_keyline_pay.py", "-k", "no_token_but"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert f"1 {outcome}" in done.stdout, done.stdout + done.stderr
    assert ("Node.js 20 or later with npm is not installed" in done.stdout) or outcome == "skipped"
    assert done.returncode == (0 if outcome == "skipped" else 1)


def test_no_test_imports_another() -> None:
    """What two of them need lies in a module of its own, and fixtures in conftest."""
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.match(r"\s*(from|import) tests\.[\w.]*\b(test_\w+|conftest)\b", line)
    ]

    assert found == []


@pytest.mark.parametrize(("chosen", "is_measured"), [([], True), (["-k", "covers"], False)])
def test_coverage_has_a_floor_where_all_tests_run_and_none_where_some_are_chosen(
    chosen: list[str],
    is_measured: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "product.py").write_text("def used(): pass\n\ndef unused():\n    a = 1\n    b = 2\n    return a + b\n")
    (tmp_path / "test_it.py").write_text("import product\ndef test_covers(): product.used()\n")
    (tmp_path / "coveragerc").write_text(
        f"[run]\nsource = {tmp_path}\ndata_file = {tmp_path}/.coverage\n[report]\nfail_under = 90\n"
    )
    lean = ("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path), "-n2")
    measured = (*every._COVERAGE, f"--cov-config={tmp_path}/coveragerc")
    monkeypatch.setattr(every, "PARTS", (("one", (*lean, *measured)), ("two", lean)))

    code = every.main(chosen)

    said = capfd.readouterr().out
    assert code == int(is_measured)
    assert ("Required test coverage of 90.0% not reached. Total coverage: " in said) == is_measured
