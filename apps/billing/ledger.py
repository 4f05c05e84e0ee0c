"""
Every movement of credits: one statement that holds the guarded UPDATE of the wallet and the ledger entry.

A wallet's row lock makes the movements of one account line up; the guards and the unique constraints make each repeatable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.billing.low_balance import note_grant, tell_if_low
from apps.billing.models import Kind, LedgerEntry, Wallet
from apps.core import broker, counts
from apps.core.errors import AppError, Detail, ErrorCode
from apps.core.models import Job

# A job's hold ends once: for its second end the wallet is left alone and there is no entry.
_MOVE = """
WITH moved AS (
    UPDATE billing_wallet SET balance = balance + %(balance)s, held = held + %(held)s
    WHERE account_id = %(account_id)s AND balance + %(balance)s >= 0 AND held + %(held)s >= 0
          AND NOT (%(kind)s IN ('capture', 'release')
                   AND EXISTS (SELECT FROM billing_ledgerentry
                               WHERE job_id = %(job_id)s AND kind IN ('capture', 'release')))
    RETURNING balance, held
)
INSERT INTO billing_ledgerentry (account_id, kind, balance_change, held_change, balance_after, held_after,
                                 job_id, operation, actor, reason, created_at)
SELECT %(account_id)s, %(kind)s, %(balance)s, %(held)s, balance, held,
       %(job_id)s, %(operation)s, %(actor)s, %(reason)s, clock_timestamp()
FROM moved
RETURNING *
"""


# The same for many holds at once: one movement of the wallet, and an entry for each job that tells where it stood after it.
_HOLD_ALL = """
WITH asked AS (
    SELECT job_id, price, sum(price) OVER (ORDER BY place) AS so_far
    FROM unnest(%(job_ids)s::uuid[], %(prices)s::bigint[]) WITH ORDINALITY AS told(job_id, price, place)
),
moved AS (
    UPDATE billing_wallet SET balance = balance - %(total)s, held = held + %(total)s
    WHERE account_id = %(account_id)s AND balance >= %(total)s
    RETURNING balance + %(total)s AS balance_before, held - %(total)s AS held_before
)
INSERT INTO billing_ledgerentry (account_id, kind, balance_change, held_change, balance_after, held_after,
                                 job_id, operation, actor, reason, created_at)
SELECT %(account_id)s, 'hold', -price, price, balance_before - so_far, held_before + so_far,
       job_id, %(operation)s, 'job', '', clock_timestamp()
FROM moved, asked ORDER BY so_far
"""


def grant(account_id: int, credits: int, *, actor: str, reason: str, kind: Kind = Kind.GRANT) -> LedgerEntry:
    """
    Add credits, or with `Kind.ADJUST` take some away.

    Raises:
        AppError: INSUFFICIENT_CREDITS when an adjustment would take more than there is.
    """
    with transaction.atomic():
        _ensure_wallet(account_id)
        entry = _move(account_id, kind, credits, actor=actor, reason=reason)
        if kind is Kind.GRANT:
            note_grant(account_id, credits)
        else:
            tell_if_low(account_id)
    return entry


def hold(job: Job) -> None:
    """Put the job's price aside. Raises AppError(INSUFFICIENT_CREDITS)."""
    if job.price_credits:
        _move_for(job, Kind.HOLD, -job.price_credits, job.price_credits)
        tell_if_low(job.account_id)


def hold_all(jobs: Sequence[Job]) -> None:
    """Put the prices of jobs of one account and one operation aside, all or none. Raises AppError(INSUFFICIENT_CREDITS)."""
    priced = [job for job in jobs if job.price_credits]
    if not priced:
        return
    total = sum(job.price_credits for job in priced)
    values: dict[str, Any] = {
        "account_id": priced[0].account_id,
        "operation": priced[0].operation,
        "job_ids": [job.id for job in priced],
        "prices": [job.price_credits for job in priced],
        "total": total,
    }
    with connection.cursor() as cursor:
        cursor.execute(_HOLD_ALL, values)
        if cursor.rowcount != len(priced):
            raise too_few(total)
    tell_if_low(priced[0].account_id)
    transaction.on_commit(lambda: broker.count(counts.field(counts.CREDITS, Kind.HOLD.value), total), robust=True)


def capture(job: Job) -> int:
    """Take what was held, once. Returns the credits charged."""
    if job.price_credits:
        _move_for(job, Kind.CAPTURE, 0, -job.price_credits)
    return job.price_credits


def release(job: Job) -> None:
    """Give back what was held, once."""
    if job.price_credits:
        _move_for(job, Kind.RELEASE, job.price_credits, -job.price_credits)


def take_owed(account_id: int, *, at_most: int) -> int:
    """Use up to `at_most` of what a gateway's account is owed. Returns how much was used."""
    with transaction.atomic():
        wallet = Wallet.objects.select_for_update().filter(account_id=account_id, balance__gt=0).first()
        taken = min(wallet.balance, at_most) if wallet else 0
        if taken:
            _move(account_id, Kind.ADJUST, -taken, actor="gateway", reason="taken off a later bill")
    return taken


def _ensure_wallet(account_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_wallet (account_id, balance, held) VALUES (%s, 0, 0) ON CONFLICT DO NOTHING",
            [account_id],
        )


def _move_for(job: Job, kind: Kind, balance_change: int, held_change: int) -> None:
    entry = _insert(
        job.account_id, kind, balance_change, held_change, job_id=job.id, operation=job.operation, actor="job"
    )
    if entry is None and (kind is Kind.HOLD or not _has_ended(job)):
        raise too_few(-balance_change)


def _move(account_id: int, kind: Kind, balance_change: int, *, actor: str, reason: str) -> LedgerEntry:
    entry = _insert(account_id, kind, balance_change, 0, actor=actor, reason=reason)
    if entry is None:
        raise too_few(-balance_change)
    return entry


def _insert(
    account_id: int,
    kind: Kind,
    balance_change: int,
    held_change: int,
    *,
    actor: str,
    job_id: UUID | None = None,
    operation: str = "",
    reason: str = "",
) -> LedgerEntry | None:
    """None where there is no wallet or too little in it, or where the job's hold has ended before."""
    values = {
        "account_id": account_id,
        "kind": kind.value,
        "balance": balance_change,
        "held": held_change,
        "job_id": job_id,
        "operation": operation,
        "actor": actor,
        "reason": reason,
    }
    entry = next(iter(LedgerEntry.objects.raw(_MOVE, values)), None)
    if entry is not None:
        moved = abs(balance_change or held_change)
        transaction.on_commit(lambda: broker.count(counts.field(counts.CREDITS, kind.value), moved), robust=True)
    return entry


def _has_ended(job: Job) -> bool:
    return LedgerEntry.objects.filter(job_id=job.id, kind__in=[Kind.CAPTURE, Kind.RELEASE]).exists()


def too_few(price: int) -> AppError:
    """The refusal of a call that the balance does not cover."""
    issue = f"This call costs {price} credit{'s' * (price != 1)} and the balance is lower; add credits and repeat it."
    return AppError(ErrorCode.INSUFFICIENT_CREDITS, issue, details=[Detail("credits", issue)])
