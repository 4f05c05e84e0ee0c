"""The command line pays, tells the price, and never pays more than it may."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apps.payments.models import Payment
from apps.stack.paths import ROOT
from tests.api import Api
from tests.drawing import photo_png
from tests.payments.paying import Rig
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, PAYER, PYTHON
from tests.payments.wallet import PRICE, b64


def keyline_pay(rig: Rig, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "KEYLINE_PAYER_KEY": KEYS[PAYER],
        "MPP_RIG_RPC_URL": rig.mpp.url,
        "KEYLINE_PAY_RPC_URL": rig.mpp.url,
    }
    command = [
        str(PYTHON),
        "-W",
        "ignore",
        str(ROOT / "clients" / "pay" / "keyline_pay.py"),
        "--url",
        url,
        *arguments,
    ]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_it_pays_the_price_and_writes_the_picture(
    rail: str, paid: Api, rig: Rig, live_server: Any, tmp_path: Path
) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    photo.write_bytes(photo_png())
    chain = rig.x402 if rail == "x402" else rig.mpp
    before = chain.balance(ADDRESSES[MERCHANT])

    dear = keyline_pay(rig, live_server.url, str(photo), "-o", str(out), "--rail", rail, "--max", "0.04")
    dry = keyline_pay(rig, live_server.url, str(photo), "-o", str(out), "--rail", rail, "--dry-run")
    assert (dear.returncode, dry.returncode, Payment.objects.count()) == (1, 0, 0), dear.stderr + dry.stderr
    assert "0.05 dollars" in dry.stderr

    done = keyline_pay(rig, live_server.url, str(photo), "-o", str(out), "--rail", rail)

    assert done.returncode == 0, done.stderr
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert chain.balance(ADDRESSES[MERCHANT]) - before == PRICE


def test_it_pays_in_no_token_but_the_dollar(rig: Rig) -> None:
    offer = {"network": "eip155:8453", "asset": "0x" + "12" * 20, "amount": "50000", "payTo": ADDRESSES[MERCHANT]}
    headers = {"PAYMENT-REQUIRED": b64({"accepts": [offer]})}
    code = f"import httpx, keyline_pay; keyline_pay.price(httpx.Response(402, headers={headers!r}), 'x402')"

    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", code],
        cwd=ROOT / "clients" / "pay",
        capture_output=True,
        text=True,
        check=False,
    )

    assert "no dollar that is known here" in done.stderr, done.stderr
