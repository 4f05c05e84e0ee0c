"""
`Idempotency-Key`: the same key and the same request give the first answer again, and never a second charge.

One table and one rule for everything that a POST makes: jobs, templates, payments. A key is a row of its owner (an account in
one of its modes, or the payer of a machine payment) that points to what was made, inserted in the transaction that inserts
that thing, so the two exist together or not at all: whoever dies in between leaves nothing behind, and whoever comes later
finds the thing and its true state. What that state means for the key says the thing's kind (`Fate`); what the client hears
says `first_answer`. No answer is stored: the caller writes it anew from the thing.

A new kind of thing needs a line in its AppConfig.ready(); one whose row is gone is a 410 by itself:

    idempotency.register_kind(idempotency.Kind("webhook", Webhook, lambda webhook: idempotency.Fate.STANDS))

and these in its view, which raise 409, 410 and 422:

    ticket = idempotency.ticket_for(request, identity_of(request), fields, {})
    webhook, is_replay = idempotency.once(ticket, lambda: Webhook.objects.create(...))
    response = envelope(request, WebhookTold.of(webhook), status=201)
    return idempotency.as_replay(response) if is_replay else response

What does not fit into one transaction, such as a batch whose files go to the store first, asks `first_answer` before it
begins, calls `take` in the transaction that inserts its row, and turns KeyTakenError into `answer_of_the_faster`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import IO, Any, Protocol, TypeVar

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, connection, models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.core.errors import AppError, ErrorCode, invalid
from apps.core.models import FINAL_STATES, IdempotencyKey, Job, State
from apps.core.owner import Mode, Owner
from apps.core.results import error_of

KEPT = timedelta(hours=24)
LONGEST_KEY = 255
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_CHUNK = 1_048_576
_Made = TypeVar("_Made", bound=models.Model)


class Fate(Enum):
    """What has become of the thing that a key stands for, as far as the key is concerned."""

    AT_WORK = "its first answer is still being made"
    LEFT = "its request died or could not end it: the same request goes on with it"
    STANDS = "it has its answer, good or bad"
    FREE = "it came to nothing, and not by the request's fault: the key may be used again"
    GONE = "its owner deleted it"


@dataclass(frozen=True)
class Kind:
    """
    What a key can stand for.

    Args:
        name: as the row keeps it.
        model: its table; the primary key is a UUID.
        fate_of: tells a row's fate from its state, asking nobody else.
    """

    name: str
    model: type[models.Model]
    fate_of: Callable[[Any], Fate]


_kinds: dict[str, Kind] = {}


def register_kind(kind: Kind) -> None:
    """Called once by the app whose things they are, when it starts."""
    _kinds[kind.name] = kind


class SentFile(Protocol):
    """A file of a request; `is_fetched` says that the request only named its address."""

    @property
    def file(self) -> IO[bytes]: ...

    @property
    def is_fetched(self) -> bool: ...


@dataclass(frozen=True)
class Ticket:
    """
    A request's key and the fingerprint of what it asks for.

    Args:
        account_id: the owner, with `mode`; None where a machine pays.
        payer: the owner where a machine pays.
    """

    account_id: int | None
    mode: Mode
    key: str
    fingerprint: str
    payer: str = ""


@dataclass(frozen=True)
class First:
    """
    The first request with a key.

    Args:
        made: what it made; None where the row is no more.
    """

    row: IdempotencyKey
    made: Any
    fate: Fate


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
    request: HttpRequest, owner: Owner, fields: Mapping[str, Any], uploads: Mapping[str, SentFile]
) -> Ticket | None:
    """
    Read the header; None without one.

    The fingerprint covers method, path, query, fields and file bytes, not the multipart boundary nor the headers. What was
    fetched from an address is no part of the request: the address is.

    Raises:
        AppError: VALIDATION_ERROR for a key that is empty, too long or not printable.
    """
    key = read_key(request)
    if key is None:
        return None
    plain = {name: _values(fields, name) for name in fields if not isinstance(fields[name], UploadedFile)}
    told = [request.method, request.path, sorted(request.GET.lists()), sorted(plain.items())]
    digest = hashlib.sha256(json.dumps(told, default=str, sort_keys=True).encode())
    for name in sorted(name for name, upload in uploads.items() if not upload.is_fetched):
        digest.update(f"\n{name}:{_sha256(uploads[name])}".encode())
    return Ticket(owner.account_id, Mode(owner.mode), key, digest.hexdigest())


def first_answer(ticket: Ticket | None) -> First | None:
    """
    The rule: what the first request with this key made, to be answered again; None without one, or where it may be repeated.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH for another request, GONE where what it made was deleted, CONFLICT with Retry-After
            while the first one is still at work.
    """
    if ticket is None or (first := holder_of(ticket)) is None:
        return None
    if first.row.fingerprint != ticket.fingerprint:
        raise AppError(ErrorCode.IDEMPOTENCY_MISMATCH)
    if first.fate is Fate.GONE:
        raise AppError(
            ErrorCode.GONE, f"The {first.row.kind} of this Idempotency-Key was deleted; nothing is charged again."
        )
    if first.fate is Fate.AT_WORK and first.row.answered_status is None:
        raise AppError(ErrorCode.CONFLICT, retry_after_s=2)
    return first


def holder_of(ticket: Ticket) -> First | None:
    """What the key stands for, whatever is asked with it now; a key that is free again is forgotten here."""
    row = rows_of(ticket).first()
    if row is None:
        return None
    first = _first_of(row)
    if first.fate is Fate.FREE or row.created_at < timezone.now() - KEPT:
        IdempotencyKey.objects.filter(id=row.id, made_id=row.made_id).delete()
        return None
    return first


def rows_of(ticket: Ticket) -> QuerySet[IdempotencyKey]:
    """The key's row, or none: keys are one account's in one mode, or one payer's."""
    whose: dict[str, Any] = {"account_id": ticket.account_id, "mode": ticket.mode, "payer": ticket.payer}
    return IdempotencyKey.objects.filter(**whose, key=ticket.key)


