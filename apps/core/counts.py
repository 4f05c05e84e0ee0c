"""
Counters that several processes keep together, in one hash of Redis; `/metrics` shows them.

They begin anew when Redis does, which is what Prometheus expects of counters.
"""

from __future__ import annotations

from collections.abc import Iterator

from apps.core.models import Job, State
from apps.core.outcome import Outcome

JOBS, QUEUE, STAGES, CREDITS, PAYMENTS, WEBHOOKS, UPLOADS = (
    "jobs",
    "queue",
    "stages",
    "credits",
    "payments",
    "webhooks",
    "uploads",
)
SENT_OUTCOMES = ("delivered", "retried", "failed")
_COUNT, _SUM = "count", "sum"


def field(family: str, *labels: str) -> str:
    """The counter's name in the hash."""
    return "|".join((family, *labels))


def observed(family: str, *labels: str, seconds: float) -> Iterator[tuple[str, float]]:
    """One more of something that took so long: what to add to which counters."""
    yield field(family, *labels, _COUNT), 1
    yield field(family, *labels, _SUM), seconds


def of_end(job: Job, ended_as: State) -> Iterator[tuple[str, float]]:
    """What a job that has just ended adds to which counters; only a success tells of its times."""
    yield field(JOBS, job.operation, ended_as.value), 1
    if ended_as is not State.SUCCEEDED:
        return
    if job.started_at is not None:
        yield from observed(QUEUE, job.operation, seconds=(job.started_at - job.created_at).total_seconds())
    timings_ms = Outcome.from_json(job.outcome).timings_ms if job.outcome else {}
    for stage, took_ms in timings_ms.items():
        yield from observed(STAGES, job.operation, stage, seconds=took_ms / 1000)


def of_family(counted: dict[str, float], family: str) -> dict[tuple[str, ...], float]:
    """A family's counters by their labels."""
    split = ((name.split("|"), value) for name, value in counted.items())
    return {tuple(labels): value for (first, *labels), value in split if first == family}


def pairs_of(counted: dict[str, float], family: str) -> dict[tuple[str, ...], tuple[float, float]]:
    """How many, and the seconds of all of them, by labels; of what `observed` made."""
    parts = of_family(counted, family)
    labels = {name[:-1] for name in parts}
    return {each: (parts.get((*each, _COUNT), 0.0), parts.get((*each, _SUM), 0.0)) for each in labels}
