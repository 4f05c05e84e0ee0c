"""From a checked request to a batch: files into the store, then one transaction for all rows, the key and the money."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.batches.models import Batch, Item
from apps.billing.ledger import too_few
from apps.core import errands, handover, idempotency, jobs, lifecycle, tasks
from apps.core.errors import AppError
from apps.core.funding import funding_named
from apps.core.idempotency import Fate
from apps.core.identity import Identity
from apps.core.intake.uploads import Upload
from apps.core.models import Handover, Job, object_token
from apps.core.operations import Operation
from apps.core.storage import StoreAwayError, result_store

log = logging.getLogger(__name__)
ERRAND = "batch_images"
OF_ONE = 8
"""Addresses of one account that are asked at once."""
_MOST_WAKE_UPS = 16  # whoever ends a job wakes another worker


@dataclass(frozen=True)
class Piece:
    """
    One image as it was sent: exactly one of `upload`, `url` and `error`, which says what is wrong with it.

    Args:
        name: safe, and the only one of that name.
        upload_url: of one with a `url`: where its result is put, too.
    """

    name: str
    upload: Upload | None = None
    url: str = ""
    upload_url: str = ""
    error: AppError | None = None


@dataclass(frozen=True)
class BatchOrder:
    """Everything that decides what a batch is; `params` are checked, `sent_params` are what the client wrote."""

    operation: Operation
    identity: Identity
    params: dict[str, Any]
    sent_params: dict[str, Any]
    pieces: Sequence[Piece]
    retention_s: int
    request_id: str
    price_each: int
    ticket: idempotency.Ticket | None = None

    @property
    def price_credits(self) -> int:
        """What it costs if all that can succeed does."""
        return self.price_each * sum(piece.error is None for piece in self.pieces)


def fate_of(batch: Batch) -> Fate:
    """Of its Idempotency-Key."""
    return Fate.STANDS if batch.deleted_at is None else Fate.GONE


def submit(order: BatchOrder) -> Batch:
    """
    Keep a batch and put its price aside, all or nothing.

    Raises:
        AppError: OVERLOADED when the queue is full or the store is away, INSUFFICIENT_CREDITS, CONFLICT.
        KeyTakenError: a request with the same key was faster.
    """
    name = order.operation.pace_name(order.params)
    with jobs.all_admitted(order.identity, pace_name=name, jobs=len(order.pieces), ticket=order.ticket):
        refuse_uncovered(order)
        batch, rows = _rows(order)
        connection.close()  # back to the pool: a slow store must not keep it from requests that need only the rows
        _store(order.pieces, rows)
        try:
            with transaction.atomic():
                _insert(order, batch, rows)
        except (AppError, idempotency.KeyTakenError):
            _forget(rows)
            raise  # after any other error the rows may be there all the same, and then their jobs need their inputs
    return batch


def refuse_uncovered(order: BatchOrder) -> None:
    """Before hundreds of megabytes go to the store; the hold itself decides. Raises AppError(INSUFFICIENT_CREDITS)."""
    has = funding_named(order.identity.funding).credits(order.identity.account_id)
    if has is not None and has.balance < order.price_credits:
        raise too_few(order.price_credits)


def _rows(order: BatchOrder) -> tuple[Batch, list[Job]]:
    """The batch, and a job for each piece; nothing is saved."""
    identity, now = order.identity, timezone.now()
    batch = Batch(
        account_id=identity.account_id,
        mode=identity.mode,
        operation=order.operation.slug,
        params=order.sent_params,
        retention_s=order.retention_s,
        total=len(order.pieces),
        created_at=now,
    )
    rows = [
        Job(
            account_id=identity.account_id,
            operation=order.operation.slug,
            pace_name=order.operation.pace_name(order.params),
            params=dict(order.params),
            request_id=order.request_id,
            mode=identity.mode,
            key_prefix=identity.key_prefix,
            funding=identity.funding,
            price_credits=0 if piece.error else order.price_each,
            object_token=object_token(),
            retention_s=order.retention_s,
            inputs_stored=piece.error is None,
            awaits_input=piece.upload is None,
            in_batch=True,
            created_at=now + timedelta(microseconds=index),  # claimed in the order in which they were sent
        )
        for index, piece in enumerate(order.pieces)
    ]
    return batch, rows


def _insert(order: BatchOrder, batch: Batch, rows: Sequence[Job]) -> None:
    """Inside the transaction: everything, and the end of what is wrong in itself."""
    batch.save(force_insert=True)
    idempotency.take(order.ticket, batch)
    handed_over = [
        handover.order(job, piece.upload_url) for piece, job in zip(order.pieces, rows, strict=True) if piece.upload_url
    ]
    Job.objects.bulk_create(rows)
    Handover.objects.bulk_create(handed_over)
    Item.objects.bulk_create(
        Item(
            job=job,
            batch=batch,
            index=index,
            name=piece.name,
            source_url=piece.url,
            fetch_at=batch.created_at if piece.url else None,
        )
        for index, (piece, job) in enumerate(zip(order.pieces, rows, strict=True))
    )
    funding_named(order.identity.funding).hold_all([job for job in rows if job.price_credits])
    for piece, job in zip(order.pieces, rows, strict=True):
        if piece.error:
            lifecycle.fail(job, piece.error)
    for _ in range(min(sum(piece.upload is not None for piece in order.pieces), _MOST_WAKE_UPS)):
        transaction.on_commit(tasks.wake_worker, robust=True)
    for _ in range(min(sum(bool(piece.url) for piece in order.pieces), OF_ONE)):
        transaction.on_commit(partial(errands.wake, ERRAND), robust=True)


def _store(pieces: Sequence[Piece], rows: Sequence[Job]) -> None:
    """All or none. Raises StoreAwayError."""
    stored: list[Job] = []
    try:
        for piece, job in zip(pieces, rows, strict=True):
            if piece.upload is None:
                continue
            piece.upload.file.seek(0)
            key = job.input_prefix + "image"
            result_store().put(key, piece.upload.file, content_type=piece.upload.content_type)
            stored.append(job)
    except StoreAwayError:
        _forget(stored)
        raise


def _forget(rows: Sequence[Job]) -> None:
    try:
        for job in rows:
            if not job.awaits_input:
                result_store().delete(job.input_prefix + "image")
    except StoreAwayError:
        log.warning("inputs of a refused batch are left to the bucket's lifecycle rule")
