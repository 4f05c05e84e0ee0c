"""A large streamed answer is made no faster than it is read, and ends with its reader."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.core.api import pouring
from apps.core.api.pouring import SlowReaderError, pour

PIECE = b"x" * 64 * 1024


class Reader:
    """granian, with a client that reads `first` bytes, waits until it may go on, and then reads the rest or goes."""

    def __init__(self, first: int, *, goes: bool = False) -> None:
        self._first, self._goes = first, goes
        self.has_paused, self.may_go_on = threading.Event(), threading.Event()
        self.read = b""
        self.path = ""

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self.path = file
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with Path(self.path).open("rb") as pipe:
            self.read = pipe.read(self._first)
            self.has_paused.set()
            self.may_go_on.wait()
            if not self._goes:
                self.read += pipe.read()


class Made:
    """Pieces, and how many of them have been asked for."""

    def __init__(self, count: int) -> None:
        self._count, self.count = count, 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._count):
            self.count += 1
            yield PIECE


def test_no_more_is_made_than_the_client_takes() -> None:
    reader, made = Reader(200_000), Made(100)
    thread = threading.Thread(target=pour, args=(reader, 200, [], made))
    thread.start()
    reader.has_paused.wait()

    thread.join(timeout=0.2)  # time for what should not come
    assert thread.is_alive()
    assert made.count <= 7
    reader.may_go_on.set()
    thread.join()

    assert made.count == 100
    assert not Path(reader.path).exists()
    while len(reader.read) < 100 * len(PIECE):
        os.sched_yield()
    assert reader.read == 100 * PIECE


def test_who_goes_ends_it() -> None:
    reader, made = Reader(10, goes=True), Made(100)
    reader.may_go_on.set()

    with pytest.raises(BrokenPipeError):
        pour(reader, 200, [], made)

    assert made.count < 10


def test_who_takes_nothing_for_long_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pouring, "_LONGEST_PAUSE_S", 0.05)
    reader = Reader(10)

    with pytest.raises(SlowReaderError):
        pour(reader, 200, [], Made(100))
    reader.may_go_on.set()


def test_who_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pouring, "_OPENED_WITHIN_S", 0.05)

    class Gone:
        def response_file(self, *_: object) -> None:
            """Nobody opens it."""

    with pytest.raises(SlowReaderError):
        pour(Gone(), 200, [], Made(1))
