"""From what happened to rows that the io worker delivers, in the transaction in which it happened."""

from __future__ import annotations

import uuid
from functools import partial

from django.db import transaction
from django.utils import timezone

from apps.core import errands, happenings
from apps.core.answers import Part
from apps.core.dialects.envelope import job_data
from apps.core.happenings import Happening
from apps.core.models import Job, State
from apps.core.owner import Mode
from apps.webhooks.models import Delivery, Event, Status, Webhook

ERRAND = "webhooks"
_TOLD = {State.SUCCEEDED: "job.succeeded", State.FAILED: "job.failed"}


def on_ending(job: Job, ended_as: State) -> None:
    """The core's hook: a job's own news."""
    if ended_as in _TOLD:
        happenings.announce(
            Happening(_TOLD[ended_as], job.account_id, job.mode, subject_id=str(job.id), operation=job.operation)
        )


def write_down(happening: Happening) -> None:
    """The core's listener: one event and a delivery for each webhook that wants it; nothing of the sandbox goes out."""
    if happening.mode != Mode.LIVE:
        return
    webhooks = [each for each in _active(happening.account_id) if _wants(each, happening)]
    if not webhooks:
        return
    now = timezone.now()
    event = Event.objects.create(
        account_id=happening.account_id,
        type=happening.type,
        subject_id=happening.subject_id,
        data=happening.data,
        created_at=now,
    )
    Delivery.objects.bulk_create(delivery_of(event, webhook) for webhook in webhooks)
    for _ in webhooks:
        transaction.on_commit(partial(errands.wake, ERRAND), robust=True)


def delivery_of(event: Event, webhook: Webhook) -> Delivery:
    """A row that is due at once."""
    now = timezone.now()
    return Delivery(
        event=event,
        webhook=webhook,
        account_id=webhook.account_id,
        subject_id=event.subject_id,
        created_at=now,
        next_attempt_at=now,
    )


def job_told(job_id: str) -> Part | None:
    """A job as GET shows it, with fresh links; None for one that its owner deleted."""
    job = Job.objects.filter(id=uuid.UUID(job_id), deleted_at=None).first()
    return job_data(job) if job else None


def _active(account_id: int) -> list[Webhook]:
    rows = Webhook.objects.filter(account_id=account_id, mode=Mode.LIVE, status=Status.ACTIVE)
    return list(rows.only("id", "account_id", "events", "scopes"))


def _wants(webhook: Webhook, happening: Happening) -> bool:
    is_in_scope = webhook.scopes is None or happening.operation is None or happening.operation in webhook.scopes
    return happening.type in webhook.events and is_in_scope
