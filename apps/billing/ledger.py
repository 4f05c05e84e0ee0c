"""
Every movement of credits: one guarded UPDATE of the wallet and one ledger entry, in one transaction.

A wallet's row lock makes the movements of one account line up; the guards and the unique constraints make each repeatable.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from apps.billing.models import Kind, LedgerEntry, Wallet
from apps.core.errors import AppError, Detail, ErrorCode
from apps.core.models import Job

_MOVE = """
UPDATE billing_wallet SET balance = balance + %s, held = held + %s
WHERE account_id = %s AND balance + %s >= 0 AND held + %s >= 0
RETURNING balance, held
"""


def grant(account_id: int, credits: int, *, actor: str, reason: str, kind: Kind = Kind.GRANT) -> LedgerEntry:
    """
    Add credits, or with `Kind.ADJUST` take some away.

    Raises:
        AppError: INSUFFICIENT_CREDITS when an adjustment would take more than there is.
    """
    with transaction.atomic():
        _ensure_wallet(account_id)
        return _move(account_id, kind, credits, 0, actor=actor, reason=reason)


def hold(job: Job) -> None:
    """Put the job's price aside. Raises AppError(INSUFFICIENT_CREDITS)."""
    if job.price_credits:
        _ensure_wallet(job.account_id)
        _move(job.account_id, Kind.HOLD, -job.price_credits, job.price_credits, job=job)


def capture(job: Job) -> int:
    """Take what was held, once. Returns the credits charged."""
    if job.price_credits and not _has_ended(job):
        _move(job.account_id, Kind.CAPTURE, 0, -job.price_credits, job=job)
    return job.price_credits


def release(job: Job) -> None:
    """Give back what was held, once."""
    if job.price_credits and not _has_ended(job):
        _move(job.account_id, Kind.RELEASE, job.price_credits, -job.price_credits, job=job)


def take_owed(account_id: int, *, at_most: int) -> int:
    """Use up to `at_most` of what a gateway's account is owed. Returns how much was used."""
    with transaction.atomic():
        wallet = Wallet.objects.select_for_update().filter(account_id=account_id, balance__gt=0).first()
        taken = min(wallet.balance, at_most) if wallet else 0
        if taken:
            _move(account_id, Kind.ADJUST, -taken, 0, actor="gateway", reason="taken off a later bill")
    return taken


def _has_ended(job: Job) -> bool:
    return LedgerEntry.objects.filter(job_id=job.id, kind__in=[Kind.CAPTURE, Kind.RELEASE]).exists()


def _ensure_wallet(account_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_wallet (account_id, balance, held) VALUES (%s, 0, 0) ON CONFLICT DO NOTHING",
            [account_id],
        )


def _move(
    account_id: int, kind: Kind, balance_change: int, held_change: int, *, job: Job | None = None, **facts: Any
) -> LedgerEntry:
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [balance_change, held_change, account_id, balance_change, held_change])
        row = cursor.fetchone()
    if row is None:
        price = -balance_change
        issue = (
            f"This call costs {price} credit{'s' * (price != 1)} and the balance is lower; add credits and repeat it."
        )
        raise AppError(ErrorCode.INSUFFICIENT_CREDITS, issue, details=[Detail("credits", issue)])
    if job is not None:
        facts = {"job_id": job.id, "operation": job.operation, "actor": "job", "reason": ""}
    return LedgerEntry.objects.create(
        account_id=account_id,
        kind=kind,
        balance_change=balance_change,
        held_change=held_change,
        balance_after=row[0],
        held_after=row[1],
        **facts,
    )
