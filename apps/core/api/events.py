"""`GET /v1/jobs/{id}/events`: the job at every step, as server-sent events. A stream holds neither thread nor connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from msgspec import structs
from rest_framework.request import Request

from apps.core import answers, steps
from apps.core.answers import JobStatus
from apps.core.api.event_stream import EventStream, event_response, place_for, state_event
from apps.core.api.views import EndpointView, own_job
from apps.core.api.watching import Inbox, hub, in_thread, insist, register_look
from apps.core.dialects.envelope import job_data
from apps.core.models import Job, State
from apps.core.openapi.endpoints import Endpoint
from apps.core.request_facts import identity_of
from apps.core.steps import Place, Step

_OPEN: dict[str, Any] = {"finished_at": None, "expires_at": None, "credits_charged": 0, "error": None, "result": None}


class JobEventsView(EndpointView):
    """The stream is served by the event loop; the thread that checks the request is free again when it begins."""

    chapter = "jobs"

    @Endpoint(
        "get_job_events",
        "Server-sent events: the job at every step, until it ends or 60 s have passed",
        done="`id:` of the step, `event: state`, `data:` the job as in GET /v1/jobs/{job_id}.",
        about="The first event is the job as it is. With Last-Event-ID the steps since that one come, and no other; a 204 says "
        "that there will be none.",
        media={"text/event-stream": {}},
    )
    def get(self, request: Request, job_id: str) -> HttpResponseBase:
        job = own_job(request, job_id)
        seen = steps.place_in(request.headers.get("Last-Event-ID", ""))
        if seen and Step.of(job).is_final and Step.of(job).place <= seen:
            return HttpResponse(status=204)  # a browser would come back for ever
        place = place_for(identity_of(request))
        connection.close()
        return event_response(JobEvents(job, seen, place))

    def head(self, request: Request, job_id: str) -> StreamingHttpResponse:
        """The same headers; nothing is waited for."""
        own_job(request, job_id)
        return event_response(())


class JobEvents(EventStream):
    """
    The events of one job.

    Args:
        seen: the place of the last step that the client has; None where it has none.
    """

    def __init__(self, job: Job, seen: Place | None, place: Callable[[], None]) -> None:
        super().__init__(steps.topic_of(job.id), place)
        self._job_id = job.id
        self._seen = seen

    async def events(self, inbox: Inbox) -> AsyncIterator[bytes]:
        job, told = await self._row()
        if self._seen:
            for step in await self._between(self._seen, told.place):
                yield state_event(step.id, _at(job, step))
        if self._seen is None or told.place > self._seen:
            yield state_event(told.id, job)
        while not told.is_final:
            text = await inbox.get()
            if text:
                step = Step.from_text(text)
            else:
                job, step = await self._row()
            if step.comes_after(told):
                for between in await self._between(
                    told.place, step.place
                ):  # a look at the row may be ahead of what is heard
                    yield state_event(between.id, _at(job, between))
                told = step
                yield state_event(step.id, _at(job, step))

    async def _between(self, first: Place, last: Place) -> list[Step]:
        """The steps that were told between two, as far as Redis still has them."""
        kept = await in_thread(steps.told_of, self._job_id) if hub().is_hearing else []
        return [step for step in kept if first < step.place < last]

    async def _row(self) -> tuple[answers.Job, Step]:
        """The row, as it is now or as soon as the database answers."""
        return await insist(lambda: _look_at(self._job_id))


def _look_at(job_id: Any) -> tuple[answers.Job, Step]:
    job = Job.objects.get(id=job_id)  # a deleted one as well: it has ended, and who watches it hears how
    return job_data(job), Step.of(job)


def _at(job: answers.Job, step: Step) -> answers.Job:
    """The job at a step; of one that is open nothing else differs from one step to the next."""
    if step.is_final:
        return job
    status = JobStatus.QUEUED if step.state == State.QUEUED else JobStatus.RUNNING
    progress = round(step.progress, 2)
    return structs.replace(job, status=status, stage=step.stage, progress=progress, **_OPEN)


def _look(ids: Iterable[str]) -> Mapping[str, str]:
    rows = Job.objects.filter(id__in=ids).only("id", "attempt", "state", "stage", "progress")
    found = {str(job.id): Step.of(job) for job in rows}
    return {id: "" if step.is_final else step.to_text() for id, step in found.items()}


register_look("job", _look)
