"""Use by day and operation, counted in the transaction that ends a job."""

from __future__ import annotations

from datetime import date

from django.db import connection
from django.utils import timezone

from apps.billing.models import UsageDay
from apps.core.models import Job, State
from apps.core.owner import Owner

_COUNT = """
INSERT INTO billing_usageday (account_id, mode, day, operation, succeeded, failed, credits)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (account_id, mode, day, operation) DO UPDATE SET
    succeeded = billing_usageday.succeeded + excluded.succeeded,
    failed = billing_usageday.failed + excluded.failed,
    credits = billing_usageday.credits + excluded.credits
"""


def count_job(job: Job, *, ended_as: State, credits: int = 0) -> None:
    """Add one ended job to its account's day (UTC); a cancelled one is no use at all."""
    if ended_as == State.CANCELLED:
        return
    succeeded = ended_as == State.SUCCEEDED
    today = timezone.now().date()
    values = (job.account_id, job.mode, today, job.operation, int(succeeded), int(not succeeded), credits)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)


def usage_between(owner: Owner, *, first: date, last: date) -> list[UsageDay]:
    """The rows of the days `first..last`, both included, oldest first; live and sandbox are apart."""
    rows = UsageDay.objects.filter(account_id=owner.account_id, mode=owner.mode, day__gte=first, day__lte=last)
    return list(rows.order_by("day", "operation"))
