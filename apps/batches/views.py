"""`/v1/batches`: one operation over up to a hundred images."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Collection, Iterator
from typing import ClassVar

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from rest_framework.request import Request

from apps.batches import archive, ending
from apps.batches.answers import BatchAnswer, BatchPage, batch_answer, listed_batches
from apps.batches.models import Batch, Item
from apps.batches.request import OPERATIONS, Asked
from apps.batches.schema import ABOUT, BODY, EXAMPLE, JSON_BODY
from apps.batches.sources import ARCHIVE, IMAGES, URLS, pieces_of
from apps.batches.submission import BatchOrder, submit
from apps.core import idempotency
from apps.core.answers import Envelope, Quote
from apps.core.api.cursors import PAGE_QUERY, PageAsked, page_of
from apps.core.api.terms import Pace, Share, Terms
from apps.core.api.views import EndpointView, place_if
from apps.core.dialects.envelope import envelope
from apps.core.errors import AppError, ErrorCode
from apps.core.funding import funding_named
from apps.core.identity import Identity
from apps.core.jobs import waiting_room
from apps.core.models import Job
from apps.core.openapi.endpoints import Endpoint
from apps.core.places import Places
from apps.core.request_facts import facts_of, identity_of

MEGABYTE = 1_048_576
# A hundred photos from an office take minutes; who sends more slowly than that sends them singly, or by address.
_BULKY = Pace(patience_s=30, least_bytes_a_s=128 * 1024, longest_pause_s=10, drain_limit_s=120, drain_pause_s=5)
_LARGE_BYTES = 16 * MEGABYTE
_LARGE = Share("batches", 8, is_common=True)  # each may be on disk twice, and once more unpacked: 7 GB at most
_LARGE_OF_ONE = 4
log = logging.getLogger(__name__)
_downloads = Places(16, of_one=4)


class BatchEndpoint(EndpointView):
    """What the addresses of batches share."""

    chapter = "batches"
    refusals: ClassVar[Collection[ErrorCode]] = (ErrorCode.FORBIDDEN,)


class BatchesView(BatchEndpoint):
    """`POST` makes one, `GET` lists them."""

    body_cap_bytes = 300 * MEGABYTE
    json_cap_bytes = 4 * MEGABYTE
    file_fields = (IMAGES, f"{IMAGES}[]", ARCHIVE)
    parse_gate = threading.BoundedSemaphore(1)
    """Large bodies that are parsed at once: not those of others' photos, which go through their own."""

    def terms(self, request: HttpRequest) -> Terms | None:
        terms = super().terms(request)
        declared = request.META.get("CONTENT_LENGTH") or str(self.body_cap_bytes)
        if terms is None or (declared.isdecimal() and int(declared) <= _LARGE_BYTES):
            return terms
        mine = Share(f"{terms.shares[0].name}:batches", _LARGE_OF_ONE)
        return Terms(_BULKY, (*terms.shares, mine, _LARGE))

    @Endpoint("list_batches", "The account's batches, newest first", Envelope[BatchPage], query=PAGE_QUERY)
    def get(self, request: Request) -> HttpResponse:
        page = page_of(batches_of(identity_of(request)), PageAsked.of(request.GET))
        return envelope(request, BatchPage(batches=listed_batches(page.rows), next_cursor=page.next_cursor))

    @Endpoint(
        "create_batch",
        "One operation over up to 100 images, of 300 MB in all",
        Envelope[BatchAnswer],
        status=202,
        done="Accepted: each image is a job now, and those that are no image have failed, free.",
        about=ABOUT,
        body=BODY,
        json_body=JSON_BODY,
        example=EXAMPLE,
        takes_ticket=True,
        refusals=(ErrorCode.INSUFFICIENT_CREDITS,),
    )
    def post(self, request: Request) -> HttpResponse:
        asked = Asked.of(request)
        identity = identity_of(request)
        with place_if(asked.source.field != URLS, identity.account_id):
            order = self._order(request, asked, identity)
            first = idempotency.first_answer(order.ticket)
            if first is None and asked.is_quote:
                return envelope(request, Quote.of(order.price_credits))
            batch, is_replay = (first.made, True) if first else self._submitted(order)
        response = _accepted(request, batch)
        if idempotency.note_answer(order.ticket, batch, status=response.status_code, binary=False):
            facts_of(request).billed_credits = bill(batch)
        return idempotency.as_replay(response) if is_replay else response

    def _order(self, request: Request, asked: Asked, identity: Identity) -> BatchOrder:
        pieces = pieces_of(asked.source, asked.operation, asked.params)
        files = asked.source.fingerprint[1]
        return BatchOrder(
            operation=asked.operation,
            identity=identity,
            params=asked.params,
            sent_params=asked.sent_params,
            pieces=pieces,
            retention_s=asked.retention_s,
            request_id=facts_of(request).request_id,
            price_each=funding_named(identity.funding).price(asked.operation.tariff(asked.params)),
            ticket=idempotency.ticket_for(request, identity, asked.fingerprint, files),
        )

    def _submitted(self, order: BatchOrder) -> tuple[Batch, bool]:
        try:
            return submit(order), False
        except idempotency.KeyTakenError as taken:
            return idempotency.answer_of_the_faster(taken).made, True


