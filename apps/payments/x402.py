"""
x402 on the wire, versions 1 and 2: the challenge, the signed authorization in its two headers, the receipt.

The authorization (EIP-3009) is the same in both versions, so version 1 is read into the same form.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from msgspec import UNSET, UnsetType

from apps.core.answers import Members, Part, Uuid, about
from apps.core.errors import Fault, invalid
from apps.payments.rails import MAX_TIMEOUT_S, X402Rail
from apps.payments.signatures import DecodeError, keccak, recover, word

HEADERS = {1: "X-PAYMENT", 2: "PAYMENT-SIGNATURE"}
RECEIPT_HEADERS = {1: "X-PAYMENT-RESPONSE", 2: "PAYMENT-RESPONSE"}
DESCRIPTION = "Remove the background of one image"
MIME_TYPE = "image/png"
MOST_HEADER_CHARS = 16 * 1024
LEAST_LEFT_S = 6
LONGEST_WINDOW_S = 3600
"""A signature that is good for longer would keep an unclear outcome open for as long."""
IDENTIFIER = "payment-identifier"
ALREADY_USED = "invalid_exact_evm_nonce_already_used"
_PREFIX = "invalid_exact_evm_payload_authorization"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
_NUMBER = re.compile(r"\d{1,78}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{16,128}")
_TYPE = b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
_DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_IDENTIFIER_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "required": {"type": "boolean"},
        "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"},
    },
    "required": ["required"],
}


@dataclass(frozen=True)
class Authorization:
    """EIP-3009's six fields, addresses and nonce in lower case, times in Unix seconds."""

    payer: str
    to: str
    value: int
    valid_after: int
    valid_before: int
    nonce: str

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.valid_before, UTC)


@dataclass(frozen=True)
class X402Payment:
    """A payment header, read: `scheme` and `network` are what the client says that it pays on; `accepted` only in version 2."""

    version: int
    scheme: str
    network: str
    accepted: dict[str, Any] | None
    authorization: Authorization
    signature: str
    identifier: str | None


# --- the challenge ------------------------------------------------------------------------------------------


def requirement(rail: X402Rail, *, amount: int) -> dict[str, Any]:
    """Version 2's entry of `accepts`."""
    network = rail.network
    return {
        "scheme": "exact",
        "network": network.caip2,
        "asset": network.asset,
        "amount": str(amount),
        "payTo": rail.pay_to,
        "maxTimeoutSeconds": MAX_TIMEOUT_S,
        "extra": {"name": network.domain_name, "version": network.domain_version},
    }


class PaymentRequired(Part, kw_only=True):
    """The price, and how to pay it by x402; where a key has too few credits, an error as any other."""

    x402_version: int | UnsetType = UNSET
    error: Annotated[
        Any, about("Why: a word or a sentence; for a key with too few credits code, message and retryable.")
    ]
    accepts: list[Members] | UnsetType = UNSET
    request_id: Uuid | UnsetType = UNSET


def challenge_v1(rail: X402Rail, *, amount: int, url: str, error: str) -> PaymentRequired:
    """The body of the 402, which is all that clients of version 1 read."""
    network = rail.network
    entry = {
        "scheme": "exact",
        "network": network.v1_name,
        "maxAmountRequired": str(amount),
        "resource": url,
        "description": DESCRIPTION,
        "mimeType": MIME_TYPE,
        "payTo": rail.pay_to,
        "maxTimeoutSeconds": MAX_TIMEOUT_S,
        "asset": network.asset,
        "extra": {"name": network.domain_name, "version": network.domain_version},
    }
    return PaymentRequired(x402_version=1, error=error, accepts=[entry])


def challenge_v2(rail: X402Rail, *, amount: int, url: str, error: str) -> str:
    """The value of PAYMENT-REQUIRED."""
    return encode(
        {
            "x402Version": 2,
            "error": error,
            "resource": {"url": url, "description": DESCRIPTION, "mimeType": MIME_TYPE},
            "accepts": [requirement(rail, amount=amount)],
            "extensions": {IDENTIFIER: {"info": {"required": False}, "schema": _IDENTIFIER_SCHEMA}},
        }
    )


def receipt(rail: X402Rail, *, version: int, payer: str, transaction: str, reason: str = "") -> str:
    """The value of the receipt header, for a success or for a refusal."""
    network = rail.network.v1_name if version == 1 else rail.network.caip2
    said: dict[str, Any] = {"success": not reason, "transaction": transaction, "network": network, "payer": payer}
    return encode(said | ({"errorReason": reason} if reason else {}))


def encode(value: dict[str, Any]) -> str:
    """JSON in standard base64 with padding, as both versions have it."""
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


# --- the payment --------------------------------------------------------------------------------------------


