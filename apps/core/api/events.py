"""`GET /v1/jobs/{id}/events`: the job at every change, as server-sent events."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator

import redis
from django.db import InterfaceError, OperationalError, connection
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from apps.core import broker, jobs
from apps.core.answers import as_json
from apps.core.api.views import EndpointView, own_job
from apps.core.dialects.envelope import job_data
from apps.core.models import FINAL_STATES, Job
from apps.core.openapi.endpoints import Endpoint
from apps.core.results import visible_state

STREAM_LIMIT_S = 60.0
_LOOK_EVERY_S = 0.5


class JobEventsView(EndpointView):
    """Holds a thread for as long as the stream lasts."""

    chapter = "jobs"

    @Endpoint(
        "get_job_events",
        "Server-sent events: the job at every change, until it ends or 60 s have passed",
        done="`event: state`, `data:` the job as in GET /v1/jobs/{job_id}.",
        media={"text/event-stream": {}},
    )
    def get(self, request: Request, job_id: str) -> StreamingHttpResponse:
        return _stream(EventStream(own_job(request, job_id)))

    def head(self, request: Request, job_id: str) -> StreamingHttpResponse:
        """The same headers; nothing is waited for."""
        own_job(request, job_id)
        return _stream(())


def _stream(events: Iterable[bytes]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class EventStream:
    """The events of one job, and its place among those who wait; Django closes it however the answer ends."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._place = contextlib.ExitStack()
        self._place.enter_context(jobs.waiting_room(job.account_id))

    def __iter__(self) -> Iterator[bytes]:
        return _changes(self._job)

    def close(self) -> None:
        self._place.close()


def _changes(job: Job) -> Iterator[bytes]:
    deadline = time.monotonic() + STREAM_LIMIT_S
    told = None
    while True:
        data = job_data(job)
        now = (data.status, data.stage, data.progress)
        if now != told:
            told = now
            yield f"event: state\ndata: {json.dumps(as_json(data))}\n\n".encode()
        left = deadline - time.monotonic()
        if visible_state(job) in FINAL_STATES or left <= 0:
            return
        connection.close()
        try:
            broker.hear_bell(job.id, timeout_s=min(_LOOK_EVERY_S, left))
        except redis.RedisError:
            time.sleep(min(_LOOK_EVERY_S, left))
        with contextlib.suppress(OperationalError, InterfaceError):  # away for a moment: then there is nothing new
            job.refresh_from_db()  # a deleted one as well: it has ended, and who watches it hears how
