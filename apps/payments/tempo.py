"""
Payments on Tempo: a signed 0x76 transaction or the hash of one, and what the chain says of it.

The one transfer that counts is `transferWithMemo` of the exact amount in the right token to us, with the memo that binds it
to one challenge of ours; the receipt's event has the same three facts, and is what decides.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from apps.payments.mpp import Challenge, Credential, CredentialError
from apps.payments.rpc import Node, RefusedError, sense
from apps.payments.signatures import DecodeError, Rlp, keccak, recover, rlp_decode, rlp_encode, word

TRANSFER = keccak(b"transferWithMemo(address,uint256,bytes32)")[:4]
EVENT = "0x" + keccak(b"TransferWithMemo(address,address,uint256,bytes32)").hex()
_TAG = keccak(b"mpp")[:4] + b"\x01"
_HASH = re.compile(r"0x[0-9a-f]{64}")
LEAST_LEFT_S = 2
LONGEST_WINDOW_S = 3600
_RECEIPT_TIMEOUT_S = 12.0
_PUSHED_TIMEOUT_S = 6.0
_CLOCK_MARGIN_S = 60
_PUSHED_WAIT_S = 600
"""How long after its challenge a transaction that a client says to have sent is looked for."""


@dataclass(frozen=True)
class SignedTransfer:
    """
    A transaction that would pay, by all that can be told without the chain.

    Args:
        raw: as it is to be broadcast, `0x` hex.
        transaction: its hash, lower case.
        payer: who signed it; for key kinds other than secp256k1, whom it names.
        valid_until: the chain refuses it from then on.
    """

    raw: str
    transaction: str
    payer: str
    valid_until: datetime


class Fate(StrEnum):
    """What became of a transaction."""

    PAID = "paid"
    WRONG = "wrong"
    """It was carried out, and is not the payment that was asked for."""
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True)
class Finding:
    """The fate, and who paid."""

    fate: Fate
    payer: str = ""


def read_transaction(credential: Credential) -> SignedTransfer:
    """
    Decode a signed transaction and hold it against its challenge.

    Raises:
        CredentialError: verification-failed, invalid-payload, payment-expired.
    """
    fields = _fields(credential.value)
    try:
        chain_id, calls, valid_before, fee_payer, signature = fields[0], fields[4], fields[8], fields[11], fields[-1]
        if int.from_bytes(chain_id, "big") != credential.challenge.terms["methodDetails"]["chainId"]:
            raise CredentialError("verification-failed", "The transaction is for another chain.")
        if fee_payer == b"\0":
            raise CredentialError("verification-failed", "Fees are not sponsored here; sign with a fee token of yours.")
        if not any(_pays(call, credential.challenge) for call in calls):
            issue = (
                "The transaction holds no transferWithMemo of the amount, token, recipient and memo of the challenge."
            )
            raise CredentialError("verification-failed", issue)
        canonical = _canonical(signature)
        until = int.from_bytes(valid_before, "big")
        payer = _payer(fields, canonical)
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise CredentialError("invalid-payload", "The transaction cannot be read.") from error
    if not time.time() + LEAST_LEFT_S <= until <= time.time() + LONGEST_WINDOW_S:
        raise CredentialError(
            "payment-expired", "The transaction's validBefore must lie within the next hour; sign again."
        )
    raw = b"\x76" + rlp_encode([*fields[:-1], canonical])
    return SignedTransfer("0x" + raw.hex(), "0x" + keccak(raw).hex(), payer, datetime.fromtimestamp(until, UTC))


def transaction_hash(credential: Credential) -> str:
    """The hash, in one form, of the transaction that a credential names or carries. Raises CredentialError."""
    if credential.kind == "hash":
        if not _HASH.fullmatch(credential.value):
            raise CredentialError("invalid-payload", "The hash must be 0x and 64 hex digits.")
        return credential.value
    fields = _fields(credential.value)
    return "0x" + keccak(b"\x76" + rlp_encode([*fields[:-1], _canonical(fields[-1])])).hex()


def broadcast(node: Node, transfer: SignedTransfer) -> None:
    """
    Send it; that the node has it already is as good.

    Raises:
        RefusedError: the node will not have it. NodeAwayError: it may or may not have been sent.
    """
    try:
        node.call("eth_sendRawTransaction", transfer.raw)
    except RefusedError as error:
        if "already" not in str(error).lower():
            raise


def wait(node: Node, transaction: str, challenge: Challenge, *, pushed: bool) -> Finding:
    """What became of it, as soon as it is mined; PENDING after some seconds. Raises NodeAwayError."""
    receipt = node.wait_for_receipt(transaction, timeout_s=_PUSHED_TIMEOUT_S if pushed else _RECEIPT_TIMEOUT_S)
    return judge(receipt, challenge)


def judge(receipt: dict[str, Any] | None, challenge: Challenge) -> Finding:
    """Read a receipt against its challenge."""
    terms = challenge.terms
    return judge_terms(
        receipt,
        challenge_id=challenge.id,
        realm=challenge.realm,
        amount=int(terms["amount"]),
        currency=terms["currency"],
        recipient=terms["recipient"],
    )


@sense()
def judge_terms(
    receipt: dict[str, Any] | None, *, challenge_id: str, realm: str, amount: int, currency: str, recipient: str
) -> Finding:
    """The same from the facts that a payment's row keeps. Raises NodeAwayError."""
    if receipt is None:
        return Finding(Fate.PENDING)
    if int(receipt["status"], 16) != 1:
        return Finding(Fate.FAILED)
    for log in receipt.get("logs", []):
        topics = [topic.lower() for topic in log["topics"]]
        if (
            log["address"].lower() == currency.lower()
            and len(topics) == 4
            and topics[0] == EVENT
            and topics[2] == "0x" + word(recipient).hex()
            and int(log["data"][:66], 16) == amount
            and is_bound(bytes.fromhex(topics[3][2:]), challenge_id=challenge_id, realm=realm)
        ):
            return Finding(Fate.PAID, "0x" + topics[1][-40:])
    return Finding(Fate.WRONG)


