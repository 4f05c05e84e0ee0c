"""Who pays, behind one seam: services register a Funding, the core only ever calls these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from apps.core.models import Job, State


@dataclass(frozen=True)
class Credits:
    """What an account can still spend, and what is put aside for its open jobs (already taken off `balance`)."""

    balance: int
    held: int


class Priced(Protocol):
    """What stands in the price list: an Operation, or one of its tariffs."""

    @property
    def slug(self) -> str: ...

    @property
    def price_credits(self) -> int: ...


class Funding(Protocol):
    """
    One way to pay for a job; hold, capture and release are idempotent by the job's id.

    `hold` runs in the transaction that inserts the job, so that a job without cover never exists; `capture` and
    `release` run in the transaction that ends it.
    """

    slug: str

    def price(self, priced: Priced) -> int:
        """Credits that one success costs."""

    def hold(self, job: Job) -> None:
        """Put the price aside. Raises AppError(INSUFFICIENT_CREDITS) when it is not there."""

    def hold_all(self, jobs: Sequence[Job]) -> None:
        """Put the prices of several jobs of one account aside, all or none, as `hold` does."""

    def capture(self, job: Job) -> int:
        """Take what was held; returns the credits charged."""

    def release(self, job: Job, *, ended_as: State) -> None:
        """Give back what was held: the job failed, was cancelled, or succeeded and found nothing."""

    def bill(self, job: Job) -> int:
        """Credits that the answer about to go out for this job tells a gateway to bill; 0 where there is no gateway."""

    def credits(self, account_id: int) -> Credits | None:
        """What the account has; None where somebody else keeps the books."""


_FUNDINGS: dict[str, Funding] = {}


def register_funding(funding: Funding) -> None:
    """Called once per funding, when its service starts."""
    _FUNDINGS[funding.slug] = funding


def funding_named(slug: str) -> Funding:
    """The funding that an identity or a job names."""
    return _FUNDINGS[slug]
