"""How long a job that comes now would take, from what is in hand and what waits ahead of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PLACES_PER_SLOT = 2
"""Jobs that a worker has begun for each of its slots, at most (worker.PLACES_PER_RUN)."""


@dataclass(frozen=True)
class InHand:
    """A job that a worker has begun: `pace_s` seconds of a slot are its kind's due, and it began `age_s` seconds ago."""

    pace_s: float
    age_s: float

    @property
    def left_s(self) -> float:
        """Until its place is free, where every place is taken and so the slot is shared."""
        return max(0.0, PLACES_PER_SLOT * self.pace_s - self.age_s)


def expected_s(pace_s: float, *, in_hand: Sequence[InHand], ahead_s: float, slots: int) -> float:
    """
    Seconds until a job that comes now would be done.

    A slow job keeps one place from the others and no more: those that wait are filled into the places as these become free.

    Args:
        pace_s: seconds of a slot that such a job takes.
        in_hand: what workers have begun.
        ahead_s: seconds of a slot that all those take which wait and come first.
        slots: of all workers, at least 1.
    """
    places = slots * PLACES_PER_SLOT
    youngest = sorted(in_hand, key=lambda job: job.age_s)
    ahead_s += sum(job.pace_s for job in youngest[places:])  # a dead worker's: they are done again
    free_at_s = sorted(job.left_s for job in youngest[:places])
    free_at_s = [0.0] * (places - len(free_at_s)) + free_at_s
    return _filled_at(free_at_s, PLACES_PER_SLOT * ahead_s) + PLACES_PER_SLOT * pace_s


def _filled_at(free_at_s: Sequence[float], work_s: float) -> float:
    """When places that become free at these times, the first first, have taken up so much work."""
    spent = 0.0
    for count, free_at in enumerate(free_at_s, start=1):
        spent += free_at
        level = (work_s + spent) / count
        if count == len(free_at_s) or level <= free_at_s[count]:
            return level
    return work_s
