"""The errors that the document tells of a method follow from its view, its path and its body."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from apps.core.answers import Envelope, Part
from apps.core.dialects.base import Dialect
from apps.core.dialects.envelope import ENVELOPE
from apps.core.dialects.removebg import REMOVEBG
from apps.core.errors import ErrorCode
from apps.core.openapi import schemas
from apps.core.openapi.endpoints import Endpoint

OPEN = {"405", "429", "500", "503"}
KEYED = {*OPEN, "400", "401"}


class Bell(Part):
    """It rings."""

    tone: str


class BellView:
    dialect: Dialect = ENVELOPE
    chapter = "bells"
    refusals: ClassVar[tuple[ErrorCode, ...]] = ()
    authentication_classes: tuple[Any, ...] = (object,)


@pytest.fixture(autouse=True)
def _components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "COMPONENTS", {})


def statuses(endpoint: Endpoint, *, path: str = "/bell", **of_view: Any) -> set[str]:
    view = BellView()
    vars(view).update(of_view)
    return set(endpoint.described(path, view)["responses"])


def test_key_path_body_and_ticket_bring_their_errors() -> None:
    look, ring = Endpoint("look", "Look", Envelope[Bell]), Endpoint("ring", "Ring", Envelope[Bell], body=Bell(tone="c"))
    once = Endpoint("once", "Once", Envelope[Bell], status=201, body=Bell(tone="c"), takes_ticket=True)

    assert statuses(look) == {"200", *KEYED}
    assert statuses(look, authentication_classes=()) == {"200", *OPEN}
    assert statuses(look, path="/bell/{bell_id}") == {"200", *KEYED, "404"}
    assert statuses(ring) == {"200", *KEYED, "413", "415"}
    assert statuses(once) == {"201", *KEYED, "413", "415", "409", "410", "422"}


def test_the_view_and_the_method_add_theirs_in_the_words_of_the_dialect() -> None:
    sold = Endpoint("sell", "Sell", Bell, refusals=(ErrorCode.INSUFFICIENT_CREDITS,))

    assert statuses(sold, refusals=(ErrorCode.GONE,)) == {"200", *KEYED, "402", "410"}
    assert statuses(sold, dialect=REMOVEBG) == {"200", *OPEN, "400", "402", "403"} - {"405"}


def test_a_success_is_told_by_its_class() -> None:
    told = Endpoint("look", "Look", Envelope[Bell]).described("/bell", BellView())

    assert told["responses"]["200"]["description"] == "It rings."
    assert told["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/BellEnvelope")
    assert told["tags"] == ["bells"]
