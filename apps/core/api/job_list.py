"""`GET /v1/jobs`: the jobs that a key may read, newest first."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Self

from django.db import connection
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.core import jobs
from apps.core.answers import Envelope, JobStatus, ListedJob, Part, about
from apps.core.api.cursors import PAGE_QUERY, NextCursor, Page, PageAsked, Place
from apps.core.api.views import EndpointView
from apps.core.dialects.envelope import envelope, listed_job
from apps.core.errors import Fault, invalid
from apps.core.identity import Identity
from apps.core.models import Job, State
from apps.core.openapi.endpoints import Endpoint, in_query
from apps.core.operations import all_operations
from apps.core.request_facts import identity_of

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_NEWEST = Place(_LAST, uuid.UUID(int=2**128 - 1))
_DAY = timedelta(days=1)
_AS_TOLD = timedelta(milliseconds=1)  # an answer cuts createdAt there
_STATES: dict[JobStatus, tuple[State, ...]] = {
    JobStatus.RUNNING: (State.RUNNING, State.SETTLING),
    JobStatus.EXPIRED: (State.EXPIRED, State.SUCCEEDED),
}
"""What rows of a status may be in, where it is not in the state of its name alone; `results.visible_state` the other way."""

# Each pair of operation and state is a stretch of the index `job_listed`, in the list's order already, so the page is the newest
# of the newest few of each pair: however rare what is asked for is, nothing else is read.
_PAGE = """
SELECT found.created_at, found.id
FROM unnest(%(operations)s::text[]) o (operation), unnest(%(states)s::text[]) s (state), LATERAL (
    SELECT id, created_at FROM core_job
    WHERE account_id = %(account_id)s AND mode = %(mode)s AND operation = o.operation AND state = s.state
      AND deleted_at IS NULL AND created_at >= %(first)s AND created_at < %(end)s AND (created_at, id) < (%(at)s, %(id)s)
      AND (NOT %(by_expiry)s OR s.state <> 'succeeded' OR coalesce(expires_at <= %(now)s, false) = %(is_over)s)
    ORDER BY created_at DESC, id DESC LIMIT %(most)s
) found
ORDER BY found.created_at DESC, found.id DESC LIMIT %(most)s
"""


class Jobs(Part):
    """A page of the account's jobs."""

    jobs: Annotated[list[ListedJob], about("The newest first; the result of each is at GET /v1/jobs/{job_id}.")]
    next_cursor: NextCursor


@dataclass(frozen=True)
class Filters:
    """
    What the address asks for.

    Args:
        first: jobs of this moment and later.
        end: jobs before this moment.
    """

    status: JobStatus | None
    operation: str | None
    first: datetime
    end: datetime

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Raises AppError: VALIDATION_ERROR on the parameter at fault."""
        first, _ = _span(query, "from") or (_FIRST, _FIRST)
        last, end = _span(query, "to") or (_LAST, _LAST)
        if first > last and first >= end:
            raise invalid("from", "from must not be after to.")
        status = _choice(query, "status", list(JobStatus))
        operation = _choice(query, "operation", [operation.slug for operation in all_operations()])
        return cls(JobStatus(status) if status else None, operation, first, end)

    @property
    def states(self) -> list[State]:
        return list(State) if self.status is None else list(_STATES.get(self.status, (State(self.status.value),)))


class JobsView(EndpointView):
    """A page of the jobs that the key may read."""

    chapter = "jobs"

    @Endpoint(
        "list_jobs",
        "The account's jobs, newest first, of the key's mode and scopes",
        Envelope[Jobs],
        query=(
            in_query("status", "Only these.", type="string", enum=[status.value for status in JobStatus]),
            in_query("operation", "Only of this operation, as a job names it.", type="string", examples=["remove-bg"]),
            in_query(
                "from",
                "Made then or later: a day (UTC), or a moment such as 2026-11-21T09:30:00Z.",
                type="string",
                examples=["2026-11-21"],
            ),
            in_query("to", "Made then or before; a day counts whole.", type="string", examples=["2026-11-21"]),
            *PAGE_QUERY,
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        page = jobs_page(identity_of(request), Filters.of(request.GET), PageAsked.of(request.GET))
        return envelope(request, Jobs(jobs=[listed_job(job) for job in page.rows], next_cursor=page.next_cursor))


def jobs_page(identity: Identity, filters: Filters, asked: PageAsked) -> Page[Job]:
    """One page of what `identity` may read; the rows come without their parameters and outcomes, which are large."""
    places = Page.cut(_places(identity, filters, asked), asked.limit)
    rows = jobs.visible_to(identity).defer("params", "outcome").in_bulk([place.id for place in places.rows])
    return Page([rows[place.id] for place in places.rows if place.id in rows], places.next_cursor)


def _places(identity: Identity, filters: Filters, asked: PageAsked) -> list[Place]:
    """Of the page's jobs, and of one more where there is one."""
    slugs = [filters.operation] if filters.operation else [operation.slug for operation in all_operations()]
    after = asked.after or _NEWEST
    told: dict[str, Any] = {
        "account_id": identity.account_id,
        "mode": identity.mode.value,
        "operations": [slug for slug in slugs if identity.may_use(slug)],
        "states": [state.value for state in filters.states],
        "first": filters.first,
        "end": filters.end,
        "at": after.created_at,
        "id": after.id,
        "by_expiry": filters.status in {JobStatus.SUCCEEDED, JobStatus.EXPIRED},
        "is_over": filters.status == JobStatus.EXPIRED,
        "now": timezone.now(),
        "most": asked.limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, told)
        return [Place(*row) for row in cursor.fetchall()]


def _choice(query: Mapping[str, str], name: str, known: list[str]) -> str | None:
    value = query.get(name)
    if value and value not in known:
        raise invalid(name, f"{name} must be one of {', '.join(known)}.", Fault.UNSUPPORTED_VALUE)
    return value or None


def _span(query: Mapping[str, str], name: str) -> tuple[datetime, datetime] | None:
    """The first moment of what `name` says, and the first one after it; None where it says nothing."""
    text = query.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text) if len(text) <= len("2026-11-21") else None
        moment = datetime.combine(day, time()) if day else datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        sentence = f"{name} must be a day such as 2026-11-21, or a moment such as 2026-11-21T09:30:00Z."
        raise invalid(name, sentence) from None
    if not _FIRST <= moment < _LAST:
        raise invalid(name, f"{name} must not be before 2000-01-01.")
    return moment, moment + (_DAY if day else _AS_TOLD)
