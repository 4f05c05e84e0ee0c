"""Do balance, holds, ledger and jobs tell the same story? One query each, over all accounts."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction

_CHECKS = {
    "the wallet differs from the sum of its ledger": """
        SELECT a.id, a.name, format('wallet %%s/%%s, ledger %%s/%%s', coalesce(w.balance, 0), coalesce(w.held, 0),
               coalesce(l.balance, 0), coalesce(l.held, 0))
        FROM accounts_account a LEFT JOIN billing_wallet w ON w.account_id = a.id
        LEFT JOIN (SELECT account_id, sum(balance_change) AS balance, sum(held_change) AS held
                   FROM billing_ledgerentry GROUP BY account_id) l ON l.account_id = a.id
        WHERE coalesce(w.balance, 0) <> coalesce(l.balance, 0) OR coalesce(w.held, 0) <> coalesce(l.held, 0)""",
    "the held credits differ from the prices of its open jobs": """
        SELECT a.id, a.name, format('held %%s, open jobs %%s', coalesce(w.held, 0), coalesce(j.price, 0))
        FROM accounts_account a LEFT JOIN billing_wallet w ON w.account_id = a.id
        LEFT JOIN (SELECT account_id, sum(price_credits) AS price FROM core_job
                   WHERE funding = 'credits' AND state IN ('queued', 'running', 'settling')
                   GROUP BY account_id) j ON j.account_id = a.id
        WHERE coalesce(w.held, 0) <> coalesce(j.price, 0)""",
    "a finished job was charged otherwise than the ledger says": """
        SELECT a.id, a.name, format('job %%s (%%s): charged %%s, captured %%s', j.id, j.state, j.charged_credits,
               coalesce(-e.held_change, 0))
        FROM core_job j JOIN accounts_account a ON a.id = j.account_id
        LEFT JOIN billing_ledgerentry e ON e.job_id = j.id AND e.kind = 'capture'
        WHERE j.funding = 'credits' AND j.state IN ('succeeded', 'failed', 'cancelled', 'expired')
          AND j.charged_credits <> coalesce(-e.held_change, 0)""",
    "a finished job still has its hold": """
        SELECT a.id, a.name, format('job %%s (%%s)', j.id, j.state)
        FROM core_job j JOIN accounts_account a ON a.id = j.account_id
        JOIN billing_ledgerentry h ON h.job_id = j.id AND h.kind = 'hold'
        WHERE j.state IN ('succeeded', 'failed', 'cancelled', 'expired') AND NOT EXISTS (
            SELECT 1 FROM billing_ledgerentry e WHERE e.job_id = j.id AND e.kind IN ('capture', 'release'))""",
}


@dataclass(frozen=True)
class Disagreement:
    """One account and what does not add up."""

    account: str
    what: str
    figures: str


def disagreements() -> list[Disagreement]:
    """Everything that does not add up, from one snapshot of the database."""
    found: list[Disagreement] = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for what, query in _CHECKS.items():
            cursor.execute(query, [])
            found += [Disagreement(name, what, figures) for _, name, figures in cursor.fetchall()]
    return found
