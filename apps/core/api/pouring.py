"""
Large answers, made no faster than their client takes them.

What is sent to a stream of granian's it keeps in memory until the client has read it, without an end: an archive of a gigabyte
for a slow client was a gigabyte. A file it reads as its client reads. So such an answer goes through a named pipe that granian
takes for a file: nothing of it lies on disk, and no more than the pipe's 64 KB are under way.
"""

from __future__ import annotations

import errno
import os
import select
import tempfile
import time
from collections.abc import Iterable
from typing import Protocol

_OPENED_WITHIN_S = 10.0
_LOOK_AGAIN_S = 0.005
_LONGEST_PAUSE_S = 60.0
Headers = list[tuple[str, str]]


class FileAnswering(Protocol):
    """granian's side: it answers with the content of a file."""

    def response_file(self, status: int, headers: Headers, file: str) -> None: ...


class SlowReaderError(ConnectionError):
    """The client has taken nothing for a minute, or was gone before the first byte."""


def pour(protocol: FileAnswering, status: int, headers: Headers, parts: Iterable[bytes]) -> None:
    """
    Send an answer whose headers tell its length; in a thread of its own, which waits for the client.

    Raises:
        ConnectionError: the client has gone, or takes nothing any more.
    """
    with tempfile.TemporaryDirectory(prefix="keyline-answer-") as folder:
        path = f"{folder}/pipe"
        os.mkfifo(path, 0o600)
        protocol.response_file(status, headers, path)
        pipe = _opened(path)  # from here on the pipe needs no name
    try:
        for part in parts:
            _write(pipe, part)
    finally:
        os.close(pipe)


def _opened(path: str) -> int:
    """The writing end, as soon as granian has the other."""
    deadline = time.monotonic() + _OPENED_WITHIN_S
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
        if time.monotonic() > deadline:
            raise SlowReaderError
        time.sleep(_LOOK_AGAIN_S)


def _write(pipe: int, part: bytes) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    left = memoryview(part)
    while left:
        if not poll.poll(_LONGEST_PAUSE_S * 1000):
            raise SlowReaderError
        try:
            left = left[os.write(pipe, left) :]
        except BlockingIOError:
            continue
