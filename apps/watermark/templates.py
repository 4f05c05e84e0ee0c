"""Templates: make, find, delete, and finish what a crash left half done."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import Account
from apps.core.errors import AppError, ErrorCode, invalid
from apps.core.idempotency import KEPT, KeyTakenError, Ticket, rows_of, take
from apps.core.intake.uploads import Upload
from apps.core.owner import Mode, Owner
from apps.core.storage import StoreAwayError, result_store
from apps.watermark.models import Kind, WatermarkTemplate

MOST_TEMPLATES = 50
"""Of one account, in each of its modes."""

_LONGEST_UPLOAD = timedelta(hours=1)
_BATCH = 100


def templates_of(owner: Owner) -> QuerySet[WatermarkTemplate]:
    """The owner's, as it may see them, the newest first."""
    rows = WatermarkTemplate.objects.filter(account_id=owner.account_id, mode=owner.mode)
    return rows.filter(discarded_at=None, stored_at__isnull=False)


def template_of(owner: Owner, template_id: str | uuid.UUID) -> WatermarkTemplate:
    """Raises AppError(VALIDATION_ERROR) on `template` for an unknown, deleted or foreign one alike."""
    template = templates_of(owner).filter(id=template_id).first()
    if template is None:
        raise invalid("template", "There is no such template; POST /v1/watermark-templates makes one.")
    return template


def refuse_foreign_template(params: Mapping[str, Any], owner: Owner) -> None:
    """The operation's `authorize`. Raises AppError."""
    if "template" in params:
        template_of(owner, params["template"])


def first_template(ticket: Ticket) -> WatermarkTemplate | None:
    """
    What the first request with this key made; None where there was none, or it is no more.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH for another request, CONFLICT while the first one is still at work.
    """
    since = timezone.now() - KEPT
    keys = rows_of(ticket).filter(created_at__gte=since)
    if keys.exclude(fingerprint=ticket.fingerprint).exists():
        raise AppError(ErrorCode.IDEMPOTENCY_MISMATCH)  # a job's, or another template's
    rows = WatermarkTemplate.objects.filter(
        account_id=ticket.account_id, mode=ticket.mode, idempotency_key=ticket.key, discarded_at=None
    )
    rows.filter(created_at__lt=since).update(idempotency_key=None)
    row = rows.first()
    if row is None:
        rows_of(ticket).delete()  # too old, or of an upload that never ended: the key is free again
        return None
    if row.fingerprint != ticket.fingerprint:
        raise AppError(ErrorCode.IDEMPOTENCY_MISMATCH)
    if row.stored_at is None:
        raise AppError(ErrorCode.CONFLICT, retry_after_s=2)
    return row


def make_template(
    owner: Owner, *, name: str, kind: Kind, uploads: Sequence[Upload], ticket: Ticket | None
) -> WatermarkTemplate:
    """
    Keep the checked files. The row comes first, so that nothing lies in the store that no row knows of.

    Raises:
        AppError: VALIDATION_ERROR when the account has all that it may have; CONFLICT beside a request with the same key;
            OVERLOADED when the store is away.
    """
    template = WatermarkTemplate(
        account_id=owner.account_id,
        mode=owner.mode,
        name=name,
        kind=kind,
        files=len(uploads),
        width=uploads[0].header.width,
        height=uploads[0].header.height,
        size_bytes=sum(upload.size_bytes for upload in uploads),
        idempotency_key=ticket.key if ticket else None,
        fingerprint=ticket.fingerprint if ticket else "",
        created_at=timezone.now(),
    )
    try:
        with transaction.atomic():
            _refuse_too_many(owner)
            template.save(force_insert=True)
            if ticket is not None:
                take(ticket, None)
    except (IntegrityError, KeyTakenError) as error:
        raise AppError(ErrorCode.CONFLICT, retry_after_s=2) from error
    connection.close()  # back to the pool: a slow store must not keep it from requests that need only the rows
    try:
        for key, upload in zip(template.keys, uploads, strict=True):
            upload.file.seek(0)
            result_store().put(key, upload.file, content_type=upload.content_type)
    except StoreAwayError:
        discard(template)
        raise
    template.stored_at = timezone.now()
    template.save(update_fields=["stored_at"])
    return template


def discard(template: WatermarkTemplate) -> None:
    """
    Nobody can use it from now on, and its Idempotency-Key is free; its files and its row go now, or with the next sweep where
    the store is away.
    """
    with transaction.atomic():
        WatermarkTemplate.objects.filter(id=template.id).update(discarded_at=timezone.now())
        if template.idempotency_key is not None and template.account_id is not None:
            ticket = Ticket(
                template.account_id, Mode(template.mode), template.idempotency_key, fingerprint=template.fingerprint
            )
            rows_of(ticket).filter(job=None, fingerprint=ticket.fingerprint).delete()
    with contextlib.suppress(StoreAwayError):
        _purge(template)


def keep_learned(template: WatermarkTemplate, mark: bytes) -> None:
    """Keep what a worker learned, so that no other one need; not of a template that was deleted meanwhile."""
    with contextlib.suppress(StoreAwayError):  # then it is learned again
        result_store().put(template.learned_key, mark, content_type="application/octet-stream")
        if not WatermarkTemplate.objects.filter(id=template.id, discarded_at=None).exists():
            result_store().delete(template.learned_key)


def purge_discarded() -> int:
    """The sweeper's round: files of deleted templates, of deleted accounts, and of uploads that never ended."""
    never_stored = Q(stored_at=None, created_at__lt=timezone.now() - _LONGEST_UPLOAD)
    rows = WatermarkTemplate.objects.filter(Q(discarded_at__isnull=False) | Q(account=None) | never_stored)[:_BATCH]
    purged = 0
    with contextlib.suppress(StoreAwayError):
        for template in rows:
            _purge(template)
            purged += 1
    return purged


def _purge(template: WatermarkTemplate) -> None:
    for key in (*template.keys, template.learned_key):
        result_store().delete(key)
    WatermarkTemplate.objects.filter(id=template.id).delete()


def _refuse_too_many(owner: Owner) -> None:
    Account.objects.select_for_update().get(id=owner.account_id)  # the account's uploads line up here
    rows = WatermarkTemplate.objects.filter(account_id=owner.account_id, mode=owner.mode, discarded_at=None)
    if rows.count() >= MOST_TEMPLATES:
        raise invalid("image", f"The account has {MOST_TEMPLATES} templates, which is the most; delete one first.")
