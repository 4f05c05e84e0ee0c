"""Who asks the chain about an x402 payment and carries it out: this process with a key of its own, or a server elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import requests

from apps.payments.models import Payment
from apps.payments.rails import X402Rail
from apps.payments.signatures import checksummed
from apps.payments.x402 import Authorization, X402Payment, requirement

_VERIFY_TIMEOUT_S = 10
_SETTLE_TIMEOUT_S = 30
_HASH = re.compile(r"0x[0-9a-f]{64}")


class Outcome(StrEnum):
    """What became of a settlement; UNKNOWN is not a failure."""

    SETTLED = "settled"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Settlement:
    """
    Args:
        reason: x402's code for a refusal, or why nobody knows.
        transaction: its hash, where there is one.
    """

    outcome: Outcome
    transaction: str = ""
    reason: str = ""


class FacilitatorAwayError(Exception):
    """It does not answer, and nothing was sent: try again later."""


class Facilitator(Protocol):
    """
    Both methods are given a payment whose signature, times, payee and amount are right.

    Attributes:
        notes_what_it_sends: the transaction's hash is in the row before it is broadcast.
    """

    notes_what_it_sends: bool

    def verify(self, paid: X402Payment) -> str:
        """Ask whether it would go through now. Returns x402's code for why not, or "". Raises FacilitatorAwayError."""

    def settle(self, paid: X402Payment, row: Payment) -> Settlement:
        """Move the money; safe to repeat with the same payment."""


class RemoteFacilitator:
    """x402's facilitator interface over HTTP. Version 2 whatever the client spoke: its answers tell pending from failed."""

    notes_what_it_sends = False

    def __init__(self, url: str, rail: X402Rail, *, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._rail = rail
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def verify(self, paid: X402Payment) -> str:
        try:
            said = self._post("verify", paid, timeout_s=_VERIFY_TIMEOUT_S)
            if isinstance(said["isValid"], bool):
                return "" if said["isValid"] else str(said.get("invalidReason") or "unexpected_verify_error")
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise FacilitatorAwayError from error
        raise FacilitatorAwayError

    def settle(self, paid: X402Payment, row: Payment) -> Settlement:  # noqa: ARG002 - it keeps its own books
        try:
            said = self._post("settle", paid, timeout_s=_SETTLE_TIMEOUT_S)
            transaction, reason = str(said.get("transaction") or "").lower(), str(said.get("errorReason") or "")
            transaction = transaction if _HASH.fullmatch(transaction) else ""
            if said["success"] is True and transaction:
                return Settlement(Outcome.SETTLED, transaction)
        except requests.ConnectTimeout:
            return Settlement(Outcome.NOT_SENT, reason="facilitator_away")
        except requests.ConnectionError as error:
            sent = not _never_connected(error)
            return Settlement(Outcome.UNKNOWN if sent else Outcome.NOT_SENT, reason="facilitator_away")
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
            return Settlement(Outcome.UNKNOWN, reason=f"facilitator: {type(error).__name__}")
        # A refusal with a hash, or one of these, has broadcast something: only the chain can tell what came of it.
        if transaction or reason in {"settlement_pending", "unexpected_settle_error", "transaction_failed", ""}:
            return Settlement(Outcome.UNKNOWN, transaction, reason or "facilitator: no reason")
        if reason in _USED:
            return Settlement(Outcome.UNKNOWN, reason=reason)  # perhaps by ourselves, a moment ago
        return Settlement(Outcome.REFUSED, reason=reason)

    def _post(self, what: str, paid: X402Payment, *, timeout_s: float) -> dict[str, Any]:
        body: dict[str, Any] = {
            "x402Version": 2,
            "paymentPayload": v2_payload(paid, self._rail),
            "paymentRequirements": requirement(self._rail, amount=paid.authorization.value),
        }
        answer = self._session.post(f"{self._url}/{what}", json=body, timeout=(3, timeout_s), allow_redirects=False)
        if answer.status_code >= 500:
            raise ValueError(f"HTTP {answer.status_code}")
        said = answer.json()
        if not isinstance(said, dict):
            raise TypeError("no object")
        return said


_USED = frozenset({"invalid_exact_evm_nonce_already_used", "invalid_transaction_state"})


def _never_connected(error: requests.ConnectionError) -> bool:
    """Whether the connection itself was refused, so that not a byte has gone out."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def v2_payload(paid: X402Payment, rail: X402Rail) -> dict[str, Any]:
    """The payment as version 2 writes it, whichever version it came in."""
    authorization: Authorization = paid.authorization
    return {
        "x402Version": 2,
        "accepted": requirement(rail, amount=authorization.value),
        "payload": {
            "signature": paid.signature,
            "authorization": {
                "from": checksummed(authorization.payer),
                "to": checksummed(authorization.to),
                "value": str(authorization.value),
                "validAfter": str(authorization.valid_after),
                "validBefore": str(authorization.valid_before),
                "nonce": authorization.nonce,
            },
        },
    }
