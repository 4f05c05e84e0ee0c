"""
Every change of a payment's state.

Each arrow is one `UPDATE ... WHERE state IN (...)`, so that of many processes one wins; inserting the row is the lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.core import broker, counts, idempotency
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job
from apps.payments import keys
from apps.payments.models import CLAIMABLE_STATES, Payment, PaymentState, Rail

_SETTLE_LEASE_S = 60
UNSENT = "not sent yet"
"""Says of a settling row that its transaction will be in it before it is broadcast."""


@dataclass(frozen=True)
class Claim:
    """
    What a credential says, before anything is done for it.

    Args:
        key: names the money, lower case.
        fingerprint: what it is for.
        valid_until: after it the credential can no longer move money.
        idempotency_key: the client's, or None.
    """

    rail: Rail
    key: str
    fingerprint: str
    payer: str
    recipient: str
    asset: str
    network: str
    amount: int
    valid_until: datetime
    nonce: str = ""
    transaction: str | None = None
    idempotency_key: str | None = None


def claim(claimed: Claim) -> tuple[Payment, bool]:
    """
    Make the credential's row ours, and its Idempotency-Key with it, or find out whose it is.

    Returns:
        The row, and whether the caller is the one who may go on with it.

    Raises:
        KeyTakenError: the payer's key stands for something else; nothing is claimed.
        AppError: CONFLICT, where another request was faster and has let go again.
    """
    fresh = vars(claimed) | {"rail": claimed.rail.value, "state": PaymentState.CLAIMED}
    fresh |= {"lease_until": _lease(_working_lease_s())}
    del fresh["idempotency_key"]
    try:
        with transaction.atomic():
            payment = Payment.objects.create(**fresh)
            keys.bind(payment, claimed.idempotency_key)
            _count(payment.rail, PaymentState.CLAIMED)
            return payment, True
    except IntegrityError as error:
        row = Payment.objects.filter(key=claimed.key).first()
        if row is None:
            raise AppError(ErrorCode.CONFLICT, retry_after_s=1) from error
    return (row, _claim_again(row, fresh, claimed.idempotency_key))


def _claim_again(row: Payment, fresh: dict[str, Any], key: str | None) -> bool:
    """
    Nothing was charged the last time: the job goes on where it was, if it was for the same thing.

    Its key's row is made anew: whoever found the old one free, and deletes it now, does not meet the new one.
    """
    if row.state not in CLAIMABLE_STATES:
        return False
    if row.fingerprint != fresh["fingerprint"]:
        fresh = fresh | {"job": None}
    with transaction.atomic():
        changed = Payment.objects.filter(id=row.id, state__in=CLAIMABLE_STATES).update(
            **fresh, reason="", money_moved=False, receipt=None, updated_at=timezone.now()
        )
        row.refresh_from_db()
        if changed:
            idempotency.forget(row)
            keys.bind(row, key)
    return bool(changed)


def move(payment: Payment, sources: Iterable[PaymentState], target: PaymentState, **fields: Any) -> bool:
    """One arrow. False: somebody else moved the row first. `lease_s` in `fields` starts a lease, else it ends."""
    lease_s = fields.pop("lease_s", None)
    fields |= {"lease_until": None if lease_s is None else _lease(lease_s), "updated_at": timezone.now()}
    moved = Payment.objects.filter(id=payment.id, state__in=list(sources)).update(state=target, **fields)
    if moved:
        payment.refresh_from_db()
        _count(payment.rail, target)
    return bool(moved)


def _count(rail: str, state: PaymentState) -> None:
    transaction.on_commit(lambda: broker.count(counts.field(counts.PAYMENTS, rail, state.value)), robust=True)


def start_working(payment: Payment, *, source: PaymentState) -> bool:
    return move(payment, [source], PaymentState.WORKING, lease_s=_working_lease_s())


def note_job(payment: Payment, job: Job) -> None:
    """Bind the work to the payment, so that whoever comes with it again finds the job."""
    Payment.objects.filter(id=payment.id).update(job=job)
    payment.job = job


def start_settling(payment: Payment, *, source: PaymentState, **fields: Any) -> bool:
    return move(payment, [source], PaymentState.SETTLING, lease_s=_SETTLE_LEASE_S, **fields)


def note_transaction(payment: Payment, transaction_hash: str) -> bool:
    """
    Before it is broadcast: whatever dies from here on, the chain can be asked.

    False: it took so long that the row was taken back; then nothing may be broadcast.
    """
    settling = Payment.objects.filter(id=payment.id, state=PaymentState.SETTLING)
    if not settling.update(transaction=transaction_hash, reason="", updated_at=timezone.now()):
        return False
    payment.transaction = transaction_hash
    return True


def forget_transaction(payment: Payment) -> None:
    """The node has refused it, so it never was one."""
    Payment.objects.filter(id=payment.id).update(transaction=None)
    payment.transaction = None


def release_unsent(payment: Payment, reason: str) -> bool:
    """The web process stopped before it had written a transaction down: nothing was broadcast, and none can be now."""
    unsent = Payment.objects.filter(id=payment.id, state=PaymentState.SETTLING, reason=UNSENT, transaction=None)
    return bool(
        unsent.update(state=PaymentState.RELEASED, reason=reason[:200], lease_until=None, updated_at=timezone.now())
    )


def release(payment: Payment, reason: str) -> bool:
    """Nothing was broadcast: the credential is as good as new."""
    sources = [PaymentState.CLAIMED, PaymentState.WORKING, PaymentState.SETTLING]
    return move(payment, sources, PaymentState.RELEASED, reason=reason[:200], transaction=None)


def release_refused(payment: Payment, reason: str) -> bool:
    """The file is at fault: the credential is as good as new, and its Idempotency-Key keeps the job that said so."""
    with transaction.atomic():
        released = release(payment, reason)
        if released and payment.job is not None:
            idempotency.hand_over(payment, payment.job)
    return released


def release_claimed(payment: Payment, reason: str) -> bool:
    """The same, but only while nothing has been begun."""
    return move(payment, [PaymentState.CLAIMED], PaymentState.RELEASED, reason=reason[:200], transaction=None)


def fail(payment: Payment, reason: str) -> bool:
    """It is certain that this did not move money."""
    sources = [PaymentState.CLAIMED, PaymentState.WORKING, PaymentState.SETTLING, PaymentState.UNKNOWN]
    return move(payment, sources, PaymentState.FAILED, reason=reason[:200])


def doubt(payment: Payment, reason: str, *, transaction_hash: str = "") -> bool:
    """Money may have moved; only the chain knows. Whoever waited may be alive: what the chain says is the same for both."""
    known = {"transaction": transaction_hash} if transaction_hash else {}
    return move(payment, [PaymentState.SETTLING], PaymentState.UNKNOWN, reason=reason[:200], **known)


def settle_x402(payment: Payment, *, transaction_hash: str, receipt: dict[str, Any]) -> bool:
    """The money is here, and the work was done before it."""
    return move(
        payment, [PaymentState.SETTLING, PaymentState.UNKNOWN], PaymentState.SETTLED,
        transaction=transaction_hash or payment.transaction, receipt=receipt, money_moved=True, settled_at=timezone.now(),
        reason="",
    )  # fmt: skip


def note_paid(payment: Payment, *, payer: str, receipt: dict[str, Any]) -> tuple[bool, Payment | None]:
    """
    MPP: the money is here, and the work is owed.

    Who paid a transaction that the client sent itself is known only now. If he has paid under the same Idempotency-Key
    before, the key stays with the first payment; where that was for the same thing, this one is due back.

    Returns:
        Whether the row was moved, and the earlier payment for the same thing.
    """
    sources = [PaymentState.SETTLING, PaymentState.UNKNOWN]
    facts = {"payer": payer, "receipt": receipt, "money_moved": True, "settled_at": timezone.now(), "reason": ""}
    earlier = None
    try:
        with transaction.atomic():
            moved = move(payment, sources, PaymentState.PAID, **facts)
            if moved and (earlier := keys.give_to_payer(payment)) is not None:
                owe_refund(payment, f"paid twice under one Idempotency-Key; the first was {earlier.id}")
    except IntegrityError:  # one transaction on the chain pays once
        fail(payment, "its transaction has paid for another challenge")
        return False, None
    return moved, earlier


def deliver_from(payment: Payment, earlier: Payment) -> bool:
    """MPP: paid a second time; what the first payment has bought was given again."""
    return move(payment, [PaymentState.PAID], PaymentState.SETTLED, job_id=earlier.job_id)


def owe_work(payment: Payment, reason: str) -> bool:
    """MPP: paid, and this try gave nothing; the same credential may try again without paying."""
    return move(payment, [PaymentState.WORKING], PaymentState.PAID, reason=reason[:200])


def give_free(payment: Payment) -> bool:
    """x402: an empty result; the authorization stays unused."""
    return move(payment, [PaymentState.WORKING], PaymentState.FREE, reason="nothing found")


def deliver_mpp(payment: Payment) -> bool:
    return move(payment, [PaymentState.WORKING], PaymentState.SETTLED, reason="")


def owe_refund(payment: Payment, reason: str) -> None:
    """Money was taken for nothing; an admin gives it back."""
    Payment.objects.filter(id=payment.id, refund_due=False).update(
        refund_due=True, refund_note=reason[:200], updated_at=timezone.now()
    )


def lapsed() -> QuerySet[Payment]:
    """Rows whose web process stopped in the middle."""
    states = [PaymentState.CLAIMED, PaymentState.WORKING, PaymentState.SETTLING]
    return Payment.objects.filter(state__in=states, lease_until__lt=timezone.now()).order_by("lease_until")


def in_doubt() -> QuerySet[Payment]:
    return Payment.objects.filter(state=PaymentState.UNKNOWN).order_by("updated_at")


def _working_lease_s() -> float:
    return settings.SYNC_LIMIT_S + 15


def _lease(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)
