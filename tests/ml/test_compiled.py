"""Compiled networks on the disk: found again, never trusted when damaged, never needed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ml.sessions.compiled import MOST_KEPT, CompiledNetworks, drop_pages

NETWORK = bytes(range(256)) * 40


class Compiling:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> memoryview:
        self.count += 1
        return memoryview(NETWORK)


@pytest.fixture
def make() -> Compiling:
    return Compiling()


def the_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_one_start_compiles_the_next_one_finds(tmp_path: Path, make: Compiling) -> None:
    first = CompiledNetworks(tmp_path / "made").open("isnet f32", make)
    second = CompiledNetworks(tmp_path / "made").open("isnet f32", make)
    drop_pages(second)

    assert bytes(first) == bytes(second) == NETWORK
    assert make.count == 1


def test_another_user_may_read_what_is_kept(tmp_path: Path, make: Compiling, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(path)

    CompiledNetworks(tmp_path).open("isnet", make)
    monkeypatch.setattr("os.utime", refused)  # as a file of another user's does

    assert bytes(CompiledNetworks(tmp_path).open("isnet", make)) == NETWORK
    assert make.count == 1
    assert the_file(tmp_path).stat().st_mode & 0o777 == 0o644


def test_other_facts_are_another_network(tmp_path: Path, make: Compiling) -> None:
    networks = CompiledNetworks(tmp_path)

    networks.open("isnet f32 one processor", make)
    networks.open("isnet f32 another processor", make)

    assert make.count == 2
    assert len(list(tmp_path.iterdir())) == 2


def flipped(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


@pytest.mark.parametrize("damage", [flipped, lambda content: content[:-7], lambda content: b"", lambda content: b"x"])
def test_damaged_file_is_made_anew(tmp_path: Path, make: Compiling, damage: Callable[[bytes], bytes]) -> None:
    CompiledNetworks(tmp_path).open("isnet", make)
    path = the_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))

    again = CompiledNetworks(tmp_path).open("isnet", make)
    third = CompiledNetworks(tmp_path).open("isnet", make)

    assert bytes(again) == bytes(third) == NETWORK
    assert make.count == 2


def test_place_that_takes_no_file_is_done_without(tmp_path: Path, make: Compiling) -> None:
    (tmp_path / "file").write_text("in the way")

    network = CompiledNetworks(tmp_path / "file").open("isnet", make)

    assert bytes(network) == NETWORK


def test_full_disk_keeps_no_piece_of_a_file(tmp_path: Path, make: Compiling, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)

    network = CompiledNetworks(tmp_path).open("isnet", make)

    assert bytes(network) == NETWORK
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_without_a_folder(make: Compiling) -> None:
    for _ in range(2):
        assert bytes(CompiledNetworks(None).open("isnet", make)) == NETWORK

    assert make.count == 2


def test_the_longest_unused_are_forgotten(tmp_path: Path, make: Compiling) -> None:
    networks = CompiledNetworks(tmp_path)
    networks.open("kept in use", make)
    kept = the_file(tmp_path)
    for number in range(MOST_KEPT + 3):
        networks.open(f"network {number}", make)
        for age, path in enumerate(sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))
        networks.open("kept in use", make)

    assert len(list(tmp_path.iterdir())) == MOST_KEPT
    assert kept.exists()


def test_many_at_once_all_get_the_whole_network(tmp_path: Path, make: Compiling) -> None:
    with ThreadPoolExecutor(8) as pool:
        all_of_them = list(pool.map(lambda _: bytes(CompiledNetworks(tmp_path).open("isnet", make)), range(16)))

    assert set(all_of_them) == {NETWORK}
    assert [path.suffix for path in tmp_path.iterdir()] == [".network"]
