"""granian's side of a request."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import pytest


class Scope:
    """granian's request line and headers."""

    method, path, query_string, scheme = "POST", "/known", "", "http"
    http_version, server, client, authority = "1.1", "127.0.0.1:80", "[::1]:5000", None

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Client:
    """Sends `chunks`; None is a silence without end."""

    def __init__(self, *chunks: bytes | None) -> None:
        self._chunks = chunks
        self.taken = 0
        self.status = 0
        self.body = b""
        self.is_gone = False
        self.departed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._send()

    async def _send(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if chunk is None:
                await asyncio.Event().wait()
                return
            self.taken += len(chunk)
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.body = status, body

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Client:
        self.status = status
        return self

    async def client_disconnect(self) -> None:
        await self.departed.wait()

    async def send_bytes(self, data: bytes) -> None:
        if self.is_gone:
            raise RuntimeError("RSGIProtocolClosed")
        self.body += data


def counted_spools(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all that is written to the files of bodies from now on."""
    written: list[int] = []

    class Counting(io.BytesIO):
        def __init__(self, max_size: int) -> None:
            super().__init__()

        def write(self, data: Any) -> int:
            written.append(len(data))
            return super().write(data)

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Counting)
    return written
