"""Templates: make, find, delete, and finish what a crash left half done."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import Account
from apps.core.errors import AppError, ErrorCode, invalid
from apps.core.idempotency import Fate, Ticket, forget, once
from apps.core.intake.uploads import Upload
from apps.core.owner import Owner
from apps.core.storage import StoreAwayError, result_store
from apps.watermark.models import Kind, WatermarkTemplate

MOST_TEMPLATES = 50
"""Of one account, in each of its modes."""

_STORED_WITHIN = timedelta(seconds=60)  # ten photos take a few seconds; who takes longer and lives harms nobody
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


def fate_of(template: WatermarkTemplate) -> Fate:
    """
    What becomes of its Idempotency-Key. A template whose storing takes too long was left by its server: the same request
    carries the same files, and stores them.
    """
    if template.discarded_at is not None:
        return Fate.GONE
    if template.stored_at is not None:
        return Fate.STANDS
    return Fate.LEFT if template.created_at < timezone.now() - _STORED_WITHIN else Fate.AT_WORK


def make_template(
    owner: Owner, *, name: str, kind: Kind, uploads: Sequence[Upload], ticket: Ticket | None
) -> tuple[WatermarkTemplate, bool]:
    """
    Keep the checked files. The row comes first, so that nothing lies in the store that no row knows of.

    Returns:
        The template, and whether the first request with this key made it.

    Raises:
        AppError: VALIDATION_ERROR when the account has all that it may have; IDEMPOTENCY_MISMATCH, GONE and CONFLICT by the
            key; OVERLOADED when the store is away.
    """
    template, is_first_ones = once(ticket, lambda: _insert(owner, name=name, kind=kind, uploads=uploads))
    if template.stored_at is None:
        if is_first_ones:
            _go_on_with(template)
        _store(template, uploads)
    return template, is_first_ones


def _insert(owner: Owner, *, name: str, kind: Kind, uploads: Sequence[Upload]) -> WatermarkTemplate:
    """Raises AppError."""
    _refuse_too_many(owner)
    return WatermarkTemplate.objects.create(
        account_id=owner.account_id,
        mode=owner.mode,
        name=name,
        kind=kind,
        files=len(uploads),
        width=uploads[0].header.width,
        height=uploads[0].header.height,
        size_bytes=sum(upload.size_bytes for upload in uploads),
        created_at=timezone.now(),
    )


def _go_on_with(template: WatermarkTemplate) -> None:
    """Take a template over from a server that died while it stored it. Raises AppError(CONFLICT): another was faster."""
    now = timezone.now()
    if not _being_stored(template).update(created_at=now):
        raise AppError(ErrorCode.CONFLICT, retry_after_s=2)
    template.created_at = now


def _store(template: WatermarkTemplate, uploads: Sequence[Upload]) -> None:
    """
    Store the files. Who finds the template taken over leaves it alone: what he has stored are the same bytes.

    Raises:
        AppError: OVERLOADED when the store is away, and then there is no template; CONFLICT when it was lost.
    """
    connection.close()  # back to the pool: a slow store must not keep it from requests that need only the rows
    try:
        for key, upload in zip(template.keys, uploads, strict=True):
            upload.file.seek(0)
            result_store().put(key, upload.file, content_type=upload.content_type)
    except StoreAwayError:
        _give_up(template)
        raise
    template.stored_at = timezone.now()
    if not _being_stored(template).update(stored_at=template.stored_at):
        if not WatermarkTemplate.objects.filter(id=template.id, discarded_at=None).exists():
            with contextlib.suppress(StoreAwayError):  # its files were deleted before the last of ours came
                _purge(template)
        raise AppError(ErrorCode.CONFLICT, retry_after_s=1)


def _being_stored(template: WatermarkTemplate) -> QuerySet[WatermarkTemplate]:
    """Its row, while nobody else has stored it, deleted it or taken it over."""
    rows = WatermarkTemplate.objects.filter(id=template.id, created_at=template.created_at)
    return rows.filter(stored_at=None, discarded_at=None)


def _give_up(template: WatermarkTemplate) -> None:
    """It could not be stored: there is none, and its Idempotency-Key is free again."""
    with transaction.atomic():
        if not _being_stored(template).update(discarded_at=timezone.now()):
            return
        forget(template)
    with contextlib.suppress(StoreAwayError):
        _purge(template)


def discard(template: WatermarkTemplate) -> None:
    """
    Its owner wants it gone: nobody can use it from now on, and its Idempotency-Key is answered with 410. Its files and its
    row go now, or with the next sweep where the store is away.
    """
    WatermarkTemplate.objects.filter(id=template.id).update(discarded_at=timezone.now())
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
            if template.discarded_at is None and template.stored_at is None:
                _give_up(template)
            else:
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
