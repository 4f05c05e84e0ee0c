"""Who pays, behind one seam: services register a Funding, the core only ever calls these three."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from apps.core.models import Job


class Funding(Protocol):
    """
    One way to pay for a job; each call is idempotent by the job's id.

    `hold` runs in the transaction that inserts the job, so that a job without cover never exists.
    """

    slug: str

    def hold(self, job: Job) -> None:
        """Put the price aside. Raises AppError(INSUFFICIENT_CREDITS) when it is not there."""

    def capture(self, job: Job) -> int:
        """Take what was held; returns the credits charged."""

    def release(self, job: Job) -> None:
        """Give back what was held."""


_FUNDINGS: dict[str, Funding] = {}


def register_funding(funding: Funding) -> None:
    """Called once per funding, when its service starts."""
    _FUNDINGS[funding.slug] = funding


def funding_of(job: Job) -> Funding:
    return _FUNDINGS[job.funding]
