"""
The queries that clients and workers wait for stay quick when the tables have grown.

    MILLION=1 .venv/bin/pytest tests/stack/test_million.py -s     # a million jobs and ledger rows; 200,000 otherwise
"""

from __future__ import annotations

import os
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Account
from apps.billing import ledger
from apps.billing.funding import CreditFunding
from apps.billing.usage import usage_between
from apps.core import idempotency, jobs, lifecycle, limits, metrics, sweeper, tasks
from apps.core.api.cursors import PageAsked, Place
from apps.core.api.job_list import Filters, jobs_page
from apps.core.dialects.envelope import listed_job
from apps.core.models import IdempotencyKey, Job, State
from apps.core.operations import operation_named
from apps.core.outcome import Outcome
from apps.core.owner import Mode
from tests.stack.grown import LIMIT_MS, REPEATS

ROWS = 1_000_000 if os.environ.get("MILLION") else 200_000

# Thirty days of a service with a thousand accounts, the first of which has two fifths of all jobs. A day's results are
# still there; five thousand jobs wait; a few are in work, some of them with a lapsed lease; some have leftovers.
_FILL = [
    """
    INSERT INTO accounts_account (name, plan, is_active, created_at)
    SELECT 'grown-' || n, 'CUSTOM', true, now() FROM generate_series(1, 1000) n
    """,
    "CREATE TEMP TABLE grown AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM accounts_account",
    """
    INSERT INTO core_job (id, account_id, operation, params, request_id, funding, price_credits, charged_credits,
        billed_early, state, stage, progress, attempt, crashes, worker, lease_until, object_token, inputs_stored,
        results_stored, retention_s, created_at, started_at, finished_at, expires_at, deleted_at)
    SELECT gen_random_uuid(), a.id, 'remove-bg', '{}', 'grown', 'credits', 1, (j.state IN ('succeeded', 'expired'))::int,
        false, j.state, j.state, 1, 1, 0, 'w', CASE WHEN j.state = 'running' THEN now() + (j.n %% 2 - 0.5) * interval '1 min' END,
        md5(j.n::text), j.is_open OR j.n %% 5000 = 1, j.state = 'succeeded' OR j.n %% 5000 = 2, 86400, j.at,
        CASE WHEN j.state <> 'queued' THEN j.at END, CASE WHEN NOT j.is_open THEN j.at END,
        CASE WHEN j.state IN ('succeeded', 'expired') THEN j.at + interval '1 day' END,
        CASE WHEN j.n %% 5000 = 2 THEN j.at END
    FROM (SELECT n, now() - (%(rows)s - n) * interval '30 days' / %(rows)s AS at, n > %(rows)s - 4916 AS is_open,
          CASE WHEN n > %(rows)s - 16 THEN 'running' WHEN n > %(rows)s - 4916 THEN 'queued' WHEN n %% 40 = 0 THEN 'failed'
          WHEN n > %(rows)s * 29 / 30 THEN 'succeeded' ELSE 'expired' END AS state
          FROM generate_series(1, %(rows)s) n) j
    JOIN grown a ON a.n = CASE WHEN j.n %% 5 < 2 THEN 1 ELSE 1 + j.n %% 1000 END
    """,
    """
    INSERT INTO billing_ledgerentry (account_id, kind, balance_change, held_change, balance_after, held_after, job_id,
        operation, actor, reason, created_at)
    SELECT account_id, kind, CASE kind WHEN 'hold' THEN -1 ELSE 0 END, CASE kind WHEN 'hold' THEN 1 ELSE -1 END, 5, 0,
        id, operation, 'job', '', created_at
    FROM (SELECT * FROM core_job WHERE funding = 'credits' ORDER BY created_at DESC LIMIT %(rows)s / 2) j,
        (VALUES ('hold'), ('capture')) k (kind)
    WHERE kind = 'hold' OR state IN ('succeeded', 'expired')
    """,
    "INSERT INTO billing_wallet (account_id, balance, held) SELECT id, 1000, 10000 FROM grown",
    """
    INSERT INTO billing_usageday (account_id, day, operation, succeeded, failed, credits)
    SELECT a.id, current_date - d, o, 5, 1, 5 FROM grown a, generate_series(0, 29) d,
        (VALUES ('remove-bg'), ('clothing'), ('watermark')) p (o)
    """,
    """
    INSERT INTO core_idempotencykey (account_id, key, fingerprint, kind, made_id, answered_binary, created_at)
    SELECT account_id, 'key-' || row_number() OVER (), md5(id::text), 'job', id, true, created_at
    FROM core_job WHERE created_at > now() - interval '1 day'
    """,
    "ANALYZE core_job, billing_ledgerentry, billing_wallet, billing_usageday, core_idempotencykey, accounts_account",
]


@dataclass
class Grown:
    """The account with the most jobs, one of its ended jobs, and a key that was used today."""

    account: Account
    job_id: uuid.UUID
    ticket: idempotency.Ticket

    @cached_property
    def middle(self) -> str:
        """A cursor in the middle of the account's jobs."""
        before = timezone.now() - timedelta(days=15)
        rows = Job.objects.filter(account=self.account, created_at__lt=before)
        return Place.of(rows.order_by("-created_at")[0]).cursor


@pytest.fixture
def grown(db: None) -> Grown:
    """A database full of rows; the test's transaction takes all of it away again."""
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"rows": ROWS})
    account = Account.objects.get(name="grown-1")
    key = IdempotencyKey.objects.filter(made_id__in=Job.objects.filter(state=State.SUCCEEDED).values("id"))[0]
    return Grown(
        account,
        Job.objects.filter(account=account, state=State.EXPIRED).values_list("id", flat=True)[0],
        idempotency.Ticket(key.account_id, Mode.LIVE, key.key, key.fingerprint),
    )


