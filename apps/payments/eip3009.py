"""
x402's settlement on the chain itself, with a key of our own, and what the chain says about an authorization afterwards.

The transaction's hash is written to the payment's row before it is broadcast, so nothing that dies later leaves us guessing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.payments import book
from apps.payments.facilitator import FacilitatorAwayError, Outcome, Settlement
from apps.payments.models import Payment
from apps.payments.rails import X402Rail
from apps.payments.rpc import Node, NodeAwayError, RefusedError, sense
from apps.payments.signatures import address_of, call_data, keccak, rlp_encode, sign, word
from apps.payments.x402 import ALREADY_USED, Authorization, X402Payment

_TRANSFER = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
_USED_TOPIC = "0x" + keccak(b"AuthorizationUsed(address,bytes32)").hex()
_CANCELLED_TOPIC = "0x" + keccak(b"AuthorizationCanceled(address,bytes32)").hex()
_TRANSFER_TOPIC = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
_GAS = 150_000  # FiatTokenV2 takes some 80,000
_TIP_WEI = 1_000_000
_RECEIPT_TIMEOUT_S = 20.0
_SIGNER_LOCK = 7_121  # the first half of our advisory locks' numbers, beside that of core's submits
_BLOCKS_BEFORE = 300
_BLOCK_MARGIN_S = 60
"""How far a chain's clock may lag behind ours before an expired authorization is given up."""


class ChainFacilitator:
    """Verifies and settles by JSON-RPC. Several processes may share one key: they take turns at its nonce."""

    notes_what_it_sends = True

    def __init__(self, node: Node, rail: X402Rail, *, private_key: str) -> None:
        self._node = node
        self._rail = rail
        self._private_key = private_key

    def verify(self, paid: X402Payment) -> str:
        authorization, asset = paid.authorization, self._rail.network.asset
        try:
            if self._node.view(asset, state_call(authorization.payer, authorization.nonce)):
                return ALREADY_USED
            if self._node.view(asset, call_data("balanceOf(address)", authorization.payer)) < authorization.value:
                return "invalid_exact_evm_insufficient_balance"
            # By transferWithAuthorization itself: it knows pauses, blocked addresses and the token's own clock.
            self._node.call("eth_call", {"to": asset, "data": transfer_call(paid)}, "latest")
        except RefusedError as error:
            return _reason_of(str(error))
        except NodeAwayError as error:
            raise FacilitatorAwayError from error
        return ""

    def settle(self, paid: X402Payment, row: Payment) -> Settlement:
        try:
            if not row.transaction:
                self._send(paid, row)
            receipt = self._node.wait_for_receipt(row.transaction or "", timeout_s=_RECEIPT_TIMEOUT_S)
            if receipt is None:
                return Settlement(Outcome.UNKNOWN, row.transaction or "", "settlement_pending")
            return settlement_of(ask(self._node, self._rail, row, receipt=receipt))
        except _RefusedAtOnceError as error:
            return Settlement(Outcome.NOT_SENT, reason=str(error))
        except (NodeAwayError, RefusedError) as error:
            if not row.transaction:
                return Settlement(Outcome.NOT_SENT, reason=f"node: {error}")
            return Settlement(Outcome.UNKNOWN, row.transaction, f"node: {error}")

    def _send(self, paid: X402Payment, row: Payment) -> None:
        """Sign, write the hash down, broadcast. Raises NodeAwayError, RefusedError, _RefusedAtOnceError."""
        if not self._private_key:
            raise _RefusedAtOnceError("X402_FACILITATOR_KEY is not set")
        with _turn_of_the_signer():
            raw = self._signed(transfer_call(paid))
            if not book.note_transaction(row, "0x" + keccak(raw).hex()):
                raise _RefusedAtOnceError("too late")
            try:
                self._node.call("eth_sendRawTransaction", "0x" + raw.hex())
            except RefusedError as error:
                if "already known" in str(error).lower():
                    return
                # The one node that ever saw it has refused it: there is nothing on the way.
                book.forget_transaction(row)
                raise _RefusedAtOnceError(f"node: {error}") from error

    @sense()
    def _signed(self, data: str) -> bytes:
        """An EIP-1559 transaction from our key to the token. Raises NodeAwayError, RefusedError."""
        node, ours = self._node, address_of(self._private_key)
        block = node.call("eth_getBlockByNumber", "latest", False)
        base_fee = int(block.get("baseFeePerGas") or "0x0", 16)
        fields: list[Any] = [
            self._rail.network.chain_id,
            node.number("eth_getTransactionCount", ours, "pending"),
            _TIP_WEI,
            2 * base_fee + _TIP_WEI,
            _GAS,
            bytes.fromhex(self._rail.network.asset[2:]),
            0,
            bytes.fromhex(data[2:]),
            [],
        ]
        parity, r, s = sign(keccak(b"\x02" + rlp_encode(fields)), self._private_key)
        return b"\x02" + rlp_encode([*fields, parity, r, s])


class _RefusedAtOnceError(Exception):
    """Nothing was broadcast, and it was no fault of the payer's."""


