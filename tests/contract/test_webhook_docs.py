"""docs/webhooks.md: its Python receiver takes what is really sent, and it names every event."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from apps.core.openapi.document import openapi_document
from apps.stack.paths import ROOT
from tests.api import Api
from tests.contract.webhooks import register
from tests.receivers import Receiver, receiving

PAGE = (ROOT / "docs" / "webhooks.md").read_text()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


def snippet(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_python_receiver_takes_an_event_once_and_refuses_a_forged_one(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook = register(api, f"{receiver.url}/hooks")
    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]
    (sent,) = receiver.sent
    request = SimpleNamespace(headers=sent.headers, get_data=lambda: sent.body)
    monkeypatch.setitem(sys.modules, "flask", flask_with(request))
    monkeypatch.setenv("KEYLINE_WEBHOOK_SECRET", webhook["secret"])
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(snippet("python"), "receiver.py", "exec"), names)

    answers = [names["hear"](), names["hear"]()]
    request.get_data = lambda: sent.body.replace(b"succeeded", b"succeedeD")
    answers.append(names["hear"]())

    assert [status for _, status in answers] == [204, 204, 400]
    assert capsys.readouterr().out.count(job_id) == 1


def flask_with(request: Any) -> ModuleType:
    """In place of the framework, which is no package of ours."""
    module = ModuleType("flask")
    module.Flask = lambda _: SimpleNamespace(post=lambda _: lambda function: function)
    module.request = request
    return module


def test_page_names_every_event_that_is_described() -> None:
    assert all(f"`{kind}`" in PAGE for kind in openapi_document()["webhooks"])