def once(ticket: Ticket | None, make: Callable[[], _Made]) -> tuple[_Made, bool]:
    """
    Make it, unless the first request with this key has.

    Args:
        make: inserts the thing; runs in one transaction with the key's row.

    Returns:
        The thing, and whether the first request made it.

    Raises:
        AppError: as `first_answer`, and whatever `make` raises.
    """
    first = first_answer(ticket)
    if first is None:
        try:
            with transaction.atomic():
                made = make()
                take(ticket, made)
                return made, False
        except KeyTakenError as taken:
            first = answer_of_the_faster(taken)
    return first.made, True


def take(ticket: Ticket | None, made: models.Model) -> None:
    """
    Bind the key to what this transaction makes; nothing to do without a key.

    Raises:
        KeyTakenError: another request with this key was faster; nothing of this transaction may stay.
    """
    if ticket is None:
        return
    assert connection.in_atomic_block  # noqa: S101 - a key beside its thing would be the very gap that this closes
    try:
        with transaction.atomic():
            IdempotencyKey.objects.create(
                account_id=ticket.account_id,
                mode=ticket.mode,
                payer=ticket.payer,
                key=ticket.key,
                fingerprint=ticket.fingerprint,
                kind=_kind_of(made).name,
                made_id=made.pk,
            )
    except IntegrityError as error:
        raise KeyTakenError(ticket) from error


def answer_of_the_faster(taken: KeyTakenError) -> First:
    """
    What the request made that was faster.

    Raises:
        AppError: as `first_answer`; CONFLICT where it has come to nothing meanwhile.
    """
    first = first_answer(taken.ticket)
    if first is None:
        raise AppError(ErrorCode.CONFLICT, retry_after_s=1) from None
    return first


def note_answer(ticket: Ticket | None, made: models.Model, *, status: int, binary: bool) -> bool:
    """Keep in which form the first answer goes out. False: another request has given it already, so this one is no first."""
    if ticket is None:
        return True
    rows = rows_of(ticket).filter(made_id=made.pk, answered_status=None)
    return bool(rows.update(answered_status=status, answered_binary=binary))


def as_replay(response: HttpResponse) -> HttpResponse:
    """Say of an answer that it is the first one's again."""
    response.headers["Idempotency-Replayed"] = "true"
    return response


def forget(made: models.Model) -> None:
    """What could not be made, by no fault of the request, leaves its keys free; in the transaction that undoes it."""
    IdempotencyKey.objects.filter(made_id=made.pk).delete()


def hand_over(made: models.Model, to: models.Model) -> None:
    """From now on the keys stand for something else that the same request made."""
    IdempotencyKey.objects.filter(made_id=made.pk).update(kind=_kind_of(to).name, made_id=to.pk)


def give_to_payer(made: models.Model, *, before: str, payer: str) -> None:
    """
    The owner is known only now.

    Raises:
        KeyTakenError: the payer has used this key already.
    """
    for row in IdempotencyKey.objects.filter(made_id=made.pk, payer=before):
        try:
            with transaction.atomic():
                IdempotencyKey.objects.filter(id=row.id, payer=before).update(payer=payer)
        except IntegrityError as error:
            raise KeyTakenError(Ticket(None, Mode.LIVE, row.key, row.fingerprint, payer)) from error


def of_any_payer(*, key: str, fingerprint: str) -> Iterator[First]:
    """What payers have made with this key by this very request, the oldest first: to whoever knows both it is given again."""
    rows = IdempotencyKey.objects.filter(account=None, key=key, fingerprint=fingerprint)
    yield from map(_first_of, rows.filter(created_at__gte=timezone.now() - KEPT).order_by("created_at"))


def forget_old() -> int:
    """Delete keys older than 24 h; the sweeper calls it."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def fate_of_job(job: Job) -> Fate:
    """A failure on our side, or a job cancelled because its client could not wait, leaves the key free."""
    if job.deleted_at is not None:
        return Fate.GONE
    if job.state not in FINAL_STATES:
        return Fate.AT_WORK
    is_ours = job.state == State.FAILED and error_of(job).code.status >= 500
    return Fate.FREE if is_ours or job.state == State.CANCELLED else Fate.STANDS


register_kind(Kind("job", Job, fate_of_job))


def _first_of(row: IdempotencyKey) -> First:
    kind = _kinds[row.kind]
    made = kind.model._base_manager.filter(pk=row.made_id).first()
    return First(row, made, Fate.GONE if made is None else kind.fate_of(made))


def _kind_of(made: models.Model) -> Kind:
    return next(kind for kind in _kinds.values() if kind.model is type(made))


def _values(fields: Mapping[str, Any], name: str) -> Any:
    """A field's value; all of them where a form repeats it."""
    values = fields.getlist(name) if hasattr(fields, "getlist") else [fields[name]]
    return values[0] if len(values) == 1 else values


def _sha256(upload: SentFile) -> str:
    digest = hashlib.sha256()
    upload.file.seek(0)
    while chunk := upload.file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
