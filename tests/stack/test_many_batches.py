"""
Lists and polls of batches stay quick when there are many.

    BATCH_ROWS=10000 .venv/bin/pytest tests/stack/test_many_batches.py -s     # the long run; BATCH_ITEMS=100 for a million jobs
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Account
from apps.batches import ending, fetching
from apps.batches.answers import batch_answer, listed_batches
from apps.batches.archive import contents_of
from apps.batches.models import Batch, Item
from apps.core import lifecycle
from apps.core.api.cursors import PageAsked, Place, page_of
from tests.stack.grown import LIMIT_MS, REPEATS

BATCHES = int(os.environ.get("BATCH_ROWS", "2000"))
ITEMS = int(os.environ.get("BATCH_ITEMS", "20"))
POLL_MS = 30.0
_OUTCOME = (
    '{"artifacts": {"image": {"key": "results/x/1/image.png", "content_type": "image/png", "width": 9, "height": 9, '
    '"bytes": 9, "sha256": "8c1f"}}, "facts": {}, "box_xywh": null, "warnings": [], "model": "m", "device": "cpu", '
    '"precision": "f32", "timings_ms": [], "chargeable": true}'
)
# A hundred accounts, the first of which has two fifths of all batches; the newest forty are unfinished, half by address.
_FILL = [
    "INSERT INTO accounts_account (name, plan, is_active, created_at) "
    "SELECT 'many-' || n, 'CUSTOM', true, now() FROM generate_series(1, 100) n",
    "CREATE TEMP TABLE many AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM accounts_account",
    """
    INSERT INTO batches_batch (id, account_id, mode, operation, params, retention_s, total, succeeded, failed, cancelled,
        charged_credits, created_at, finished_at, expires_at)
    SELECT md5('b' || b.n)::uuid, many.id, 'live', 'remove-bg', '{}', 86400, %(items)s, %(items)s, 0, 0, %(items)s,
        now() - (%(batches)s - b.n) * interval '1 min', CASE WHEN NOT is_open THEN now() END,
        CASE WHEN NOT is_open THEN now() + interval '1 day' END
    FROM (SELECT n, n > %(batches)s - 40 AS is_open FROM generate_series(1, %(batches)s) n) b
    JOIN many ON many.n = CASE WHEN b.n %% 5 < 2 THEN 1 ELSE 1 + b.n %% 100 END
    """,
    """
    INSERT INTO core_job (id, account_id, operation, params, request_id, funding, price_credits, charged_credits,
        billed_early, state, stage, progress, attempt, crashes, worker, object_token, inputs_stored, results_stored,
        retention_s, created_at, started_at, finished_at, expires_at, outcome, in_batch, awaits_input)
    SELECT md5(b.id::text || i)::uuid, b.account_id, 'remove-bg', '{}', 'many', 'credits', 1, (NOT is_queued)::int, false,
        CASE WHEN is_queued THEN 'queued' ELSE 'succeeded' END, 's', 1, 1, 0, 'w', md5(b.id::text || i), is_queued,
        NOT is_queued, 86400, b.created_at + i * interval '1 microsecond', CASE WHEN NOT is_queued THEN b.created_at END,
        CASE WHEN NOT is_queued THEN now() END, CASE WHEN NOT is_queued THEN now() + interval '1 day' END,
        CASE WHEN NOT is_queued THEN %(outcome)s::jsonb END, true, is_queued AND b.n %% 2 = 0
    FROM (SELECT *, row_number() OVER (ORDER BY created_at) AS n FROM batches_batch) b,
        LATERAL (SELECT i, b.finished_at IS NULL AND i > %(items)s / 2 AS is_queued FROM generate_series(1, %(items)s) i) j
    """,
    """
    INSERT INTO batches_item (job_id, batch_id, index, name, source_url, fetch_at)
    SELECT j.id, b.id, i - 1, i || '.png', CASE WHEN j.awaits_input THEN 'https://slow.example/a' ELSE '' END,
        CASE WHEN j.awaits_input THEN now() END
    FROM batches_batch b, generate_series(1, %(items)s) i JOIN core_job j ON true
    WHERE j.id = md5(b.id::text || i)::uuid
    """,
    "ANALYZE core_job, batches_batch, batches_item",
]


@pytest.fixture
def account(db: None) -> Account:
    """A database full of rows; the test's transaction takes all of it away again."""
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"batches": BATCHES, "items": ITEMS, "outcome": _OUTCOME})
    assert Item.objects.count() == BATCHES * ITEMS
    return Account.objects.get(name="many-1")


def timed(what: str, call: Callable[[], Any], *, most_ms: float) -> None:
    """The quickest of some calls, in ms (neighbours slow the others down), and how many statements each sends."""
    with CaptureQueriesContext(connection) as asked:
        call()
    took: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    print(f"{what}: {min(took):.1f} ms (median {statistics.median(took):.1f}), {len(asked)} statements")
    assert min(took) < most_ms, what


def test_lists_and_polls_are_quick_with_thousands_of_batches(account: Account) -> None:
    mine = Batch.objects.filter(account=account, mode="live")
    middle = Place.of(mine.order_by("-created_at")[mine.count() // 2]).cursor
    finished = mine.filter(finished_at__isnull=False).order_by("-created_at")[0]
    unfinished = mine.filter(finished_at=None).order_by("-created_at")[0]

    def page(cursor: str | None = None) -> Any:
        asked = {"limit": "100", **({"cursor": cursor} if cursor else {})}
        return listed_batches(page_of(mine, PageAsked.of(asked)).rows)

    print(f"\n{BATCHES} batches of {ITEMS}, {mine.count()} of them the account's")
    timed("list, first page of 100", page, most_ms=POLL_MS)
    timed("list, in the middle", lambda: page(middle), most_ms=POLL_MS)
    timed("poll of an unfinished one", lambda: batch_answer(unfinished), most_ms=POLL_MS)
    timed("poll of a finished one", lambda: batch_answer(finished), most_ms=POLL_MS * max(1, ITEMS / 40))
    timed("an archive's manifest", lambda: contents_of(finished), most_ms=POLL_MS)
    timed("an item's end", lambda: ending.finish_batch_of(unfinished.items.first().job_id), most_ms=LIMIT_MS)
    timed("the sweeper's round", ending.finish_forgotten, most_ms=LIMIT_MS)
    timed("addresses that are due", lambda: fetching.count_due(32), most_ms=LIMIT_MS)
    timed(
        "an address is taken",
        lambda: list(Item.objects.raw(fetching.TAKE, fetching.facts_of_taking())),
        most_ms=LIMIT_MS,
    )
    timed("a job is claimed", lambda: lifecycle.claim("w"), most_ms=LIMIT_MS)
