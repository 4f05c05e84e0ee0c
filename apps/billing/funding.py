"""The three fundings of callers with an account: prepaid credits, RapidAPI's own billing, and the sandbox."""

from __future__ import annotations

from apps.billing import ledger
from apps.billing.models import Price, Wallet
from apps.billing.usage import count_job
from apps.core.funding import Credits
from apps.core.models import Job, State
from apps.core.operations import Operation


def price_of(operation: Operation) -> int:
    """The admin's price, or the one in the code."""
    row = Price.objects.filter(operation=operation.slug).values_list("credits", flat=True).first()
    return operation.price_credits if row is None else row


class CreditFunding:
    """Prepaid credits: held at submit, charged at success, given back otherwise."""

    slug = "credits"

    def price(self, operation: Operation) -> int:
        return price_of(operation)

    def hold(self, job: Job) -> None:
        ledger.hold(job)

    def capture(self, job: Job) -> int:
        charged = ledger.capture(job)
        count_job(job, ended_as=State.SUCCEEDED, credits=charged)
        return charged

    def release(self, job: Job, *, ended_as: State) -> None:
        ledger.release(job)
        count_job(job, ended_as=ended_as)

    def credits(self, account_id: int) -> Credits:
        row = Wallet.objects.filter(account_id=account_id).first()
        return Credits(row.balance, row.held) if row else Credits(0, 0)


class RapidApiFunding:
    """RapidAPI bills its consumers by what our answers say; we only count."""

    slug = "rapidapi"

    def price(self, operation: Operation) -> int:
        return price_of(operation)

    def hold(self, job: Job) -> None:
        """Their plan covers it."""

    def capture(self, job: Job) -> int:
        count_job(job, ended_as=State.SUCCEEDED, credits=job.price_credits)
        return job.price_credits

    def release(self, job: Job, *, ended_as: State) -> None:
        count_job(job, ended_as=ended_as)

    def credits(self, account_id: int) -> None:  # noqa: ARG002 - nobody has credits here
        return None


class SandboxFunding:
    """Free: results carry a visible mark instead."""

    slug = "sandbox"

    def price(self, operation: Operation) -> int:  # noqa: ARG002 - every operation costs the same nothing
        return 0

    def hold(self, job: Job) -> None:
        """Nothing to put aside."""

    def capture(self, job: Job) -> int:
        count_job(job, ended_as=State.SUCCEEDED)
        return 0

    def release(self, job: Job, *, ended_as: State) -> None:
        count_job(job, ended_as=ended_as)

    def credits(self, account_id: int) -> None:  # noqa: ARG002 - nobody has credits here
        return None


FUNDINGS = (CreditFunding(), RapidApiFunding(), SandboxFunding())
