"""
The errand of the `io` worker that fetches images by their address, so that a slow server holds no thread of the web process.

An item's row says what is to be fetched and when it is due. Whoever takes it pushes that moment on, as a lease: only he whose
lease still stands may say what came of it. A job can be claimed when its file is in the store, and not before.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.batches.models import Item
from apps.batches.sources import looked_at
from apps.batches.submission import OF_ONE
from apps.core import handover, lifecycle, tasks
from apps.core.errors import AppError, ErrorCode
from apps.core.intake.addresses import checked_address
from apps.core.intake.fetch import fetch_image
from apps.core.intake.uploads import Upload
from apps.core.models import FINAL_STATES, Job, State
from apps.core.operations import operation_named
from apps.core.storage import StoreAwayError, result_store

log = logging.getLogger(__name__)
PLACES = 32
_LEASE = timedelta(seconds=45)  # 10 for the fetch, 15 for a turn at the store, and the put
_PAUSE = timedelta(seconds=3)
TAKE = """
UPDATE batches_item SET fetch_at = %(lease)s
WHERE job_id = (
    SELECT item.job_id FROM batches_item item JOIN batches_batch batch ON batch.id = item.batch_id
    WHERE item.source_url <> '' AND item.fetch_at <= %(now)s AND batch.account_id NOT IN (
        SELECT other.account_id FROM batches_item busy JOIN batches_batch other ON other.id = busy.batch_id
        WHERE busy.source_url <> '' AND busy.fetch_at > %(now)s GROUP BY other.account_id HAVING count(*) >= %(of_one)s)
    ORDER BY item.fetch_at LIMIT 1 FOR UPDATE OF item SKIP LOCKED)
RETURNING *
"""


def count_due(most: int) -> int:
    """How many addresses are due, counted up to `most`."""
    return Item.objects.exclude(source_url="").filter(fetch_at__lte=timezone.now())[:most].count()


def fetch_next() -> bool:
    """Take one address that is due and deal with it. False: none was."""
    item = next(iter(Item.objects.raw(TAKE, facts_of_taking())), None)
    if item is None:
        return False
    job = Job.objects.get(id=item.job_id)
    if job.state != State.QUEUED or not job.awaits_input:
        _mine(item).update(source_url="")  # cancelled, or timed out
        return True
    try:
        upload = _fetched(item, job)
    except AppError as error:
        _refused(item, job, error)
        return True
    try:
        with upload.file:
            result_store().put(job.input_prefix + "image", upload.file, content_type=upload.content_type)
    except StoreAwayError:
        _mine(item).update(fetch_at=timezone.now() + _PAUSE)
        return True
    _hand_over(item, job)
    return True


def facts_of_taking() -> dict[str, Any]:
    """What TAKE is told."""
    now = timezone.now()
    return {"now": now, "lease": now + _LEASE, "of_one": OF_ONE}


def _fetched(item: Item, job: Job) -> Upload:
    """Raises AppError: the address is refused, or what lies there is no image for this operation."""
    operation = operation_named(job.operation)
    upload_url = handover.address_of(job)
    connection.close()  # back to the pool: somebody else's server must not keep it
    if upload_url:
        checked_address("upload_url", upload_url, account_id=job.account_id)
    file = fetch_image(
        item.source_url,
        max_bytes=operation.image_limits.max_bytes,
        allow_cidrs=tuple(settings.FETCH_ALLOW_CIDRS),
        caller=job.account_id,
    )
    try:
        return looked_at(file, operation, job.params, field="image_url")
    except AppError:
        file.close()
        raise


def _refused(item: Item, job: Job, error: AppError) -> None:
    """The end of that job alone; but an account's other fetches are no fault of this one."""
    if error.code is ErrorCode.RATE_LIMITED:
        _mine(item).update(fetch_at=timezone.now() + _PAUSE)
        return
    with transaction.atomic():
        if _mine(item).update(source_url=""):
            lifecycle.fail(job, error)


def _hand_over(item: Item, job: Job) -> None:
    """The file is in the store."""
    with transaction.atomic():
        if not _mine(item).update(source_url=""):
            return  # somebody else has fetched it since, and goes on with the same object
        is_wanted = lifecycle.input_is_there(job)
        if is_wanted:
            transaction.on_commit(tasks.wake_worker, robust=True)
    if not is_wanted and Job.objects.filter(id=job.id, state__in=FINAL_STATES).exists():
        lifecycle.delete_inputs(job, names=["image"])  # it was cancelled before the file came


def _mine(item: Item) -> Any:
    return Item.objects.filter(job_id=item.job_id, fetch_at=item.fetch_at)
