"""What batches keep of a job: the address of its image until that is fetched. Their archives are made while they are sent."""

from __future__ import annotations

from collections.abc import Iterator

from apps.batches.models import Item
from apps.core.models import Job
from apps.core.traces import NEVER, Trace


def of_item(job: Job) -> Iterator[Trace]:
    """Of a job that was sent in a batch."""
    item = Item.objects.filter(job=job).select_related("batch").first()
    if item is None:
        return
    left = int(bool(item.source_url))
    yield Trace("address of its image", left=left, kept_until=NEVER if left and not job.deleted_at else None)
    if item.batch.deleted_at:
        yield Trace("parameters of its batch", left=int(bool(item.batch.params)), gone_at=item.batch.deleted_at)
