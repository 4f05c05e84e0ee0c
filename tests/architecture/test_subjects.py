"""The rule of commit subjects, as the hook and the build machine ask it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apps.stack.paths import ROOT

SCRIPT = ROOT / ".ci" / "subjects.py"
GOOD = "Say what a picture without a subject costs"


def check(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        (GOOD, ""),
        ("S" * 60, ""),
        ("S" * 61, "61 characters, 60 are allowed"),
        ("Say it.", "it ends with a dot"),
        ("", "there is none"),
        (f"fixup! {'S' * 60}", ""),
    ],
)
def test_hook_tells_what_is_wrong_with_a_subject(subject: str, told: str, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text(f"# a comment\n\n{subject}\n\n# more\n")

    done = check("--file", str(message), cwd=tmp_path)

    assert done.returncode == (1 if told else 0)
    assert told in done.stderr


def test_every_commit_of_a_range_is_asked_and_none_before(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        names = ("-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "core.hooksPath=/dev/null")
        subprocess.run(["git", *names, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    for subject in ("This one came before the rule and ends with a dot.", GOOD, "Another with a dot.", GOOD):
        git("commit", "--allow-empty", "-m", subject)

    bad, good = check("HEAD~3..HEAD", cwd=tmp_path), check("HEAD~1..HEAD", cwd=tmp_path)

    assert bad.returncode == 1
    assert bad.stderr.count("it ends with a dot") == 1
    assert "Another" in bad.stderr
    assert good.returncode == 0


def test_range_that_git_does_not_know_is_no_success(tmp_path: Path) -> None:
    done = check("nothing..HEAD", cwd=tmp_path)

    assert done.returncode == 2
