"""
keyline-pay photo.png -o out.png --max 0.05 --rail x402|mpp

Pays one image by x402 (USDC on Base) or MPP (pathUSD on Tempo) and writes the picture. The payer's private key comes from
KEYLINE_PAYER_KEY (0x and 64 hex digits), the service's address from --url or KEYLINE_URL. With --dry-run it tells the price
and signs nothing.

One payment is signed, and that one is sent again while the service says 409 or 503: it is never charged twice.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import time
import uuid
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import httpx

TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
MICROS = 1_000_000
PATIENCE_S = 180.0
DOLLARS = {  # what counts as a dollar, and has six decimals; 50000 of another token may be worth a house
    "eip155:8453": "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913",
    "eip155:84532": "0x036cbd53842c5426634e7929541ec2318f3dcf7e",
    "tempo": "0x20c0000000000000000000000000000000000000",
}


class PayError(Exception):
    """What went wrong, in a sentence."""


def main() -> int:
    """The command. Returns its exit code: 0 paid (or told the price), 1 not, 2 wrong arguments."""
    options = arguments()
    try:
        return asyncio.run(run(options))
    except PayError as error:
        print(f"keyline-pay: {error}", file=sys.stderr)
    except httpx.HTTPError as error:
        print(f"keyline-pay: {options.url} does not answer ({type(error).__name__}).", file=sys.stderr)
    return 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="keyline-pay", description="Pay for one cut-out, without an account.")
    parser.add_argument("photo", type=Path, help="PNG, JPEG or WebP, at most 25 MB")
    parser.add_argument("-o", "--out", type=Path, default=Path("out.png"), help="where to write (default out.png)")
    parser.add_argument("--max", type=dollars, default=Decimal("0.05"), help="most dollars to pay (default 0.05)")
    parser.add_argument("--rail", choices=("x402", "mpp"), default="x402")
    parser.add_argument("--format", choices=("png", "webp"), default="png")
    parser.add_argument("--url", default=os.environ.get("KEYLINE_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--rpc-url", default=os.environ.get("KEYLINE_PAY_RPC_URL"), help="mpp: another Tempo node")
    parser.add_argument("--dry-run", action="store_true", help="tell the price, sign and pay nothing")
    return parser.parse_args()


def dollars(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError("use dollars, such as 0.05") from error
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError("use a positive amount")
    return value


async def run(options: argparse.Namespace) -> int:
    try:
        photo = options.photo.read_bytes()
    except OSError as error:
        raise PayError(f"{options.photo} cannot be read: {error.strerror}.") from error
    media = next((media for magic, media in TYPES.items() if photo.startswith(magic)), None)
    if media is None:
        raise PayError(f"{options.photo} is no PNG, JPEG or WebP.")
    url = f"{options.url.rstrip('/')}/v1/remove-background?format={options.format}"
    headers = {"Content-Type": media, "Idempotency-Key": str(uuid.uuid4())}
    async with httpx.AsyncClient(timeout=90) as http:
        asked = await http.post(url, content=photo, headers=headers)
        if asked.status_code != 402:
            raise PayError(f"asked for the price, the service says {asked.status_code}: {asked.text[:300]}")
        micros, words = price(asked, options.rail)
        print(f"{Decimal(micros) / MICROS} dollars, {words}", file=sys.stderr)
        if Decimal(micros) / MICROS > options.max:
            raise PayError(f"that is more than --max {options.max}; nothing was signed.")
        if options.dry_run:
            return 0
        paying = await sign(asked, options)
        answer = await send(http, url, photo, {**headers, **paying})
    options.out.write_bytes(answer.content)
    print(f"{options.out}: {len(answer.content)} bytes; transaction {transaction(answer)}", file=sys.stderr)
    return 0


def price(asked: httpx.Response, rail: str) -> tuple[int, str]:
    """Millionths of a dollar, and to whom, by what the challenge of that rail says."""
    if rail == "x402":
        if "PAYMENT-REQUIRED" not in asked.headers:
            raise PayError("the service does not offer x402.")
        (offer, *_) = decoded(asked.headers["PAYMENT-REQUIRED"])["accepts"]
        refuse_other_tokens(offer["asset"], DOLLARS.get(offer["network"], ""), offer["network"])
        return int(offer["amount"]), f"x402 on {offer['network']} to {offer['payTo']}"
    if not asked.headers.get("WWW-Authenticate", "").startswith("Payment "):
        raise PayError("the service does not offer MPP.")
    from mpp import Challenge

    request = Challenge.from_www_authenticate(asked.headers["WWW-Authenticate"]).request
    refuse_other_tokens(request["currency"], DOLLARS["tempo"], "Tempo")
    return int(request["amount"]), f"MPP on Tempo chain {request['methodDetails']['chainId']} to {request['recipient']}"


def refuse_other_tokens(token: str, dollar: str, network: str) -> None:
    if token.lower() != dollar:
        raise PayError(f"the service asks for {token} on {network}, which is no dollar that is known here.")


async def sign(asked: httpx.Response, options: argparse.Namespace) -> dict[str, str]:
    """The payment as a request header, by the rail's own library."""
    key = os.environ.get("KEYLINE_PAYER_KEY", "")
    if not key:
        raise PayError("set KEYLINE_PAYER_KEY to the private key that pays, or use --dry-run.")
    if options.rail == "x402":
        from eth_account import Account
        from x402 import x402Client
        from x402.http import x402HTTPClient
        from x402.mechanisms.evm.exact import register_exact_evm_client

        client = x402Client()
        register_exact_evm_client(client, Account.from_key(key))
        paying, _ = await x402HTTPClient(client).handle_402_response(
            dict(asked.headers), asked.content, str(asked.request.url)
        )
        return paying
    from mpp import Challenge
    from mpp.methods.tempo import TempoAccount
    from mpp.methods.tempo import client as tempo
    from mpp.runtime import CredentialParams

    if os.environ.get("MPP_RIG_RPC_URL"):  # the local rig's chain drops what is good for more than 30 s ahead
        tempo.EXPIRING_NONCE_VALID_BEFORE_SECS = 25
    challenge = Challenge.from_www_authenticate(asked.headers["WWW-Authenticate"])
    method = tempo.charge(
        account=TempoAccount.from_key(key),
        chain_id=challenge.request["methodDetails"]["chainId"],
        **({"rpc_url": options.rpc_url} if options.rpc_url else {}),
    )
    return {"Authorization": await method.create_credential(CredentialParams(challenge=challenge))}


async def send(http: httpx.AsyncClient, url: str, photo: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send the one payment until it is answered for good."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = await http.post(url, content=photo, headers=headers)
        except httpx.HTTPError:
            answer = None
        if answer is not None and answer.status_code == 200:
            return answer
        if answer is not None and answer.status_code not in {409, 429, 500, 502, 503}:
            raise PayError(f"the service says {answer.status_code}: {answer.text[:300]}")
        if time.monotonic() > deadline:
            raise PayError("no answer in time. If money has moved, the service keeps your result for this payment.")
        await asyncio.sleep(float(answer.headers.get("Retry-After", 2)) if answer is not None else 2)


def transaction(answer: httpx.Response) -> str:
    """What the receipt names."""
    receipt = answer.headers.get("PAYMENT-RESPONSE") or answer.headers.get("Payment-Receipt")
    said = decoded(receipt) if receipt else {}
    return str(said.get("transaction") or said.get("reference") or "none: it was free")


def decoded(text: str) -> dict[str, Any]:
    return json.loads(
        base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_" if "-" in text or "_" in text else None)
    )


if __name__ == "__main__":
    sys.exit(main())
