"""A service in this process that is paid, its chains stood in for; for tests of other folders too."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from apps.payments import mpp_desk
from tests.api import Api
from tests.payments.fakes import FakeTempo
from tests.payments.paying import forget_settings
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, SETTLER


def point_at(settings: Any, *, x402_url: str, mpp_url: str) -> None:
    """Both rails on, paid on chains at these addresses, settled with a key of our own."""
    settings.PAYMENT_RAILS = ["x402", "mpp"]
    settings.X402_FACILITATOR_URL, settings.X402_FACILITATOR_KEY = "", KEYS[SETTLER]
    settings.X402_PAY_TO = settings.MPP_RECIPIENT = ADDRESSES[MERCHANT]
    settings.X402_RPC_URL, settings.MPP_RPC_URL = x402_url, mpp_url
    settings.UNPAID_PER_MINUTE = 10_000
    forget_settings()


@pytest.fixture
def desk(api: Api, settings: Any) -> Iterator[Api]:
    """A service that offers both rails; its chains do not answer."""
    from apps.core import broker

    facts = {"slots": 1, "models": [], "at": time.time() + 3600}  # its heart beats for the whole test
    broker.broker().hset("keyline:workers", "in-process", json.dumps(facts))
    point_at(settings, x402_url="http://127.0.0.1:9", mpp_url="http://127.0.0.1:9")
    yield api
    broker.forget("in-process")
    forget_settings()


@pytest.fixture
def tempo_chain(desk: Api, monkeypatch: pytest.MonkeyPatch) -> FakeTempo:
    """The same service, with a Tempo chain in this process."""
    fake = FakeTempo()
    monkeypatch.setattr(mpp_desk, "node", lambda: fake)
    return fake
