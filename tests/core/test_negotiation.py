"""`Prefer`: how long a client waits."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from apps.core.api.negotiation import answer_form


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [("wait=5", 5), ("wait=20", 20), ("wait=21", 20), ("wait=99999999999", 20), ("respond-async", 0), ("", 20)],
)
def test_wait_ends_at_the_synchronous_limit(prefer: str, wait_s: float, settings: Any) -> None:
    settings.SYNC_LIMIT_S = 20

    form = answer_form(RequestFactory().post("/", headers={"Prefer": prefer}), binary_default=True)

    assert form.wait_s == wait_s
