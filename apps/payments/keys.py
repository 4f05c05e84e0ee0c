"""Payments in the store of Idempotency-Keys: a payer's key stands for the payment that he made with it first."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from apps.core import idempotency
from apps.core.idempotency import Fate, First, KeyTakenError, Ticket
from apps.core.models import Job
from apps.core.owner import Mode
from apps.payments.models import CLAIMABLE_STATES, DELIVERED_STATES, Payment, PaymentState

_SILENCE = timedelta(seconds=5)


def fate_of(payment: Payment) -> Fate:
    """Where no money has moved the key is free; paid work that is owed, or a chain that must be asked, waits for a request."""
    if payment.state in CLAIMABLE_STATES:
        return Fate.FREE
    if payment.state in DELIVERED_STATES:
        return Fate.STANDS
    return Fate.LEFT if is_owed(payment) or is_unclear(payment) else Fate.AT_WORK


def is_unclear(payment: Payment) -> bool:
    """Whether the chain had better be asked: nobody knows the end, or whoever waits for it has been silent for a while."""
    return payment.state == PaymentState.UNKNOWN or (payment.state == PaymentState.SETTLING and _is_silent(payment))


def is_owed(payment: Payment) -> bool:
    """Whether paid work waits for anybody: a try has failed, or the request that paid has not begun it for a while."""
    return payment.state == PaymentState.PAID and (bool(payment.reason) or _is_silent(payment))


def ticket_of(*, key: str | None, payer: str, fingerprint: str) -> Ticket | None:
    """None without a key."""
    return Ticket(None, Mode.LIVE, key, fingerprint, payer) if key else None


def bind(payment: Payment, key: str | None) -> None:
    """
    The key is the payer's; while nobody knows him it is the payment's own, so that no stranger stands in its way.

    Raises:
        KeyTakenError: it stands for something else of this payer's.
    """
    idempotency.take(ticket_of(key=key, payer=_owner_of(payment), fingerprint=payment.fingerprint), payment)


def remember(payment: Payment, key: str | None) -> None:
    """A used payment is answered under this key as well: then its retry with a new payment is no second charge."""
    ticket = ticket_of(key=key, payer=_owner_of(payment), fingerprint=payment.fingerprint)
    if ticket is not None and idempotency.holder_of(ticket) is None:
        with contextlib.suppress(KeyTakenError), transaction.atomic():
            idempotency.take(ticket, payment)


def give_to_payer(payment: Payment) -> Payment | None:
    """
    The chain has said who paid: its key is his from now on, or stays with what he has used it for.

    Returns:
        The earlier payment under this key for the same thing.
    """
    try:
        idempotency.give_to_payer(payment, before=str(payment.id), payer=payment.payer)
    except KeyTakenError as taken:
        first = idempotency.holder_of(taken.ticket)
        if first is None:  # it was for something that has come to nothing
            return give_to_payer(payment)
        idempotency.forget(payment)
        is_same = isinstance(first.made, Payment) and first.made.fingerprint == payment.fingerprint
        return first.made if is_same else None
    return None


def first_of(key: str, *, fingerprint: str) -> First | None:
    """
    What a request without a payment may fall back on: same key, same bytes, within a day, and paid for, or refused for its
    file.
    """
    useful = {*DELIVERED_STATES, PaymentState.PAID, PaymentState.UNKNOWN, PaymentState.SETTLING}
    for first in idempotency.of_any_payer(key=key, fingerprint=fingerprint):
        if isinstance(first.made, Job):
            return first
        is_paid = first.made.state == PaymentState.WORKING and first.made.money_moved
        if is_paid or first.made.state in useful:
            return first
    return None


def _is_silent(payment: Payment) -> bool:
    return timezone.now() - payment.updated_at > _SILENCE


def _owner_of(payment: Payment) -> str:
    return payment.payer or str(payment.id)
