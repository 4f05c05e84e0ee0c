"""A payer by hand: signs x402 authorizations and Tempo transactions as it likes, right or wrong."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any

from django.http import HttpResponse
from django.test import Client

from apps.payments import x402
from apps.payments.rails import NETWORKS, X402Rail
from apps.payments.signatures import address_of, keccak, rlp_encode, sign, word
from apps.payments.tempo import TRANSFER
from tests.drawing import photo_png
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, MPP_CHAIN, PATH_USD, PAYER

PATH = "/v1/remove-background"
PRICE = 50_000


def post(body: bytes | None = None, *, query: str = "", media: str = "image/png", **headers: str) -> HttpResponse:
    """A request without a key; underscores in header names for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = photo_png() if body is None else body
    return Client(raise_request_exception=False).post(PATH + query, data=body, content_type=media, headers=named)


# --- x402 -----------------------------------------------------------------------------------------------------


def authorization(**changes: Any) -> dict[str, Any]:
    """The six fields of a good authorization, with these changed."""
    now = int(time.time())
    fields = {
        "from": ADDRESSES[PAYER],
        "to": ADDRESSES[MERCHANT],
        "value": str(PRICE),
        "validAfter": str(now - 600),
        "validBefore": str(now + 120),
        "nonce": "0x" + secrets.token_hex(32),
    }
    return fields | changes


def x402_signature(fields: dict[str, Any], *, key: str = KEYS[PAYER], network: str = "base-sepolia") -> str:
    """EIP-712's signature of an authorization."""
    signed = x402.Authorization(
        payer=fields["from"].lower(),
        to=fields["to"].lower(),
        value=int(fields["value"]),
        valid_after=int(fields["validAfter"]),
        valid_before=int(fields["validBefore"]),
        nonce=fields["nonce"].lower(),
    )
    parity, r, s = sign(x402.typed_data_digest(signed, X402Rail(NETWORKS[network], ADDRESSES[MERCHANT])), key)
    return "0x" + (word(r) + word(s) + bytes([27 + parity])).hex()


def x402_header(
    version: int = 2,
    *,
    key: str = KEYS[PAYER],
    terms: dict[str, Any] | None = None,
    identifier: str = "",
    **changes: Any,
) -> dict[str, str]:
    """
    A payment as a request header, by its name with underscores.

    Args:
        terms: what to change in scheme, network and the echoed requirement.
        changes: of the authorization, before it is signed.
    """
    fields = authorization(**changes)
    payload = {"signature": x402_signature(fields, key=key), "authorization": fields}
    if version == 1:
        said: dict[str, Any] = {"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "payload": payload}
        said |= terms or {}
    else:
        rail = X402Rail(NETWORKS["base-sepolia"], ADDRESSES[MERCHANT])
        said = {"x402Version": 2, "accepted": x402.requirement(rail, amount=PRICE) | (terms or {}), "payload": payload}
        if identifier:
            said["extensions"] = {"payment-identifier": {"info": {"required": False, "id": identifier}, "schema": {}}}
    return {x402.HEADERS[version].replace("-", "_"): b64(said)}


def b64(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def unb64(text: str) -> Any:
    return json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_"))


# --- MPP ------------------------------------------------------------------------------------------------------


def challenge_of(response: HttpResponse) -> dict[str, str]:
    """The members of a WWW-Authenticate: Payment."""
    text = response.headers["WWW-Authenticate"].partition(" ")[2]
    pairs = [part.partition("=") for part in text.split(", ")]
    return {name: value.strip('"') for name, _, value in pairs}


def memo_of(challenge: dict[str, str]) -> bytes:
    head = keccak(b"mpp")[:4] + b"\x01" + keccak(challenge["realm"].encode())[:10]
    return head + b"\0" * 10 + keccak(challenge["id"].encode())[:7]


def tempo_transaction(
    challenge: dict[str, str], *, key: str = KEYS[PAYER], valid_for_s: int = 25, **changes: Any
) -> str:
    """A signed 0x76 transaction that pays the challenge, with these facts changed: to, amount, token, memo, chain."""
    terms = unb64(challenge["request"])
    data = (
        TRANSFER
        + word(changes.get("to", terms["recipient"]))
        + word(changes.get("amount", int(terms["amount"])))
        + changes.get("memo", memo_of(challenge))
    )
    call = [bytes.fromhex(changes.get("token", PATH_USD)[2:]), 0, data]
    expiring = 2**256 - 1  # the key of nonces that expire with the transaction instead of counting
    fields: list[Any] = [
        changes.get("chain", MPP_CHAIN), 1, 20_000_000_000 + secrets.randbelow(10_000), 2_000_000, [call], [], expiring, 0,
        int(time.time()) + valid_for_s, b"", bytes.fromhex(PATH_USD[2:]), b"", [],
    ]  # fmt: skip
    parity, r, s = sign(keccak(b"\x76" + rlp_encode(fields)), key)
    return "0x" + (b"\x76" + rlp_encode([*fields, word(r) + word(s) + bytes([27 + parity])])).hex()


def mpp_header(
    challenge: dict[str, str], payload: dict[str, str] | None = None, *, key: str = KEYS[PAYER]
) -> dict[str, str]:
    """A credential as the Authorization header; a signed transaction unless told otherwise."""
    payload = payload or {"type": "transaction", "signature": tempo_transaction(challenge, key=key)}
    said = {"challenge": challenge, "source": f"did:pkh:eip155:{MPP_CHAIN}:{address_of(key)}", "payload": payload}
    return {"Authorization": "Payment " + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")}
