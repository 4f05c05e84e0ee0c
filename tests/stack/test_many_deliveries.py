"""A hundred thousand deliveries, half of them waiting for a receiver that is down: what is asked of them stays quick."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.models import Account
from apps.core import happenings
from apps.core.api.cursors import PageAsked, page_of
from apps.core.happenings import Happening
from apps.webhooks import delivering
from apps.webhooks.models import Delivery, Webhook

ROWS = 100_000
LIMIT_MS = 30.0
REPEATS = 7

# A thousand webhooks; the first one's receiver is down, and half of all deliveries wait for it. A few others have something due.
_FILL = [
    "INSERT INTO accounts_account (name, plan, is_active, created_at) "
    "SELECT 'hooked-' || n, 'CUSTOM', true, now() FROM generate_series(1, 1000) n",
    "CREATE TEMP TABLE hooked AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM accounts_account "
    "WHERE name LIKE 'hooked-%%'",
    """
    INSERT INTO webhooks_webhook (id, account_id, mode, url, events, description, status, sealed_secret, sealed_previous,
        is_failing, created_at)
    SELECT md5(n::text)::uuid, id, 'live', 'https://shop.example/' || n, '["job.succeeded"]', '', 'active', 'x', '', n = 1, now()
    FROM hooked
    """,
    """
    INSERT INTO webhooks_event (id, account_id, type, subject_id, created_at)
    SELECT md5('e' || n)::uuid, (SELECT id FROM hooked h WHERE h.n = CASE WHEN s.n %% 2 = 0 THEN 1 ELSE 1 + s.n %% 1000 END),
        'job.succeeded', md5(n::text), now() - (%(rows)s - n) * interval '20 days' / %(rows)s
    FROM generate_series(1, %(rows)s) s (n)
    """,
    """
    INSERT INTO webhooks_delivery (id, event_id, webhook_id, account_id, subject_id, status, attempts, created_at,
        next_attempt_at, finished_at)
    SELECT md5('d' || e.n)::uuid, md5('e' || e.n)::uuid, md5(h.n::text)::uuid, h.id, md5(e.n::text), s.status,
        '[{"at": "2026-12-01T00:00:00.000Z", "httpStatus": 503, "ms": 7, "error": "x"}]',
        now() - (%(rows)s - e.n) * interval '20 days' / %(rows)s,
        CASE WHEN s.status = 'pending' THEN now() - interval '1 minute' END,
        CASE WHEN s.status <> 'pending' THEN now() END
    FROM generate_series(1, %(rows)s) e (n)
    JOIN hooked h ON h.n = CASE WHEN e.n %% 2 = 0 THEN 1 ELSE 1 + e.n %% 1000 END,
    LATERAL (SELECT CASE WHEN e.n %% 2 = 0 OR e.n > %(rows)s - 100 THEN 'pending' ELSE 'delivered' END AS status) s
    """,
    "ANALYZE webhooks_webhook, webhooks_event, webhooks_delivery",
]


@pytest.fixture
def down(db: None) -> Webhook:
    """The one whose receiver is down; the test's transaction takes all of it away again."""
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"rows": ROWS})
    return Webhook.objects.get(account=Account.objects.get(name="hooked-1"))


def announce(webhook: Webhook) -> None:
    with transaction.atomic():
        happenings.announce(
            Happening("job.succeeded", webhook.account_id, "live", subject_id="x", operation="remove-bg")
        )


def page(webhook: Webhook) -> list[Delivery]:
    rows = Delivery.objects.filter(webhook=webhook).select_related("event")
    return page_of(rows, PageAsked(100)).rows


_ASKED: dict[str, Callable[[Webhook], Any]] = {
    "a page of deliveries": page,
    "the io worker's next": lambda _: delivering.claim(),
    "how many are due": lambda _: delivering.due(48),
    "a job's end": announce,
    "what is old": lambda _: delivering.forget_old(),
}


def test_nothing_grows_with_the_deliveries(down: Webhook) -> None:
    took_ms = {name: min(measured(ask, down)) for name, ask in _ASKED.items()}  # the best: others work here, too

    print("\n" + ", ".join(f"{name}: {ms:.1f} ms" for name, ms in took_ms.items()))
    assert {name: ms for name, ms in took_ms.items() if ms > LIMIT_MS} == {}


def test_who_is_down_holds_up_nobody(down: Webhook) -> None:
    claimed = [delivering.claim() for _ in range(40)]

    of_down = [each for each in claimed if each and each.webhook_id == down.id]
    assert len(of_down) == 1
    assert len([each for each in claimed if each]) == 40


def measured(ask: Callable[[Webhook], Any], webhook: Webhook) -> list[float]:
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask(webhook)
        took.append(1000 * (time.perf_counter() - began))
    return took
