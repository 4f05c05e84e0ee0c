"""The real clients pay over HTTP on the rig's chains, and get their picture."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from apps.payments.models import Payment
from tests.api import Api
from tests.drawing import photo_png
from tests.payments.paying import Rig, run_client
from tests.payments.rig.chains import ADDRESSES, MERCHANT, PAYER

PRICE = 50_000
CLIENTS = {
    "x402-fetch": ("x402_v1.mjs", "x402"),
    "@x402/fetch": ("x402_v2.mjs", "x402"),
    "x402 httpx": ("x402_httpx.py", "x402"),
    "mppx pull": ("mppx.mjs", "mpp", "pull"),
    "mppx push": ("mppx.mjs", "mpp", "push"),
    "pympp": ("mpp_python.py", "mpp"),
}


def decoded(receipt: str) -> dict[str, Any]:
    return json.loads(base64.b64decode(receipt + "=" * (-len(receipt) % 4), altchars=b"-_"))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_real_client_pays_the_price_and_gets_its_picture(
    client: str, paid: Api, rig: Rig, live_server: Any, tmp_path: Path
) -> None:
    script, rail, *mode = CLIENTS[client]
    chain = rig.x402 if rail == "x402" else rig.mpp
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    photo.write_bytes(photo_png())
    merchant, payer = chain.balance(ADDRESSES[MERCHANT]), chain.balance(ADDRESSES[PAYER])

    said = run_client(script, rig, f"{live_server.url}/v1/remove-background", str(photo), "image/png", str(out), *mode)

    assert said["status"] == 200, said
    row = Payment.objects.get()
    assert Image.open(io.BytesIO(out.read_bytes())).mode == "RGBA"
    assert chain.balance(ADDRESSES[MERCHANT]) - merchant == PRICE
    spent = payer - chain.balance(ADDRESSES[PAYER])
    assert (
        spent == PRICE if rail == "x402" else PRICE <= spent < PRICE + 20_000
    )  # on Tempo the payer pays the fee in dollars
    assert (row.state, row.rail, row.amount, row.money_moved) == ("settled", rail, PRICE, True)
    print(f"\n{client}: 200, {len(out.read_bytes())} bytes; merchant +{PRICE}, payer -{spent} millionths of a dollar")
    receipt = decoded(said["receipt"])
    assert (receipt.get("transaction") or receipt["reference"]) == row.transaction
    assert chain.rpc("eth_getTransactionReceipt", row.transaction)["status"] == "0x1"
