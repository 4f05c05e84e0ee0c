"""The funding of this version: every valid key may spend, and the job's row records the price."""

from __future__ import annotations

from apps.core.models import Job


class OpenFunding:
    """Lets every valid key through."""

    slug = "open"

    def hold(self, job: Job) -> None:
        """Nothing is put aside."""

    def capture(self, job: Job) -> int:
        """The price, as the answer states it."""
        return job.price_credits

    def release(self, job: Job) -> None:
        """Nothing was put aside."""