@contextlib.contextmanager
def _turn_of_the_signer() -> Iterator[None]:
    """One process at a time reads the key's nonce and uses it; the lock ends with the database session at the latest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, 0)", [_SIGNER_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [_SIGNER_LOCK])


# --- what the chain says --------------------------------------------------------------------------------------


class Fate(StrEnum):
    """What became of an authorization."""

    PAID = "paid"
    CANCELLED = "cancelled"
    SPENT = "spent"
    """Its nonce was used for another transfer of the payer's: a nonce is not bound to payee and amount."""
    EXPIRED = "expired"
    OPEN = "open"
    """Not used, and still good: it may be used at any moment. Or used, and the node does not show by what."""


@dataclass(frozen=True)
class Finding:
    """The fate, and the transaction that moved the money."""

    fate: Fate
    transaction: str = ""


@sense()
def ask(node: Node, rail: X402Rail, row: Payment, *, receipt: dict[str, Any] | None = None) -> Finding:
    """
    Ask the token what became of a row's authorization.

    Anybody may carry out an authorization, so our own transaction's failure proves nothing; the token's books do.

    Raises:
        NodeAwayError, RefusedError.
    """
    receipt = receipt or (node.receipt(row.transaction) if row.transaction else None)
    if receipt and _pays(receipt, rail, row):
        return Finding(Fate.PAID, receipt["transactionHash"].lower())
    block = node.call("eth_getBlockByNumber", "latest", False)  # first: what it says is at least as old as the books
    if not node.view(rail.network.asset, state_call(row.payer, row.nonce)):
        assert row.valid_until is not None  # noqa: S101 - every x402 row has it
        is_over = int(block["timestamp"], 16) > row.valid_until.timestamp() + _BLOCK_MARGIN_S
        return Finding(Fate.EXPIRED if is_over else Fate.OPEN)
    latest = int(block["number"], 16)
    if _transaction_of(node, rail, row, _CANCELLED_TOPIC, latest=latest):
        return Finding(Fate.CANCELLED)
    transaction = _transaction_of(node, rail, row, _USED_TOPIC, latest=latest)
    receipt = node.receipt(transaction) if transaction else None
    if receipt is None:
        return Finding(Fate.OPEN)
    return Finding(Fate.PAID, transaction) if _pays(receipt, rail, row) else Finding(Fate.SPENT)


def settlement_of(finding: Finding) -> Settlement:
    """What a finding means for whoever waits for the settlement."""
    if finding.fate is Fate.PAID:
        return Settlement(Outcome.SETTLED, finding.transaction)
    if finding.fate is Fate.OPEN:
        return Settlement(Outcome.UNKNOWN, reason="transaction_failed")
    return Settlement(Outcome.REFUSED, reason="authorization_expired" if finding.fate is Fate.EXPIRED else ALREADY_USED)


def state_call(payer: str, nonce: str) -> str:
    """The input of authorizationState: 1 where the nonce is used or cancelled."""
    return call_data("authorizationState(address,bytes32)", payer, bytes.fromhex(nonce[2:]))


def transfer_call(paid: X402Payment) -> str:
    """The input of transferWithAuthorization."""
    authorization: Authorization = paid.authorization
    signature = bytes.fromhex(paid.signature[2:])
    v = signature[64] if signature[64] >= 27 else signature[64] + 27
    fields = (authorization.payer, authorization.to, authorization.value, authorization.valid_after,
              authorization.valid_before, bytes.fromhex(authorization.nonce[2:]))  # fmt: skip
    return call_data(_TRANSFER, *fields, v, signature[:32], signature[32:64])


def _pays(receipt: dict[str, Any], rail: X402Rail, row: Payment) -> bool:
    """Whether the use of this very nonce moved the amount to us: the token tells of the transfer right after the use."""
    if int(receipt["status"], 16) != 1:
        return False
    used = [_USED_TOPIC, "0x" + word(row.payer).hex(), row.nonce]
    transfer = [_TRANSFER_TOPIC, "0x" + word(row.payer).hex(), "0x" + word(row.recipient).hex()]
    logs = [log for log in receipt["logs"] if log["address"].lower() == rail.network.asset.lower()]
    return any(
        _topics(use) == used and _topics(move) == transfer and int(move["data"], 16) == row.amount
        for use, move in pairwise(logs)
    )


def _topics(log: dict[str, Any]) -> list[str]:
    return [topic.lower() for topic in log["topics"]]


def _transaction_of(node: Node, rail: X402Rail, row: Payment, topic: str, *, latest: int) -> str:
    """The transaction of the token's log about this authorization since the payment came; "" where none is shown."""
    age_s = (timezone.now() - row.created_at).total_seconds()  # a block takes a second at least
    query = {
        "address": rail.network.asset,
        "fromBlock": hex(max(0, latest - int(age_s) - _BLOCKS_BEFORE)),
        "toBlock": "latest",
        "topics": [topic, "0x" + word(row.payer).hex(), row.nonce],
    }
    try:
        logs = node.call("eth_getLogs", query)
    except RefusedError:  # so far back that the node does not look
        return ""
    return logs[0]["transactionHash"].lower() if logs else ""


_REASONS = {
    "used or canceled": ALREADY_USED,
    "expired": "invalid_exact_evm_payload_authorization_valid_before",
    "not yet valid": "invalid_exact_evm_payload_authorization_valid_after",
    "exceeds balance": "invalid_exact_evm_insufficient_balance",
    "signature": "invalid_exact_evm_payload_signature",
}


def _reason_of(revert: str) -> str:
    """x402's code for the token's own words."""
    lower = revert.lower()
    return next(
        (code for words, code in _REASONS.items() if words in lower), "invalid_exact_evm_transaction_simulation_failed"
    )
