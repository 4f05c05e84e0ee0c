"""The three fundings of callers with an account: prepaid credits, RapidAPI's own billing, and the sandbox."""

from __future__ import annotations

from collections.abc import Sequence

from apps.billing import ledger
from apps.billing.models import Kind, Price, Wallet
from apps.billing.usage import count_job
from apps.core.funding import Credits, Priced
from apps.core.models import OPEN_STATES, Job, State


def price_of(priced: Priced) -> int:
    """The admin's price, or the one in the code."""
    row = Price.objects.filter(operation=priced.slug).values_list("credits", flat=True).first()
    return priced.price_credits if row is None else row


class CreditFunding:
    """Prepaid credits: held at submit, charged at success, given back otherwise."""

    slug = "credits"

    def price(self, priced: Priced) -> int:
        return price_of(priced)

    def hold(self, job: Job) -> None:
        ledger.hold(job)

    def hold_all(self, jobs: Sequence[Job]) -> None:
        ledger.hold_all(jobs)

    def capture(self, job: Job) -> int:
        charged = ledger.capture(job)
        count_job(job, ended_as=State.SUCCEEDED, credits=charged)
        return charged

    def release(self, job: Job, *, ended_as: State) -> None:
        ledger.release(job)
        count_job(job, ended_as=ended_as)

    def bill(self, job: Job) -> int:  # noqa: ARG002 - credits are charged here, not by a gateway
        return 0

    def credits(self, account_id: int) -> Credits:
        row = Wallet.objects.filter(account_id=account_id).first()
        return Credits(row.balance, row.held) if row else Credits(0, 0)


class RapidApiFunding:
    """
    RapidAPI bills its consumers by what our answers say; we only count.

    A 202 is the one answer that it bills for an asynchronous job, because polls are free. If that job then gives no
    result, its price is owed to the account (its wallet, by an adjusting entry) and is taken off later bills.
    """

    slug = "rapidapi"

    def price(self, priced: Priced) -> int:
        return price_of(priced)

    def hold(self, job: Job) -> None:
        """Their plan covers it."""

    def hold_all(self, jobs: Sequence[Job]) -> None:
        """Their plan covers them."""

    def capture(self, job: Job) -> int:
        count_job(job, ended_as=State.SUCCEEDED, credits=job.price_credits)
        return job.price_credits

    def release(self, job: Job, *, ended_as: State) -> None:
        count_job(job, ended_as=ended_as)
        if Job.objects.filter(id=job.id, billed_early=True).exists():
            reason = f"billed with the 202 of job {job.id}, which was not charged"
            ledger.grant(job.account_id, job.price_credits, actor="gateway", reason=reason, kind=Kind.ADJUST)

    def bill(self, job: Job) -> int:
        if Job.objects.filter(id=job.id, state__in=OPEN_STATES).update(billed_early=True):
            due = job.price_credits
        else:
            job.refresh_from_db()
            due = 0 if job.billed_early else job.charged_credits
        return due - ledger.take_owed(job.account_id, at_most=due)

    def credits(self, account_id: int) -> None:  # noqa: ARG002 - they keep the books
        return None


class SandboxFunding:
    """Free: results carry a visible mark instead."""

    slug = "sandbox"

    def price(self, priced: Priced) -> int:  # noqa: ARG002 - every operation costs the same nothing
        return 0

    def hold(self, job: Job) -> None:
        """Nothing to put aside."""

    def hold_all(self, jobs: Sequence[Job]) -> None:
        """Nothing to put aside."""

    def capture(self, job: Job) -> int:
        count_job(job, ended_as=State.SUCCEEDED)
        return 0

    def release(self, job: Job, *, ended_as: State) -> None:
        count_job(job, ended_as=ended_as)

    def bill(self, job: Job) -> int:  # noqa: ARG002 - free
        return 0

    def credits(self, account_id: int) -> None:  # noqa: ARG002 - nobody has credits here
        return None


FUNDINGS = (CreditFunding(), RapidApiFunding(), SandboxFunding())
