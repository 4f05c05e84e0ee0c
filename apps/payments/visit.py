"""One request at the paid address, its image checked, and the work that it asks for; both rails go through here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from apps.accounts.models import Account, Plan
from apps.accounts.plans import LIMITS
from apps.core import broker, jobs
from apps.core.api.public_address import absolute
from apps.core.dialects.base import Answer
from apps.core.errors import AppError, ErrorCode
from apps.core.identity import Identity
from apps.core.intake.uploads import Upload
from apps.core.models import FINAL_STATES, Job, State
from apps.core.operations import Operation
from apps.core.request_facts import facts_of
from apps.core.results import error_of, outcome_of, visible_state
from apps.payments import book
from apps.payments.dialect import PAID_RAW
from apps.payments.models import Payment, Rail
from apps.payments.rails import rails_for

_PLAN = Plan.PRO
_WITHOUT_RESULT = (State.FAILED, State.CANCELLED, State.EXPIRED)


class TooLateError(Exception):
    """The job goes on, but this request can wait no longer; whoever comes again finds it."""


@dataclass(frozen=True)
class Visit:
    """
    Args:
        body_sha256: of the image as it came.
        amount: the price in millionths of a dollar.
        idempotency_key: the client's, or None.
    """

    request: Request
    operation: Operation
    params: dict[str, Any]
    upload: Upload
    body_sha256: bytes
    price_credits: int
    amount: int
    idempotency_key: str | None

    @property
    def url(self) -> str:
        return absolute(self.request._request)

    @property
    def rails(self) -> tuple[Rail, ...]:
        return rails_for(self.request._request)

    @property
    def fingerprint(self) -> str:
        """What is to be paid for: method, path, query and body."""
        query = "&".join(f"{name}={value}" for name, values in sorted(self.request.GET.lists()) for value in values)
        told = f"{self.request.method}\n{self.request.path}\n{query}\n".encode() + self.body_sha256
        return hashlib.sha256(told).hexdigest()

    def note_paid(self) -> None:
        """This request has moved money: the one that asked for the price does not count as unpaid."""
        facts_of(self.request).has_paid = True

    def note_free(self) -> None:
        """It got a result for nothing, and so counts as unpaid."""
        facts_of(self.request).has_paid = False


def refuse_without_worker() -> None:
    """Nobody is asked to pay while there is nobody to do the work. Raises AppError(OVERLOADED)."""
    if not broker.living_workers():
        raise AppError(ErrorCode.OVERLOADED, "No worker is up to do the work; try again shortly.", retry_after_s=5)


def order_of(visit: Visit, rail: Rail, payer: str) -> jobs.Order:
    """The order, on the payer's own account: one that sends a thousand photos does not hold up the others."""
    account, _ = Account.objects.get_or_create(name=f"{rail}:{payer}", defaults={"plan": _PLAN})
    identity = Identity(
        account_id=account.id,
        account_name=account.name,
        plan=account.plan,
        limits=LIMITS[Plan(account.plan)],
        funding=rail.value,
        rate_key=f"account:{account.id}",
    )
    facts_of(visit.request).identity = identity  # for the access line
    return jobs.Order(
        operation=visit.operation,
        identity=identity,
        price_credits=visit.price_credits,
        params=visit.params,
        uploads={"image": visit.upload},
        request_id=facts_of(visit.request).request_id,
        retention_s=settings.RESULT_TTL_S,
    )


def work(visit: Visit, payment: Payment, order: jobs.Order) -> Job:
    """
    Do the job, or find it done: a payment that comes again finds the job of the first time.

    Raises:
        TooLateError: it is not done in time, and goes on.
        AppError: it failed, or could not be begun.
    """
    job = payment.job
    if job is None or visible_state(job) in _WITHOUT_RESULT or job.deleted_at is not None:
        job = jobs.submit(order)
        book.note_job(payment, job)
    facts_of(visit.request).job_id = str(job.id)
    job = jobs.wait(job, timeout_s=float(settings.SYNC_LIMIT_S))
    if job.state not in FINAL_STATES:
        raise TooLateError
    if job.state in {State.FAILED, State.CANCELLED}:
        raise error_of(job) if job.error else AppError(ErrorCode.PROCESSING_FAILED)
    return job


def is_free(job: Job) -> bool:
    """An empty result costs nothing."""
    return job.state == State.SUCCEEDED and not outcome_of(job).chargeable


def picture(visit: Visit, job: Job) -> HttpResponse:
    """The result's bytes. Raises AppError(GONE) after their day."""
    if job.state != State.SUCCEEDED or job.deleted_at is not None:
        raise AppError(
            ErrorCode.GONE, "The result was kept for its time and has been deleted; nothing is charged again."
        )
    response = PAID_RAW.success(Answer(job, visit.operation, True), visit.request._request)
    del response.headers["X-Credits-Charged"]
    response.headers["Cache-Control"] = "private"
    return response


def in_progress() -> AppError:
    """Another request with the same payment is at work."""
    return AppError(
        ErrorCode.CONFLICT, "A request with this payment is still at work; its result is kept for you.", retry_after_s=1
    )


def in_doubt() -> AppError:
    """Money may have moved: nobody is asked to pay again."""
    return AppError(
        ErrorCode.OVERLOADED,
        "The payment was sent and is not confirmed yet. Do not pay again: repeat this request with the same payment.",
        retry_after_s=5,
    )


def too_late() -> AppError:
    return AppError(
        ErrorCode.OVERLOADED,
        "The image was not ready in time. Do not pay again: repeat this request with the same payment.",
        retry_after_s=2,
    )
