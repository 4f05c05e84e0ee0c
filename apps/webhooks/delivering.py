"""
The io worker's errand: claim what is due, fair between receivers, send it, and write down what came of it.

At least once: a worker that dies between the answer and the row sends again. In order: of the events about one subject, a later
one waits until the one before has been delivered or given up.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from apps.core import broker, counts
from apps.core.answers import DeliveryStatus
from apps.core.retries import pause_after
from apps.webhooks.models import TEST, Delivery, Event, Status, Webhook
from apps.webhooks.sending import LIMIT_S, Attempt, NothingToTellError, attempt

log = logging.getLogger(__name__)
PLACES = 48
KEPT = timedelta(days=30)
LEASE = timedelta(seconds=LIMIT_S + 10)
_BATCH = 1000

# Webhooks with something due that have a place left: by hops along the partial index, so that a hundred thousand waiting rows
# of one receiver cost no more than one. A receiver that fails has one place, others four; an account twelve.
_WHO_IS_NEXT = """
WITH RECURSIVE waiting AS (
    (SELECT webhook_id, next_attempt_at FROM webhooks_delivery WHERE status = 'pending'
     ORDER BY webhook_id, next_attempt_at LIMIT 1)
    UNION ALL
    SELECT next.webhook_id, next.next_attempt_at
    FROM waiting, LATERAL (SELECT webhook_id, next_attempt_at FROM webhooks_delivery
                           WHERE status = 'pending' AND webhook_id > waiting.webhook_id
                           ORDER BY webhook_id, next_attempt_at LIMIT 1) next
),
held AS (SELECT account_id, webhook_id, count(*) AS n FROM webhooks_delivery
         WHERE lease_until IS NOT NULL AND lease_until > %(now)s GROUP BY account_id, webhook_id),
of_account AS (SELECT account_id, sum(n) AS n FROM held GROUP BY account_id)
SELECT webhook.id
FROM waiting JOIN webhooks_webhook webhook ON webhook.id = waiting.webhook_id
LEFT JOIN held ON held.webhook_id = webhook.id
LEFT JOIN of_account ON of_account.account_id = webhook.account_id
WHERE waiting.next_attempt_at <= %(now)s AND webhook.status = 'active'
  AND coalesce(held.n, 0) < CASE WHEN webhook.is_failing THEN 1 ELSE 4 END AND coalesce(of_account.n, 0) < 12
