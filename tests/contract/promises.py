"""What every operation promises alike; each operation's own tests ask for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.core import jobs
from apps.core.models import Job, State
from apps.core.work import worker
from apps.core.work.engine import Engine
from ml.models import Models
from ml.sessions.slots import InferenceSlots
from tests.api import Api, error_of, make_api, upload
from tests.contract.books import asleep, credits

Call = Callable[..., HttpResponse]
"""(api, headers=...) -> the answer to a request that is right."""

_SECRET = "s" * 40
_GATEWAY = {"X-RapidAPI-Proxy-Secret": _SECRET, "X-RapidAPI-User": "ann", "X-RapidAPI-Subscription": "PRO"}


def later(api: Api, call: Call, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Ask for a job instead of a result, and run it; gives the job as it is shown then."""
    with monkeypatch.context() as patch:
        asleep(patch)
        accepted = call(api, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    jobs.tasks.run_next()
    shown: dict[str, Any] = api.get(accepted.headers["Location"]).json()["data"]
    return shown


def rapidapi_bill(path: str, photo: bytes, settings: Any, **fields: str) -> str:
    """What a request through RapidAPI's gateway says it is to bill."""
    settings.RAPIDAPI_SECRETS = [_SECRET]
    response = Client().post(path, {"image": upload(photo), **fields}, headers=_GATEWAY)
    return response.headers["X-RapidAPI-Billing"]


def assert_scope_is(slug: str, call: Call) -> None:
    """A key with this scope may ask, one with another may not."""
    assert call(make_api("one", scopes=[slug])).status_code == 200
    assert error_of(call(make_api("two", scopes=["remove-bg"])))[:2] == (403, "FORBIDDEN")


def assert_refuses_without_weights(
    api: Api, call: Call, slug: str, runner: Any, *, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A worker without weights starts, refuses and charges nothing.

    Args:
        runner: the operation's, on `engine_without_weights`.
        missing: the file that the operator is told of.
    """
    monkeypatch.setitem(worker.this_worker()._runners, slug, runner)

    response = call(api)

    assert (response.status_code, response.json()["error"]["code"]) == (503, "OVERLOADED")
    assert "operator" in response.json()["error"]["message"]
    assert f"{missing} is missing" in runner.loaded[0].warnings[0]
    assert runner.loaded[0].model == ""
    assert Job.objects.get().state == State.FAILED
    assert credits(api) == {"balance": 1000, "held": 0}


def engine_without_weights(folder: Path) -> Engine:
    """Args: folder: an empty one."""
    return Engine(Models(folder, slots=InferenceSlots(1), made_here_dir=folder))
