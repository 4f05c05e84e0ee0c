"""Settling by somebody else's facilitator: the x402 library's own, as a process, on the rig's chain."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from apps.payments import reconciler
from apps.payments.models import Payment
from apps.stack.ports import accepts, free_ports
from tests.conftest import Api
from tests.payments.conftest import HERE, Rig, forget_settings
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, PYTHON, SETTLER
from tests.payments.wallet import PRICE, post, unb64, x402_header


@pytest.fixture(scope="module")
def facilitator_url(rig: Rig) -> Iterator[str]:
    port = free_ports(1)[0]
    env = {**os.environ, "SETTLER_KEY": KEYS[SETTLER]}
    command = [str(PYTHON), "-W", "ignore", str(HERE / "clients" / "facilitator.py"), str(port), rig.x402.url]
    process = subprocess.Popen(command, env=env)
    while not accepts(port):
        assert process.poll() is None
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def remote(paid: Api, facilitator_url: str, settings: Any) -> Api:
    settings.X402_FACILITATOR_URL = facilitator_url
    forget_settings()
    return paid


@pytest.mark.parametrize("version", [1, 2])
def test_remote_facilitator_settles_once_for_both_versions(version: int, remote: Api, rig: Rig) -> None:
    before, header = rig.x402.balance(ADDRESSES[MERCHANT]), x402_header(version)

    first, again = post(**header), post(**header)

    assert first.status_code == 200, first.content
    assert again.content == first.content
    receipt = unb64(first.headers["X-PAYMENT-RESPONSE" if version == 1 else "PAYMENT-RESPONSE"])
    assert receipt["network"] == ("base-sepolia" if version == 1 else "eip155:84532")
    assert rig.x402.balance(ADDRESSES[MERCHANT]) - before == PRICE


def test_remote_facilitator_that_cannot_confirm_is_no_402_and_resolved_from_the_chain(remote: Api, rig: Rig) -> None:
    before, header = rig.x402.balance(ADDRESSES[MERCHANT]), x402_header()
    rig.x402.pause_mining()
    try:
        pending = post(**header)
    finally:
        rig.x402.resume_mining()

    assert (pending.status_code, Payment.objects.get().state) == (503, "unknown")
    assert reconciler.reconcile() == 1
    assert Payment.objects.get().state == "settled"
    assert post(**header).status_code == 200
    assert rig.x402.balance(ADDRESSES[MERCHANT]) - before == PRICE


def test_facilitator_away_is_a_503_and_costs_nothing(remote: Api, rig: Rig, settings: Any) -> None:
    settings.X402_FACILITATOR_URL = "http://127.0.0.1:9"
    forget_settings()

    response = post(**x402_header())

    assert (response.status_code, Payment.objects.get().state) == (503, "released")
