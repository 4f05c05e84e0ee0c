"""Ends every open payment by what the chain says: rows whose web process died, and settlements that nobody heard the end of."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import lru_cache

from django.db.models import Q
from django.utils import timezone

from apps.payments import book, mpp, tempo
from apps.payments.eip3009 import Fate, ask
from apps.payments.models import Payment, PaymentState, Rail
from apps.payments.rails import mpp_rail, mpp_rpc_url, x402_rail, x402_rpc_url
from apps.payments.rpc import Node, NodeAwayError, RefusedError

log = logging.getLogger(__name__)
_BATCH = 100
_UNCLAIMED_AFTER = timedelta(hours=24)


def reconcile() -> int:
    """One round. Returns how many rows were moved."""
    return take_back_lapsed() + resolve_doubts() + owe_refunds()


def take_back_lapsed() -> int:
    """Rows whose web process stopped: what cannot have moved money is free again, the rest is asked of the chain."""
    moved = 0
    for row in book.lapsed()[:_BATCH]:
        if book.release_unsent(row, "the web process stopped before anything was sent"):
            moved += 1
        elif row.state == PaymentState.SETTLING:
            moved += book.doubt(row, "the web process stopped while settling")
        elif row.money_moved:
            moved += book.owe_work(row, "the web process stopped while working")
        else:
            moved += book.release(row, "the web process stopped before anything was sent")
    return moved


def resolve_doubts() -> int:
    """Ask the chains about every unknown outcome; a chain that is away is asked in the next round."""
    moved = 0
    for row in book.in_doubt()[:_BATCH]:
        try:
            moved += resolve(row)
        except AssertionError:  # a row that no rail understands must not hold up the others
            log.exception("a payment cannot be resolved", extra={"facts": {"payment": str(row.id)}})
    return moved


def resolve(row: Payment) -> bool:
    """Ask the chain about one unknown outcome. Returns whether it is known now."""
    try:
        return _resolve_x402(row) if row.rail == Rail.X402 else _resolve_mpp(row)
    except (NodeAwayError, RefusedError) as error:
        log.warning("a payment's chain does not answer", extra={"facts": {"payment": str(row.id), "error": str(error)}})
        Payment.objects.filter(id=row.id).update(updated_at=timezone.now())  # the others first, the next time
        return False


def owe_refunds() -> int:
    """Paid, never delivered, and nobody has come for it within a day."""
    before = timezone.now() - _UNCLAIMED_AFTER
    late = Q(state=PaymentState.PAID, settled_at__lt=before, refund_due=False)
    rows = list(Payment.objects.filter(late)[:_BATCH])
    for row in rows:
        book.owe_refund(row, "paid, and no result was fetched within a day")
    return len(rows)


def _resolve_x402(row: Payment) -> bool:
    finding = ask(_node(x402_rpc_url()), x402_rail(), row)
    if finding.fate is Fate.PAID:
        transaction = finding.transaction or row.transaction or ""
        return book.settle_x402(row, transaction_hash=transaction, receipt={"transaction": transaction})
    if finding.fate is Fate.OPEN and row.created_at < timezone.now() - _UNCLAIMED_AFTER:
        # Used, by the token's books, and no node has shown by what for a day: the result is gone, a person has to look.
        book.owe_refund(row, "the authorization was used, but the node shows no transfer: look at the chain")
        return book.settle_x402(row, transaction_hash="", receipt={})
    if finding.fate is Fate.OPEN:
        Payment.objects.filter(id=row.id).update(updated_at=timezone.now())
        return False
    return book.fail(row, f"authorization {finding.fate}")


def _resolve_mpp(row: Payment) -> bool:
    assert row.valid_until is not None  # noqa: S101 - every row of the rails has it
    was_pushed = row.nonce == "pushed"
    rail, receipt = mpp_rail(), _node(mpp_rpc_url()).receipt(row.transaction or "")
    finding = tempo.judge_terms(
        receipt, challenge_id=row.key, realm=rail.realm, amount=row.amount, currency=row.asset, recipient=row.recipient
    )
    if finding.fate is tempo.Fate.PAID:
        said = mpp.receipt(transaction=row.transaction or "", currency=row.asset, at=timezone.now())
        moved, _ = book.note_paid(row, payer=finding.payer, receipt=said)
        return moved
    if finding.fate is tempo.Fate.PENDING and not tempo.is_over(row.valid_until, pushed=was_pushed):
        Payment.objects.filter(id=row.id).update(updated_at=timezone.now())
        return False
    return book.fail(row, f"the transaction {'never appeared' if receipt is None else finding.fate}")


@lru_cache(maxsize=4)
def _node(url: str) -> Node:
    return Node(url)
