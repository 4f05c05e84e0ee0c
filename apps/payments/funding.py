"""The two fundings of callers without an account: the payment's own row keeps the books, not the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.funding import Priced, funding_named
from apps.core.models import Job, State

MICROS_PER_CREDIT = 50_000
"""One credit is five cents, and both rails' dollars have six decimals."""


class RailFunding:
    """
    Money moves outside the job's transaction, before it (MPP) or after it (x402); see docs/adr/0011.

    Args:
        slug: `x402` or `mpp`.
    """

    def __init__(self, slug: str) -> None:
        self.slug = slug

    def price(self, priced: Priced) -> int:
        """The same price list as for keys."""
        return funding_named("credits").price(priced)

    def hold(self, job: Job) -> None:
        """The payment's row is the hold."""

    def hold_all(self, jobs: Sequence[Job]) -> None:
        """A payment is for one job."""

    def capture(self, job: Job) -> int:  # noqa: ARG002 - no credits move
        return 0

    def release(self, job: Job, *, ended_as: State) -> None:
        """The payment's row says what becomes of it."""

    def bill(self, job: Job) -> int:  # noqa: ARG002 - no gateway
        return 0

    def credits(self, account_id: int) -> None:  # noqa: ARG002 - nobody has credits here
        return None


FUNDINGS = (RailFunding("x402"), RailFunding("mpp"))
