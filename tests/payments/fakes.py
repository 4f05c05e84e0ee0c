"""Chains and facilitators in this process: they believe whatever reaches them, so what is refused was refused by us."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apps.payments import x402
from apps.payments.facilitator import Settlement
from apps.payments.models import Payment
from apps.payments.signatures import keccak, recover, rlp_decode, rlp_encode, word
from apps.payments.tempo import EVENT


@dataclass
class FakeFacilitator:
    """Everything is right with every payment; it settles as it is told, one outcome after the other."""

    outcomes: list[Settlement]
    settled: list[x402.X402Payment] = field(default_factory=list)
    notes_what_it_sends = False

    def verify(self, paid: x402.X402Payment) -> str:
        return ""

    def settle(self, paid: x402.X402Payment, row: Payment) -> Settlement:
        self.settled.append(paid)
        return self.outcomes.pop(0)


@dataclass
class FakeTempo:
    """
    A node of a chain that mines whatever is sent to it at once, and asks for no signature, balance or time.

    Args:
        mined: receipts by transaction hash; a test may put some of its own there.
        sent: every raw transaction, in order.
    """

    mined: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    def call(self, method: str, raw: str) -> str:
        assert method == "eth_sendRawTransaction"
        self.sent.append(raw)
        transaction, receipt = mined(raw)
        self.mined[transaction] = receipt
        return transaction

    def receipt(self, transaction: str) -> dict[str, Any] | None:
        return self.mined.get(transaction)

    def wait_for_receipt(self, transaction: str, *, timeout_s: float) -> dict[str, Any] | None:
        return self.receipt(transaction)


def mined(raw: str, *, event: str = EVENT, **changes: str) -> tuple[str, dict[str, Any]]:
    """A raw transaction's hash, and the receipt of its one call as a transfer with a memo; with these log members changed."""
    data = bytes.fromhex(raw[2:])
    fields: Any = rlp_decode(data[1:])
    token, _, call = fields[4][0]
    payer = recover(keccak(b"\x76" + rlp_encode(fields[:-1])), fields[-1])
    log = {
        "address": "0x" + token.hex(),
        "data": "0x" + call[36:68].hex(),
        "topics": [event, "0x" + word(payer).hex(), "0x" + call[4:36].hex(), "0x" + call[68:].hex()],
    }
    return "0x" + keccak(data).hex(), {"blockNumber": "0x1", "status": "0x1", "logs": [log | changes]}
