"""
`Idempotency-Key`: the same key and the same request give the first answer again, and never a second charge.

A key is a row that points to its job, inserted in the transaction that inserts the job, so the two exist together or not
at all: whoever dies in between leaves nothing behind, and whoever comes later finds the job and its true state.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.core.errors import AppError, ErrorCode, invalid
from apps.core.intake.uploads import Upload
from apps.core.models import FINAL_STATES, IdempotencyKey, Job, State
from apps.core.owner import Mode, Owner
from apps.core.results import error_of

KEPT = timedelta(hours=24)
LONGEST_KEY = 255
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_CHUNK = 1_048_576


@dataclass(frozen=True)
class Ticket:
    """A request's key and the fingerprint of what it asks for."""

    account_id: int
    mode: Mode
    key: str
    fingerprint: str


class KeyTakenError(Exception):
    """Another request with this key was faster."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        super().__init__(ticket.key)


def read_key(request: HttpRequest) -> str | None:
    """
    The header's key, without the quotes of the draft's form; None without one.

    Raises:
        AppError: VALIDATION_ERROR for a key that is empty, too long or not printable.
    """
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(key) > LONGEST_KEY or not _VISIBLE.fullmatch(key):
        raise invalid("Idempotency-Key", f"Use 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID.")
    return key


def ticket_for(
    request: HttpRequest, owner: Owner, fields: Mapping[str, Any], uploads: Mapping[str, Upload]
) -> Ticket | None:
    """
    Read the header; None without one.

    The fingerprint covers method, path, query, fields and file bytes, not the multipart boundary nor the headers.

    Raises:
        AppError: VALIDATION_ERROR for a key that is empty, too long or not printable.
    """
    key = read_key(request)
    if key is None:
        return None
    plain = {name: _values(fields, name) for name in fields if not isinstance(fields[name], UploadedFile)}
    told = [request.method, request.path, sorted(request.GET.lists()), sorted(plain.items())]
    digest = hashlib.sha256(json.dumps(told, default=str, sort_keys=True).encode())
    for name in sorted(uploads):
        digest.update(f"\n{name}:{_sha256(uploads[name])}".encode())
    return Ticket(owner.account_id, Mode(owner.mode), key, digest.hexdigest())


def first_answer(ticket: Ticket) -> IdempotencyKey | None:
    """
    What became of the first request with this key, always with a job; None when there was none, or when it may be repeated.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH for another request, CONFLICT while the first one is still at work.
    """
    row = rows_of(ticket).select_related("job").first()
    if row is None:
        return None
    if row.created_at < timezone.now() - KEPT or (row.job is not None and _is_free_again(row.job)):
        IdempotencyKey.objects.filter(id=row.id, job=row.job).delete()
        return None
    if row.job is None or row.fingerprint != ticket.fingerprint:
        raise AppError(ErrorCode.IDEMPOTENCY_MISMATCH)
    if row.job.state not in FINAL_STATES and row.answered_status is None:
        raise AppError(ErrorCode.CONFLICT, retry_after_s=2)
    return row


def rows_of(ticket: Ticket) -> QuerySet[IdempotencyKey]:
    """The key's row, or none: keys are one account's in one mode."""
    return IdempotencyKey.objects.filter(account_id=ticket.account_id, mode=ticket.mode, key=ticket.key)


def take(ticket: Ticket, job: Job | None) -> None:
    """
    Bind the key to the job, inside the submit transaction; without one to what else that transaction makes.

    Raises:
        KeyTakenError: another request with this key was faster.
    """
    try:
        with transaction.atomic():
            IdempotencyKey.objects.create(
                account_id=ticket.account_id,
                mode=ticket.mode,
                key=ticket.key,
                fingerprint=ticket.fingerprint,
                job=job,
            )
    except IntegrityError as error:
        raise KeyTakenError(ticket) from error


def note_answer(ticket: Ticket, job: Job, *, status: int, binary: bool) -> None:
    """Keep in which form the first answer went out."""
    rows_of(ticket).filter(job_id=job.id, answered_status=None).update(answered_status=status, answered_binary=binary)


def note_answer_of(row: IdempotencyKey, *, status: int, binary: bool) -> bool:
    """The same for a request that finds a job whose own request died. False: another one was faster."""
    rows = IdempotencyKey.objects.filter(id=row.id, answered_status=None)
    return bool(rows.update(answered_status=status, answered_binary=binary))


def forget_old() -> int:
    """Delete keys older than 24 h; the sweeper calls it."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def _is_free_again(job: Job) -> bool:
    """A failure on our side, or a job cancelled because its client could not wait: the same key may try again."""
    if job.deleted_at is not None:
        return False
    if job.state == State.CANCELLED:
        return True
    return job.state == State.FAILED and error_of(job).code.status >= 500


def _values(fields: Mapping[str, Any], name: str) -> Any:
    """A field's value; all of them where a form repeats it."""
    values = fields.getlist(name) if hasattr(fields, "getlist") else [fields[name]]
    return values[0] if len(values) == 1 else values


def _sha256(upload: Upload) -> str:
    digest = hashlib.sha256()
    upload.file.seek(0)
    while chunk := upload.file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