ORDER BY coalesce(of_account.n, 0), coalesce(held.n, 0), waiting.next_attempt_at
LIMIT 20
"""
_CLAIM = """
UPDATE webhooks_delivery SET next_attempt_at = %(lease_until)s, lease_until = %(lease_until)s
WHERE status = 'pending'
  AND id = (SELECT id FROM webhooks_delivery due
            WHERE status = 'pending' AND webhook_id = %(webhook_id)s AND next_attempt_at <= %(now)s
              AND NOT EXISTS (SELECT FROM webhooks_delivery earlier
                              WHERE earlier.status = 'pending' AND earlier.webhook_id = due.webhook_id
                                AND earlier.subject_id = due.subject_id
                                AND (earlier.created_at, earlier.id) < (due.created_at, due.id))
            ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *
"""


def deliver_next() -> bool:
    """The errand's `run`: one try of one delivery. False where none is due, or none has a place."""
    delivery = claim()
    if delivery is None:
        return False
    webhook, event = delivery.webhook, delivery.event
    try:
        connection.close()  # back to the pool, while a receiver takes its time
        tried = attempt(webhook, event)
    except NothingToTellError:
        tried = None
    note(delivery, tried)
    return True


def due(most: int) -> int:
    """The errand's `due`."""
    rows = Delivery.objects.filter(status=DeliveryStatus.PENDING, next_attempt_at__lte=timezone.now())
    return rows.order_by()[:most].count()  # else a hundred thousand would be sorted for the first few


def send_test(delivery: Delivery) -> Delivery:
    """Try a test's delivery, which nobody else will, here and now."""
    connection.close()
    note(delivery, attempt(delivery.webhook, delivery.event))
    delivery.refresh_from_db()
    return delivery


def claim() -> Delivery | None:
    """The next delivery with a place at its receiver, for as long as a try can take; None where there is none."""
    now = timezone.now()
    facts = {"now": now, "lease_until": now + LEASE}
    with connection.cursor() as cursor:
        cursor.execute(_WHO_IS_NEXT, facts)
        webhooks = [row[0] for row in cursor.fetchall()]
    for webhook_id in webhooks:
        for claimed in Delivery.objects.raw(_CLAIM, {**facts, "webhook_id": webhook_id}):
            whole = Delivery.objects.select_related("webhook", "event").filter(id=claimed.id).first()
            if whole is not None:  # else its webhook was deleted in this moment
                return whole
    return None


def note(delivery: Delivery, tried: Attempt | None) -> None:
    """
    Write down what came of a try that we hold the claim of.

    Args:
        tried: None where there is nothing to tell any more.
    """
    webhook = delivery.webhook
    attempts = [*delivery.attempts, *([tried.to_json()] if tried else [])]
    status, again_at = _fate(delivery, tried)
    with transaction.atomic():
        if again_at and not Webhook.objects.select_for_update().filter(id=webhook.id, status=Status.ACTIVE).exists():
            status, again_at = DeliveryStatus.FAILED, None
        changed = Delivery.objects.filter(id=delivery.id, lease_until=delivery.lease_until).update(
            attempts=attempts,
            status=status,
            next_attempt_at=again_at,
            lease_until=None,
            finished_at=None if again_at else timezone.now(),
        )
        if not changed:  # its lease lapsed, or its webhook was deleted
            return
        if tried and webhook.is_failing == tried.is_success:
            Webhook.objects.filter(id=webhook.id).update(is_failing=not tried.is_success)
        if tried and tried.says_gone:
            disable(webhook.id)
    _tell(delivery, tried, status)


def disable(webhook_id: UUID) -> None:
    """From now on it hears nothing, and what waits for it is given up; what is on its way decides for itself (`note`)."""
    Webhook.objects.filter(id=webhook_id).update(status=Status.DISABLED)
    Delivery.objects.filter(webhook_id=webhook_id, status=DeliveryStatus.PENDING, lease_until=None).update(
        status=DeliveryStatus.FAILED, next_attempt_at=None, finished_at=timezone.now()
    )


def forget_old() -> int:
    """The sweeper's round: what ended a month ago is no more."""
    before = timezone.now() - KEPT
    old = Delivery.objects.filter(finished_at__lt=before).order_by("finished_at").values_list("id", flat=True)
    count, _ = Delivery.objects.filter(id__in=list(old[:_BATCH])).delete()
    if count:
        events = Event.objects.filter(created_at__lt=before, deliveries=None).values_list("id", flat=True)
        Event.objects.filter(id__in=list(events[:_BATCH])).delete()
    return count


def _fate(delivery: Delivery, tried: Attempt | None) -> tuple[DeliveryStatus, datetime | None]:
    """The row's status after a try, and when the next one is."""
    if tried is None:
        return DeliveryStatus.FAILED, None
    if tried.is_success:
        return DeliveryStatus.DELIVERED, None
    pause = pause_after(len(delivery.attempts) + 1)
    if pause is None or tried.says_gone or delivery.event.type == TEST:
        return DeliveryStatus.FAILED, None
    return DeliveryStatus.PENDING, timezone.now() + pause


def _tell(delivery: Delivery, tried: Attempt | None, status: DeliveryStatus) -> None:
    """To the counters and to the log; never the address, which may hold a secret."""
    outcome = "retried" if status == DeliveryStatus.PENDING else status.value
    broker.count(counts.field(counts.WEBHOOKS, outcome))
    facts = {
        **delivery.webhook.log_facts,
        "delivery": str(delivery.id),
        "event_id": str(delivery.event_id),
        "type": delivery.event.type,
        "outcome": outcome,
        "try": len(delivery.attempts) + 1,
        "http_status": tried.status if tried else None,
        "ms": tried.ms if tried else None,
        "why": tried.error if tried else "What it is about was deleted.",
    }
    log.log(logging.INFO if status == DeliveryStatus.DELIVERED else logging.WARNING, "webhook", extra={"facts": facts})
