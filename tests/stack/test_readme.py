"""The README's examples, word for word, against a running service."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from apps.stack.paths import ROOT
from ml.weights import catalogue
from ml.weights.fetch import default_dir
from tests.stack.service import PATIENCE_S, Stack

pytestmark = pytest.mark.stack

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    section = README.partition("## First requests")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "demo.jpg", tmp_path / "docs")
    return tmp_path


def run(stack: Stack, folder: Path, *command: str) -> str:
    env = stack.environ | stack.env
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl(stack: Stack, folder: Path) -> None:
    _, picture, envelope, pointed, job = blocks("sh")

    run(stack, folder, "bash", "-c", picture)
    assert Image.open(folder / "cutout.png").mode == "RGBA"
    assert '"contentType": "image/jpeg"' in run(stack, folder, "bash", "-c", envelope)
    assert '"jobId"' in run(stack, folder, "bash", "-c", job)
    if (default_dir() / catalogue.SAM.files[0].name).is_file():  # else the answer says that there is no SAM
        run(stack, folder, "bash", "-c", pointed)
        left, top, right, bottom = (
            Image.open(folder / "bird.png").getchannel("A").point(lambda a: a > 127 and 255).getbbox()
        )
        assert (right - left) < 400, "more than the bird"
        assert (bottom - top) > 250


def test_python(stack: Stack, folder: Path) -> None:
    (code,) = blocks("python")

    assert " x " in run(stack, folder, sys.executable, "-c", code)
    assert Image.open(folder / "cutout.png").mode == "RGBA"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed; the service does not need it")
def test_typescript(stack: Stack, folder: Path) -> None:
    (code,) = blocks("typescript")
    (folder / "first.mjs").write_text(code)  # the example uses nothing that plain JavaScript lacks

    assert "credits charged: 1" in run(stack, folder, "node", "first.mjs")
    assert Image.open(folder / "mask.png").mode == "L"
