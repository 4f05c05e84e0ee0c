"""What is left of a job, looked for where it would lie: the proof that something was deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from django.utils import timezone

from apps.core.models import FINAL_STATES, Handover, Job, State
from apps.core.results import iso
from apps.core.storage import result_store

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Trace:
    """
    One kind of thing that a job has, or had.

    Args:
        name: what it is, for people.
        left: how many of it were found.
        gone_at: when it was deleted, as a row says; None where no row kept the time.
        kept_until: when it will be deleted, where its time has not come; NEVER while it is needed.
        note: what there is to know about it.
    """

    name: str
    left: int
    gone_at: datetime | None = None
    kept_until: datetime | None = None
    note: str = ""

    @property
    def is_gone(self) -> bool:
        """Nothing of it is there, and nothing of it has still to come."""
        return self.left == 0 and self.kept_until is None


Look: TypeAlias = Callable[[Job], Iterable[Trace]]
_looks: list[Look] = []


def register_traces(look: Look) -> None:
    """Let a service say what it keeps of a job; called once, when the service starts."""
    _looks.append(look)


def traces_of(job: Job) -> Iterator[Trace]:
    """
    All that could be left of a job, with a look into the store.

    Raises:
        StoreAwayError: the store does not answer, so that nothing is proven.
    """
    yield Trace("inputs", left=_stored(job.input_prefix), gone_at=job.inputs_gone_at, kept_until=_until_end(job))
    again = job.purge_again_at if job.results_stored else None
    yield Trace(
        "results",
        left=_stored(job.result_prefix),
        gone_at=job.results_gone_at,
        kept_until=_result_until(job),
        note=f"deleted once more at {iso(again)}, in case a worker still sends one" if again else "",
    )
    contents = [name for name in ("params", "outcome", "error") if getattr(job, name)]
    if job.deleted_at:
        yield Trace("content of the row", left=len(contents), gone_at=job.deleted_at)
    else:
        left = int(job.outcome is not None)
        yield Trace("outcome in the row", left=left, gone_at=job.results_gone_at, kept_until=_result_until(job))
    addresses = Handover.objects.filter(job_id=job.id).count()
    yield Trace(
        "address for the result", left=addresses, kept_until=NEVER if addresses and not job.deleted_at else None
    )
    for look in _looks:
        yield from look(job)


def _stored(prefix: str) -> int:
    return len(result_store().keys_below(prefix))


def _until_end(job: Job) -> datetime | None:
    return None if job.state in FINAL_STATES else NEVER


def _result_until(job: Job) -> datetime | None:
    if job.state not in FINAL_STATES:
        return NEVER
    is_kept = job.state == State.SUCCEEDED and job.deleted_at is None
    return job.expires_at if is_kept and job.expires_at and job.expires_at > timezone.now() else None
