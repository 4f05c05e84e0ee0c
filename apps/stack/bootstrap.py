"""
Make `.venv` and install the locked packages: run by the system's Python, before anything else exists.

    python3.11 -I apps/stack/bootstrap.py

Nothing is done where the stamp in `.venv` says that these very pins are installed already.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / ".keyline-pins"
LOCK = ROOT / "requirements" / "dev.lock"
BUILD_LOCK = ROOT / "requirements" / "build.lock"
TORCH_PIN = ROOT / "requirements" / "torch-cpu.txt"
LEAST_FREE_BYTES = 3_500_000_000
_PIP = [str(VENV / "bin" / "python"), "-m", "pip"]
TORCH = "torch==2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyPI's torch for Linux brings gigabytes of CUDA; only here, and in mirrors of it, is the build without."""


def main() -> int:
    """Returns the exit code; what went wrong is said in a sentence."""
    pins = _pins()
    if STAMP.is_file() and STAMP.read_text() == pins and _works():
        return 0
    problem = _problem()
    if problem is None and not _works():
        problem = _make_venv()
    if problem is None:
        problem = _install()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    STAMP.write_text(pins)
    return 0


def _pins() -> str:
    """One line that changes with whatever is installed here and with the checkout's place."""
    digest = hashlib.sha256()
    for path in (BUILD_LOCK, LOCK, TORCH_PIN):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} {VENV}\n"


def _works() -> bool:
    """Whether the environment was made here, by a Python 3.11 that still exists."""
    script = VENV / "bin" / "pip"
    if not script.is_file() or f"{VENV}/bin/python".encode() not in script.read_bytes()[:300]:
        return False
    probe = [str(VENV / "bin" / "python"), "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 11))"]
    try:
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _problem() -> str | None:
    if sys.version_info[:2] != (3, 11):
        return "Keyline needs Python 3.11: `apt-get install python3.11 python3.11-venv`, then run this again."
    if importlib.util.find_spec("ensurepip") is None:
        return "Python's venv module is incomplete: `apt-get install python3.11-venv`, then run this again."
    free = shutil.disk_usage(ROOT).free
    if free < LEAST_FREE_BYTES:
        return f"{ROOT} has {free // 1_000_000} MB left and the packages need 3,500 MB: free some space."
    return None


def _make_venv() -> str | None:
    print(f"Making {VENV} ...", flush=True)
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    return f"{VENV} could not be made; the lines above say why." if done.returncode else None


def _install() -> str | None:
    print("Installing the locked packages (some minutes the first time) ... ", end="", flush=True)
    began = time.monotonic()
    # What comes as source is built with what lies here already: pip's own builds would fetch without asking for hashes.
    # Torch comes between the two: before both, pip would complain that what torch needs is not there.
    has_build = _pip("-r", str(BUILD_LOCK))
    has_torch = has_build and _install_torch()
    if not (has_build and _pip("--no-build-isolation", "-r", str(LOCK))):
        return (
            "The packages could not be installed; the lines above say why. "
            "Look at the network, the package index (PIP_INDEX_URL) and the disk, then run this again."
        )
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    if not has_torch:
        print(
            f"Neither your package index nor {TORCH_CPU_INDEX} gave the very file of {TORCH_PIN}, so requests with points or "
            f"box are refused. To get it later: {VENV}/bin/pip install --no-deps --index-url {TORCH_CPU_INDEX} -r {TORCH_PIN}",
            file=sys.stderr,
        )
    return None


def _install_torch() -> bool:
    """
    Put in the build without CUDA, which no lock can hold (docs/adr/0026); whichever build of that version is there stays.

    The index of its own is asked last, and alone: asked beside the others, one that cannot be reached would hold up
    every single package.
    """
    found = subprocess.run(
        [*_PIP, "freeze", "--disable-pip-version-check"], check=False, capture_output=True, text=True
    )
    if f"\n{TORCH}" in f"\n{found.stdout}":
        return True
    pin = ("--no-deps", "-r", str(TORCH_PIN))
    return _pip(*pin, quiet=True) or _pip("--retries", "1", "--index-url", TORCH_CPU_INDEX, *pin, quiet=True)


def _pip(*what: str, quiet: bool = False) -> bool:
    """Install with pip what has the hashes asked for; its complaints are shown unless another way is left."""
    options = ["--require-hashes", "-qq", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run([*_PIP, "install", *options, *what], check=False, stderr=output).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
