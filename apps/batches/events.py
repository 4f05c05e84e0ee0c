"""`GET /v1/batches/{id}/events`: how many items are how far, at every change, as server-sent events."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from apps.batches.answers import BatchStatus, ListedBatch, listed_batches
from apps.batches.models import Batch
from apps.batches.views import BatchEndpoint, own_batch
from apps.core.api.event_stream import EventStream, event_response, place_for, state_event
from apps.core.api.watching import Inbox, insist, register_look
from apps.core.openapi.endpoints import Endpoint
from apps.core.request_facts import identity_of

_OPEN = {BatchStatus.QUEUED, BatchStatus.RUNNING}


class BatchEventsView(BatchEndpoint):
    """The stream is served by the event loop, as that of a job is."""

    @Endpoint(
        "get_batch_events",
        "Server-sent events: the batch's counts at every change, until it ends or 60 s have passed",
        done="`id:` of the state, `event: state`, `data:` the batch as in GET /v1/batches: all but its items.",
        about="The first event is the batch as it is. With Last-Event-ID it comes only where it has changed since; a 204 says "
        "that there will be none.",
        media={"text/event-stream": {}},
    )
    def get(self, request: Request, batch_id: uuid.UUID) -> HttpResponseBase:
        batch = own_batch(request, batch_id)
        seen = request.headers.get("Last-Event-ID", "")
        (now,) = listed_batches([batch])
        if now.status not in _OPEN and _id_of(now) == seen:
            return HttpResponse(status=204)  # a browser would come back for ever
        place = place_for(identity_of(request))
        connection.close()
        return event_response(BatchEvents(batch.id, seen, place))

    def head(self, request: Request, batch_id: uuid.UUID) -> StreamingHttpResponse:
        """The same headers; nothing is waited for."""
        own_batch(request, batch_id)
        return event_response(())


class BatchEvents(EventStream):
    """
    The events of one batch.

    Args:
        seen: the id of the last state that the client has; "" where it has none.
    """

    def __init__(self, batch_id: uuid.UUID, seen: str, place: Callable[[], None]) -> None:
        super().__init__(f"batch:{batch_id}", place)
        self._batch_id = batch_id
        self._seen = seen

    async def events(self, inbox: Inbox) -> AsyncIterator[bytes]:
        told = self._seen
        while True:
            batch = await insist(lambda: _look_at(self._batch_id))
            if _id_of(batch) != told:
                told = _id_of(batch)
                yield state_event(told, batch)
            if batch.status not in _OPEN:
                return
            await _until_changed(inbox, told)


async def _until_changed(inbox: Inbox, told: str) -> None:
    """Until something else than `told` is heard; what has come meanwhile is one change."""
    while True:
        heard = [await inbox.get()]
        while not inbox.empty():
            heard.append(inbox.get_nowait())
        if any(text != told for text in heard):
            return


def _look_at(batch_id: uuid.UUID) -> ListedBatch:
    return listed_batches([Batch.objects.get(id=batch_id)])[0]


def _id_of(batch: ListedBatch) -> str:
    counts = batch.counts
    numbers = (counts.queued, counts.running, counts.succeeded, counts.failed, counts.cancelled)
    return "-".join([*map(str, numbers), batch.status.value])


def _look(ids: Iterable[str]) -> Mapping[str, str]:
    return {batch.batch_id: _id_of(batch) for batch in listed_batches(Batch.objects.filter(id__in=ids))}


register_look("batch", _look)