class BatchView(BatchEndpoint):
    """`GET` and `DELETE` of one, for the account and the mode that it was sent in."""

    @Endpoint("get_batch", "A batch, and how far each of its images is", Envelope[BatchAnswer], example=EXAMPLE)
    def get(self, request: Request, batch_id: uuid.UUID) -> HttpResponse:
        batch = own_batch(request, batch_id)
        response = envelope(request, batch_answer(batch))
        if batch.finished_at is None:
            response.headers["Retry-After"] = "2"
        return response

    @Endpoint(
        "delete_batch",
        "Cancel what has not ended, unpaid, and delete the results; what was charged stays charged",
        status=204,
        about="The batch itself stays to be seen, as cancelled (or, where it was finished before, as expired), without the names "
        "of its images and its parameters.",
    )
    def delete(self, request: Request, batch_id: uuid.UUID) -> HttpResponse:
        ending.delete(own_batch(request, batch_id))
        return HttpResponse(status=204)


class ArchiveView(BatchEndpoint):
    """The results of a batch in one file, streamed from the store."""

    refusals: ClassVar[Collection[ErrorCode]] = (ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.GONE)

    @Endpoint(
        "get_batch_archive",
        "All results of a finished batch as a ZIP, with manifest.json",
        done="The results under their names, not compressed; manifest.json says what became of each image, with its hash.",
        about="While the batch runs: 409 with Retry-After. After expiresAt, or when it was deleted: 410. Content-Length is told: "
        "a broken download is seen to be short.",
        media={
            "application/zip": {"schema": {"type": "string", "format": "binary", "contentMediaType": "application/zip"}}
        },
    )
    def get(self, request: Request, batch_id: uuid.UUID) -> StreamingHttpResponse:
        batch = archive.downloadable(own_batch(request, batch_id))
        return _attached(batch, Download(archive.contents_of(batch), batch))

    def head(self, request: Request, batch_id: uuid.UUID) -> StreamingHttpResponse:
        """The same headers; nothing is read from the store."""
        batch = archive.downloadable(own_batch(request, batch_id))
        response = _attached(batch, archive.contents_of(batch))
        response.streaming_content = ()
        return response


class Download:
    """An archive on its way, and its place among those who wait; Django closes it however the answer ends."""

    def __init__(self, contents: archive.Contents, batch: Batch) -> None:
        self._contents = contents
        self._places = contextlib.ExitStack()
        self._places.enter_context(waiting_room(batch.account_id))
        if not _downloads.take(batch.account_id):
            self._places.close()
            issue = "Too many archives are being fetched; try again shortly."
            raise AppError(ErrorCode.OVERLOADED, issue, retry_after_s=10)
        self._places.callback(_downloads.give_back, batch.account_id)

    def __len__(self) -> int:
        return len(self._contents)

    def __iter__(self) -> Iterator[bytes]:
        connection.close()  # back to the pool: the rows are read, and the client may be slow
        return self._sent()

    def _sent(self) -> Iterator[bytes]:
        try:
            yield from self._contents
        except AppError as error:  # the headers are out: the client sees that what came is too short
            log.warning("an archive broke off", exc_info=error)
            raise ConnectionError from error

    def close(self) -> None:
        self._places.close()


def batches_of(identity: Identity) -> QuerySet[Batch]:
    """The batches that a credential may see: its account's, in its mode, of operations in its scopes."""
    rows = Batch.objects.filter(account_id=identity.account_id, mode=identity.mode)
    return rows if identity.scopes is None else rows.filter(operation__in=identity.scopes & set(OPERATIONS))


def own_batch(request: Request, batch_id: uuid.UUID) -> Batch:
    """Raises AppError(NOT_FOUND) for an unknown or foreign one alike."""
    batch = batches_of(identity_of(request)).filter(id=batch_id).first()
    if batch is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such batch.")
    return batch


def bill(batch: Batch) -> int:
    """Credits that the answer tells a gateway to bill: the sum of the items that can succeed."""
    jobs = Job.objects.filter(id__in=Item.objects.filter(batch=batch).values("job_id")).order_by("created_at")
    return sum(funding_named(job.funding).bill(job) for job in jobs)


def _attached(batch: Batch, contents: Download | archive.Contents) -> StreamingHttpResponse:
    response = StreamingHttpResponse(contents, content_type="application/zip")
    response.headers["Content-Length"] = str(len(contents))
    response.headers["Content-Disposition"] = f'attachment; filename="{batch.id}.zip"'
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _accepted(request: Request, batch: Batch) -> HttpResponse:
    response = envelope(request, batch_answer(batch), status=202)
    response.headers["Location"] = f"/v1/batches/{batch.id}"
    response.headers["Retry-After"] = "2"
    return response
