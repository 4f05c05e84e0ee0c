"""docs/adding-an-endpoint.md, followed to the letter in a copy of the project: the page can't go stale."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.stack.paths import ROOT

CALL = """
import io, pathlib
import numpy as np
from PIL import Image
from tests.api import Api, upload
from tests.drawing import photo_png


def test_flip(api: Api) -> None:
    photo = photo_png(60, 40, box=(0, 0, 30, 10))

    response = api.post("/v1/flip", {"image": upload(photo)})
    wrong = api.post("/v1/flip", {"image": upload(photo), "direction": "sideways"})

    assert response.status_code == 200, response.content
    before = np.asarray(Image.open(io.BytesIO(photo)))
    assert (np.asarray(Image.open(io.BytesIO(response.content))) == before[::-1]).all()
    assert response.headers["X-Credits-Charged"] == "1"
    assert wrong.json()["error"]["details"][0]["field"] == "direction"
    assert "/v1/flip" in api.get("/openapi.json").json()["paths"]
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("apps", "config", "ml", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "photos", "fetched"))
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new, 1))


def test_the_page_leads_to_a_working_endpoint(copy: Path) -> None:
    page = (ROOT / "docs" / "adding-an-endpoint.md").read_text()
    blocks = re.findall(r"^## \d\. .*?`([\w/]+\.py)`.*?```python\n(.*?)```", page, flags=re.DOTALL | re.MULTILINE)
    files = dict(blocks)
    route = files.pop("config/routes.py")
    (copy / "apps/flip").mkdir()
    (copy / "apps/flip/__init__.py").touch()
    for name, text in files.items():
        (copy / name).write_text(text)
    replace(copy / "config/settings/base.py", '    "apps.background",\n', '    "apps.background",\n    "apps.flip",\n')
    replace(copy / "config/routes.py", "ROUTES = (\n", f"ROUTES = (\n{route}")
    replace(copy / "config/routes.py", "\n\n@dataclass", "\nfrom apps.flip.operation import FLIP\n\n@dataclass")
    (copy / "tests/contract/test_flip.py").write_text(CALL)

    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/contract/test_flip.py",
        "tests/contract/test_sandbox_mark.py",
        "-k",
        "flip",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    # A database of its own: the test database is named after this one, and ours is in use.
    env = os.environ | {"DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0] + "/flip"}
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False, timeout=600)

    assert set(files) == {f"apps/flip/{name}.py" for name in ("serializers", "operation", "runner", "apps")}
    assert done.returncode == 0, done.stdout + done.stderr
