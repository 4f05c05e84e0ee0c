"""How far jobs are, told to whoever watches: by the process that moves a job, through Redis, to every web process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import redis

from apps.core.broker import STEPS_CHANNEL, broker
from apps.core.models import FINAL_STATES, State

if TYPE_CHECKING:
    from apps.core.models import Job

Place = tuple[int, int, int]
_KEPT_S = 180
_RANKS = {
    State.RUNNING: 0,
    State.SETTLING: 1,
    State.QUEUED: 2,
}  # within an attempt: a job that goes back has been tried
_FINAL_RANK = 3


@dataclass(frozen=True)
class Step:
    """
    Where a job is. Steps of one job are in an order, whoever tells them, so that none is told twice or backwards.

    Args:
        progress: 0..1.
    """

    attempt: int
    state: State
    stage: str
    progress: float

    @classmethod
    def of(cls, job: Job) -> Self:
        """Where its row is."""
        return cls(job.attempt, State(job.state), job.stage, job.progress)

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def place(self) -> Place:
        """In the order of a job's steps."""
        return self.attempt, _RANKS.get(self.state, _FINAL_RANK), round(self.progress * 1000)

    @property
    def id(self) -> str:
        """What clients know it by: `place` in words."""
        return "-".join(map(str, self.place))

    def comes_after(self, other: Step) -> bool:
        return self.place > other.place or (self.place == other.place and self.stage != other.stage)

    def to_text(self) -> str:
        return f"{self.attempt} {self.state.value} {self.progress:.4f} {self.stage}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        attempt, state, progress, stage = text.split(" ", 3)
        return cls(int(attempt), State(state), stage, float(progress))


def place_in(step_id: str) -> Place | None:
    """The place that a Step's id says; None for what is none."""
    parts = step_id.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        return None
    attempt, rank, progress = map(int, parts)
    return attempt, rank, progress


def topic_of(job_id: object) -> str:
    """What a job is called on the channel."""
    return f"job:{job_id}"


def tell(job: Job, state: State, *, stage: str, progress: float) -> None:
    """
    Tell a step of an open job to whoever watches it now, and keep it for who comes back. The row is the truth, which
    watchers look at every few seconds, so errors are ignored.
    """
    text = Step(job.attempt, state, stage, progress).to_text()
    try:
        with broker().pipeline(transaction=False) as pipe:
            pipe.rpush(_kept(job.id), text)
            pipe.expire(_kept(job.id), _KEPT_S)
            pipe.publish(STEPS_CHANNEL, f"{topic_of(job.id)} {text}")
            pipe.execute()
    except redis.RedisError:
        return


def told_of(job_id: object) -> list[Step]:
    """The steps of the last minutes, oldest first; none without Redis."""
    try:
        return [
            Step.from_text(text.decode() if isinstance(text, bytes) else text)
            for text in broker().lrange(_kept(job_id), 0, -1)
        ]
    except redis.RedisError:
        return []


def _kept(job_id: object) -> str:
    return f"keyline:steps:{job_id}"