def open_job() -> Job:
    """A job in work, with its hold in the ledger."""
    job = lifecycle.claim("w")
    assert job is not None
    return job


def settle() -> None:
    job = open_job()
    kept = Outcome(artifacts={}, facts={}, model="m", device="cpu").to_json()
    lifecycle._move(job, State.RUNNING, State.SETTLING, outcome=kept)
    lifecycle.settle(job)


def admission(grown: Grown) -> None:
    order = SimpleNamespace(
        identity=SimpleNamespace(account_id=grown.account.id, mode=Mode.LIVE), pace_name="remove-bg", ticket=None
    )
    with jobs.admitted(order, deadline_s=10**9):
        pass


def identity_of(grown: Grown) -> Any:
    return SimpleNamespace(
        account_id=grown.account.id,
        mode=Mode.LIVE,
        scopes=frozenset({"remove-bg"}),
        may_use=lambda slug: slug in _SCOPES,
    )


_SCOPES = {"remove-bg", "watermark-removal"}
_HUNDRED = {"limit": "100"}


def job_page(grown: Grown, **query: str) -> list[Job]:
    """What `GET /v1/jobs` reads for the largest account."""
    rows = jobs_page(identity_of(grown), Filters.of(query), PageAsked.of(_HUNDRED | query)).rows
    return [job for job in rows if listed_job(job)]


def hold(grown: Grown) -> None:
    ledger.hold(Job(account=grown.account, operation="remove-bg", price_credits=1))


TODAY = timezone.now().date()
QUERIES: dict[str, Callable[[Grown], Any]] = {
    "account: credits": lambda grown: CreditFunding().credits(grown.account.id),
    "account: price": lambda grown: CreditFunding().price(operation_named("remove-bg")),
    "usage: 30 days": lambda grown: usage_between(
        Job(account=grown.account), first=TODAY - timedelta(days=29), last=TODAY
    ),
    "usage: a year": lambda grown: usage_between(
        Job(account=grown.account), first=TODAY - timedelta(days=366), last=TODAY
    ),
    "one job": lambda grown: list(jobs.visible_to(identity_of(grown)).filter(id=grown.job_id)),
    "jobs: the first 100": job_page,
    "jobs: 100 in the middle": lambda grown: job_page(grown, cursor=grown.middle),
    "jobs: a status": lambda grown: job_page(grown, status="failed", cursor=grown.middle),
    "jobs: a status of none": lambda grown: job_page(grown, status="cancelled"),
    "jobs: succeeded": lambda grown: job_page(grown, status="succeeded"),
    "jobs: expired": lambda grown: job_page(grown, status="expired"),
    "jobs: an operation of none": lambda grown: job_page(grown, operation="watermark-removal"),
    "jobs: of a day": lambda grown: job_page(grown, **{"from": str(TODAY - timedelta(days=9)), "to": str(TODAY)}),
    "admission": admission,
    "jobs at once": lambda grown: limits.refuse_too_many_jobs(Job(account=grown.account), jobs_at_once=10**9),
    "hold": hold,
    "replay": lambda grown: idempotency.first_answer(grown.ticket),
    "claim": lambda _: open_job(),
    "claim and settle": lambda _: settle(),
    "renew leases": lambda grown: lifecycle.renew_leases([(grown.job_id, 1)]),
    "lapsed leases": lambda _: list(lifecycle.lapsed()[:200]),
    "results to purge": lambda _: lifecycle.due_for_purge(200),
    "inputs to delete": lambda _: lifecycle.due_for_input_deletion(200),
    "forgotten jobs": lambda _: sweeper.wake_forgotten(),
    "jobs of a dead worker": lambda _: lifecycle.take_back_from("nobody"),
    "old keys": lambda _: idempotency.forget_old(),
    "a payer's key": lambda _: idempotency.first_answer(idempotency.Ticket(None, Mode.LIVE, "key-1", "f", "0xaa")),
    "anybody's key": lambda _: list(idempotency.of_any_payer(key="key-1", fingerprint="f")),
    "keys of what is undone": lambda grown: idempotency.forget(Job(id=grown.job_id)),
    "jobs by state, for the metrics": lambda _: list(metrics._jobs()),
}


def test_what_clients_and_workers_wait_for_reads_no_whole_table(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "wake_worker", lambda: None)
    too_slow, whole_tables = [], []
    for name, query in QUERIES.items():
        took_ms = []
        for _ in range(REPEATS):
            with CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                query(grown)
                took_ms.append((time.perf_counter() - began) * 1000 / max(1, len(captured)))
        median_ms = statistics.median(took_ms)
        print(f"\n{name:<28} {median_ms:6.1f} ms for each of {len(captured)} statements", end="")
        too_slow += [(name, round(median_ms))] if median_ms >= LIMIT_MS else []
        whole_tables += [(name, line) for statement in captured for line in sequential_scans(statement["sql"])]

    print(f"\nwith {ROWS} jobs and ledger rows")
    assert not whole_tables
    if "MILLION" in os.environ:  # times are for a quiet machine that was asked for them; plans hold everywhere
        assert not too_slow


def sequential_scans(statement: str) -> list[str]:
    """The lines of its plan that read one of the large tables from end to end."""
    if not statement.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
        return []
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + statement.replace("%", "%%"), [])
        lines = [row[0] for row in cursor.fetchall()]
    large = ("core_job", "billing_ledgerentry", "core_idempotencykey", "billing_usageday")
    return [f"{line}\n{statement}" for line in lines if "Seq Scan" in line and any(name in line for name in large)]
