"""Settling by somebody else's facilitator: the x402 library's own, as a process, on the rig's chain."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from apps.payments import reconciler
from apps.payments.models import Payment
from apps.stack.ports import accepts, free_ports
from tests.api import Api
from tests.payments.paying import HERE, Rig, forget_settings
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, PYTHON, SETTLER
from tests.payments.wallet import PRICE, post, unb64, x402_header
from tests.stack.service import wait_until


def start_facilitator(rig: Rig) -> tuple[str, subprocess.Popen[bytes]]:
    """The x402 library's own, on the rig's chain: where it listens, and its process."""
    port = free_ports(1)[0]
    env = {**os.environ, "SETTLER_KEY": KEYS[SETTLER]}
    command = [str(PYTHON), "-W", "ignore", str(HERE / "clients" / "facilitator.py"), str(port), rig.x402.url]
    process = subprocess.Popen(command, env=env)
    while not accepts(port):
        assert process.poll() is None
        time.sleep(0.2)
    return f"http://127.0.0.1:{port}", process


@pytest.fixture(scope="module")
def facilitator_url(rig: Rig) -> Iterator[str]:
    url, process = start_facilitator(rig)
    yield url
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


def test_facilitator_killed_while_it_settles_is_a_doubt_and_the_payment_is_found(
    paid: Api, rig: Rig, settings: Any
) -> None:
    url, process = start_facilitator(rig)
    settings.X402_FACILITATOR_URL = url
    forget_settings()
    before, header = rig.x402.balance(ADDRESSES[MERCHANT]), x402_header()
    sent = lambda: int(rig.x402.rpc("eth_getTransactionCount", ADDRESSES[SETTLER], "pending"), 16)  # noqa: E731
    was_sent = sent()

    with ThreadPoolExecutor(1) as pool:
        rig.x402.pause_mining()
        try:
            waiting = pool.submit(_post_and_close, header)
            assert wait_until(lambda: sent() > was_sent)
            process.kill()
            process.wait()
            status = waiting.result()
        finally:
            rig.x402.resume_mining()

    assert (status, Payment.objects.get().state) == (503, "unknown")
    assert reconciler.reconcile() == 1
    assert post(**header).status_code == 200
    assert rig.x402.balance(ADDRESSES[MERCHANT]) - before == PRICE


def _post_and_close(header: dict[str, str]) -> int:
    try:
        return post(**header).status_code
    finally:
        connections.close_all()
