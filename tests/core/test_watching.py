"""The hub of event streams in one event loop; a broker that never answers, no database."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from apps.core.api.watching import Hub


def test_client_that_goes_before_the_broker_answers_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never_answers(self: Hub) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Hub, "_hear", never_answers)
    monkeypatch.setattr(Hub, "_look", never_answers)

    async def come_and_go() -> Hub:
        hub = Hub()
        coming = asyncio.create_task(hub.watch("job:1"))
        await asyncio.sleep(0)
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await coming
        return hub

    hub = asyncio.run(come_and_go())

    assert (dict(hub._inboxes), hub._tasks) == ({}, [])
