"""The end of a batch: when its last job has ended, what they came to is kept on its row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import CharField, Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from apps.batches.answers import ListedBatch, listed_batches
from apps.batches.models import Batch, Item
from apps.core import broker, lifecycle
from apps.core.happenings import Happening, announce
from apps.core.models import FINAL_STATES, OPEN_STATES, Job, State
from apps.core.traces import NEVER, Trace

FINISHED = "batch.finished"
_MOST = 100
_OVER = """
SELECT id FROM batches_batch batch
WHERE finished_at IS NULL AND NOT EXISTS (
    SELECT FROM batches_item item JOIN core_job job ON job.id = item.job_id
    WHERE item.batch_id = batch.id AND job.state IN ('queued', 'running', 'settling'))
ORDER BY created_at LIMIT %s
"""


def note_end(job: Job, ended_as: State) -> None:  # noqa: ARG001 - the hook's signature
    """
    The hook on a job's end. Its batch is looked at when that has been committed: of two last jobs that end at once at least
    one then sees the other's end, and no lock of the batch is held beside those of the wallet. Whoever dies before it leaves
    the look to the sweeper.
    """
    if job.in_batch:
        transaction.on_commit(lambda: finish_batch_of(job.id), robust=True)


def finish_batch_of(job_id: Any) -> None:
    """Finish the batch whose item has just ended, if it was the last one."""
    batch_id = Item.objects.filter(job_id=job_id).values_list("batch_id", flat=True).first()
    if batch_id is not None:
        if not _open_items(batch_id).exists():
            finish(batch_id)
        broker.tell_change(f"batch:{batch_id}")


def finish(batch_id: Any) -> bool:
    """
    Keep what the items came to; from now on the results of all live as long as the batch. Only once, and only when all have
    ended. False: it was not to be done.
    """
    with transaction.atomic():
        unfinished, now = Batch.objects.filter(id=batch_id, finished_at=None), timezone.now()
        batch = unfinished.first()
        if batch is None or _open_items(batch_id).exists():
            return False
        expires_at = now + timedelta(seconds=batch.retention_s)
        if not unfinished.update(finished_at=now, expires_at=expires_at, **tally(batch_id)):
            return False
        batch.refresh_from_db()
        mine = Job.objects.filter(id__in=Item.objects.filter(batch_id=batch_id).values("job_id"))
        mine.filter(state=State.SUCCEEDED, deleted_at=None).update(expires_at=batch.expires_at)
        if batch.deleted_at is None:
            announce(_happening(batch))
    return True


def told(batch_id: str) -> ListedBatch | None:
    """What news of a batch tell: all but its items; None where its owner deleted it."""
    batch = Batch.objects.filter(id=uuid.UUID(batch_id), deleted_at=None).first()
    return listed_batches([batch])[0] if batch else None


def _happening(batch: Batch) -> Happening:
    return Happening(FINISHED, batch.account_id, batch.mode, subject_id=str(batch.id), operation=batch.operation)


def tally(batch_id: Any) -> dict[str, int]:
    """How many items have ended as what, and what they have cost."""
    job_state = "job__state"
    counted: dict[str, int] = Item.objects.filter(batch_id=batch_id).aggregate(
        succeeded=Count("pk", filter=Q(**{f"{job_state}__in": [State.SUCCEEDED, State.EXPIRED]})),
        failed=Count("pk", filter=Q(**{job_state: State.FAILED})),
        cancelled=Count("pk", filter=Q(**{job_state: State.CANCELLED})),
        charged_credits=Sum("job__charged_credits", default=0),
    )
    return counted


def finish_forgotten() -> int:
    """The sweeper's round: batches whose last job ended without anybody looking, and deletions that did not come to their end."""
    with connection.cursor() as cursor:
        cursor.execute(_OVER, [_MOST])
        over = [row[0] for row in cursor.fetchall()]
    left = Batch.objects.filter(finished_at=None, deleted_at__isnull=False).order_by("created_at")[:_MOST]
    for batch in left:
        delete_items(batch)
    return sum(finish(batch_id) for batch_id in over) + len(left)


def delete(batch: Batch) -> None:
    """
    Its owner wants it gone: what has not ended is cancelled, unpaid, and the results of the others are deleted. What the client
    wrote goes first (parameters, names, addresses); what was charged stays to be seen.
    """
    with transaction.atomic():
        Batch.objects.filter(id=batch.id, deleted_at=None).update(deleted_at=timezone.now(), params={})
        nameless = Concat(Value("image-"), Cast(F("index") + 1, CharField()))
        batch.items.update(name=nameless, source_url="")
    delete_items(batch)


def traces_of(job: Job) -> Iterator[Trace]:
    """What a batch keeps of a job beside the job itself."""
    if job.in_batch:
        left = Item.objects.filter(job_id=job.id).exclude(source_url="").count()
        kept_until = NEVER if left and job.state == State.QUEUED else None
        yield Trace("address in its batch", left=left, kept_until=kept_until)


def delete_items(batch: Batch) -> None:
    """Each by itself, the waiting ones first: a worker that settles one holds the rows that the next needs."""
    jobs = list(Job.objects.filter(id__in=batch.items.values("job_id"), deleted_at=None).order_by("-created_at"))
    for job in sorted(jobs, key=lambda job: job.state in FINAL_STATES):
        lifecycle.delete(job)


def _open_items(batch_id: Any) -> QuerySet[Item]:
    return Item.objects.filter(batch_id=batch_id, job__state__in=OPEN_STATES)