def is_over(valid_until: datetime, *, pushed: bool) -> bool:
    """Whether a transaction that nobody has seen can no longer appear."""
    margin_s = _PUSHED_WAIT_S if pushed else _CLOCK_MARGIN_S
    return time.time() > valid_until.timestamp() + margin_s


def is_bound(memo: bytes, *, challenge_id: str, realm: str) -> bool:
    """Tag and version, the realm, whatever client, the challenge."""
    return (
        len(memo) == 32
        and memo[:5] == _TAG
        and memo[5:15] == keccak(realm.encode())[:10]
        and memo[25:] == keccak(challenge_id.encode())[:7]
    )


def _fields(raw: str) -> list[Any]:
    try:
        data = bytes.fromhex(raw.removeprefix("0x"))
        fields: Rlp = rlp_decode(data[1:])
    except ValueError as error:
        raise CredentialError("invalid-payload", "The transaction cannot be read.") from error
    if data[:1] != b"\x76" or not isinstance(fields, list) or len(fields) not in (14, 15):
        raise CredentialError("invalid-payload", "The transaction must be a signed Tempo transaction (0x76).")
    if not isinstance(fields[-1], bytes):
        raise CredentialError("invalid-payload", "The transaction is not signed.")
    return fields


def _pays(call: list[Any], challenge: Challenge) -> bool:
    to, value, data = call
    terms = challenge.terms
    return (
        to == bytes.fromhex(terms["currency"][2:])
        and value == b""
        and len(data) == 4 + 3 * 32
        and data[:4] == TRANSFER
        and data[4:36] == word(terms["recipient"])
        and data[36:68] == word(int(terms["amount"]))
        and is_bound(data[68:], challenge_id=challenge.id, realm=challenge.realm)
    )


def _canonical(signature: bytes) -> bytes:
    """Nodes hash recovery ids 0 and 1 as 27 and 28, inside the signature of a key chain too."""
    if len(signature) == 65 and signature[64] in (0, 1):
        return signature[:64] + bytes([signature[64] + 27])
    if len(signature) > 21 and signature[0] in (3, 4):
        return signature[:21] + _canonical(signature[21:])
    return signature


def _payer(fields: list[Any], signature: bytes) -> str:
    """Who signed; for keys other than secp256k1 the account that the chain will hold to it. Raises DecodeError."""
    if len(signature) == 65:
        sponsored = fields[11] != b""
        signed = [*fields[:10], b"" if sponsored else fields[10], b"\0" if sponsored else b"", *fields[12:-1]]
        return recover(keccak(b"\x76" + rlp_encode(signed)), signature)
    if signature[:1] in (b"\x03", b"\x04") and len(signature) > 21:
        return "0x" + signature[1:21].hex()
    if signature[:1] == b"\x01" and len(signature) == 130:
        return "0x" + keccak(signature[65:129])[-20:].hex()
    raise DecodeError("a kind of signature that is not taken here")