def read_payment(request: HttpRequest) -> X402Payment | None:
    """
    The payment in the request's header; None without one.

    Raises:
        AppError: VALIDATION_ERROR for a header that cannot be read.
    """
    given = {version: request.headers[name] for version, name in HEADERS.items() if name in request.headers}
    if not given:
        return None
    if len(given) > 1:
        raise invalid(HEADERS[1], f"Send one payment: {HEADERS[1]} or {HEADERS[2]}.", Fault.SEVERAL_SOURCES)
    ((version, text),) = given.items()
    try:
        return _read(version, _decode(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        issue = (
            f"{HEADERS[version]} is no x402 payment of version {version}: base64 of JSON with a signed authorization."
        )
        raise invalid(HEADERS[version], issue) from error


def _decode(text: str) -> dict[str, Any]:
    if len(text) > MOST_HEADER_CHARS:
        raise ValueError("too long")
    try:
        said = json.loads(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError("no base64") from error
    if not isinstance(said, dict):
        raise TypeError("no object")
    return said


def _read(version: int, said: dict[str, Any]) -> X402Payment:
    if said["x402Version"] != version:
        raise ValueError("another version")
    payload = said["payload"]
    terms = said["accepted"] if version == 2 else said
    return X402Payment(
        version=version,
        scheme=_text(terms["scheme"]),
        network=_text(terms["network"]),
        accepted=terms if version == 2 else None,
        authorization=_authorization(payload["authorization"]),
        signature=_matching(_SIGNATURE, payload["signature"]),
        identifier=_identifier(said.get("extensions")) if version == 2 else None,
    )


def _authorization(said: dict[str, Any]) -> Authorization:
    return Authorization(
        payer=_matching(_ADDRESS, said["from"]),
        to=_matching(_ADDRESS, said["to"]),
        value=_number(said["value"]),
        valid_after=_number(said["validAfter"]),
        valid_before=_number(said["validBefore"]),
        nonce=_matching(_WORD, said["nonce"]),
    )


def _identifier(extensions: Any) -> str | None:
    extension = extensions.get(IDENTIFIER) if isinstance(extensions, dict) else None
    info = extension.get("info") if isinstance(extension, dict) else None
    told = info.get("id") if isinstance(info, dict) else None
    if told is not None and not (isinstance(told, str) and _IDENTIFIER.fullmatch(told)):
        raise ValueError("no payment identifier")
    return told


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not in its form")
    return value.lower()


def _number(value: Any) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _NUMBER.fullmatch(text) or int(text) >= 2**256:
        raise ValueError("no number")
    return int(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


# --- what can be told without the chain ----------------------------------------------------------------------


def fault_of(payment: X402Payment, rail: X402Rail, *, amount: int) -> str:
    """The code of the first thing that is wrong with a fresh payment, by x402's names; "" for none."""
    authorization, network = payment.authorization, rail.network
    if payment.scheme != "exact":
        return "unsupported_scheme"
    if payment.network != (network.v1_name if payment.version == 1 else network.caip2):
        return "invalid_network"
    if payment.accepted is not None and not _is_ours(payment.accepted, requirement(rail, amount=amount)):
        return "No matching payment requirements"
    if authorization.to != rail.pay_to.lower():
        return "invalid_exact_evm_payload_recipient_mismatch"
    if authorization.value != amount:
        return f"{_PREFIX}_value_mismatch"
    return timing_fault(authorization) or signature_fault(payment, rail)


def timing_fault(authorization: Authorization) -> str:
    """By our clock; "" while it is good."""
    now = int(time.time())
    if not now + LEAST_LEFT_S <= authorization.valid_before <= now + LONGEST_WINDOW_S:
        return f"{_PREFIX}_valid_before"
    return f"{_PREFIX}_valid_after" if authorization.valid_after > now else ""


def signature_fault(payment: X402Payment, rail: X402Rail) -> str:
    """Whether the payer's own key signed it; wallets that are contracts are not taken."""
    try:
        signer = recover(typed_data_digest(payment.authorization, rail), bytes.fromhex(payment.signature[2:]))
    except DecodeError:
        signer = ""
    return "" if signer == payment.authorization.payer else "invalid_exact_evm_payload_signature"


def typed_data_digest(authorization: Authorization, rail: X402Rail) -> bytes:
    """EIP-712's digest of the transfer, in the domain of the network's dollar."""
    network = rail.network
    domain = keccak(
        keccak(_DOMAIN)
        + keccak(network.domain_name.encode())
        + keccak(network.domain_version.encode())
        + word(network.chain_id)
        + word(network.asset)
    )
    fields = (authorization.payer, authorization.to, authorization.value, authorization.valid_after,
              authorization.valid_before, authorization.nonce)  # fmt: skip
    return keccak(b"\x19\x01" + domain + keccak(keccak(_TYPE) + b"".join(word(field) for field in fields)))


def _is_ours(accepted: dict[str, Any], offered: dict[str, Any]) -> bool:
    """The client echoes the entry that it chose; addresses in any case, more members of its own are its own affair."""

    def plain(entry: dict[str, Any], name: str) -> Any:
        value = entry.get(name)
        return value.lower() if name in {"asset", "payTo"} and isinstance(value, str) else value

    return all(plain(accepted, name) == plain(offered, name) for name in offered)


def key_of(authorization: Authorization, rail: X402Rail) -> str:
    """What names the money."""
    return f"{rail.network.chain_id}|{rail.network.asset.lower()}|{authorization.payer}|{authorization.nonce}"
