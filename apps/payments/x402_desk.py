"""x402 at the desk: verify, work, settle, respond. The bytes leave only when the chain has said that the money is here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpResponse

from apps.core import idempotency, jobs
from apps.core.errors import AppError, ErrorCode
from apps.core.idempotency import First, KeyTakenError
from apps.core.models import Job
from apps.payments import book, keys, reconciler, x402
from apps.payments.challenge import payment_required
from apps.payments.facilitator import FacilitatorAwayError, Outcome, Settlement
from apps.payments.models import CLAIMABLE_STATES, DELIVERED_STATES, LEASED_STATES, Payment, PaymentState, Rail
from apps.payments.mpp_desk import answer_first
from apps.payments.rails import x402_rail
from apps.payments.settlement import facilitator
from apps.payments.visit import (
    TooLateError,
    Visit,
    in_doubt,
    in_progress,
    is_free,
    order_of,
    picture,
    refuse_without_worker,
    too_late,
    work,
)
from apps.payments.x402 import X402Payment


def pay_by_x402(visit: Visit, paid: X402Payment) -> HttpResponse:
    """
    Answer a request that carries an x402 payment.

    Raises:
        AppError: whatever is not a refusal of the payment itself.
    """
    rail = x402_rail()
    row = Payment.objects.select_related("job").filter(key=x402.key_of(paid.authorization, rail)).first()
    if row is not None and row.state not in CLAIMABLE_STATES:
        return _used(visit, paid, row)
    if reason := x402.fault_of(paid, rail, amount=visit.amount):
        return _refuse(visit, paid, reason)
    if first := _first(visit, paid):
        return _answer_first(visit, paid, first)
    refuse_without_worker()
    try:
        row, is_ours = book.claim(_claim(visit, paid))
    except KeyTakenError as taken:
        with _identifiers_own_words(visit, paid):
            first = idempotency.answer_of_the_faster(taken)
        return _answer_first(visit, paid, first)
    return _serve(visit, paid, row) if is_ours else _used(visit, paid, row)


def _used(visit: Visit, paid: X402Payment, row: Payment) -> HttpResponse:
    """A payment that has moved money, or may have: its time may be over, and our terms may have changed since."""
    if reason := x402.signature_fault(paid, x402_rail()):  # that it is the payer's own still counts
        return _refuse(visit, paid, reason)
    key = _key_of(visit, paid)
    if row.fingerprint == visit.fingerprint:
        keys.remember(row, key)
        response = _again(visit, paid, row)
        return idempotency.as_replay(response) if key else response
    if first := _first(visit, paid):
        return _answer_first(visit, paid, first)
    return _refuse(visit, paid, x402.ALREADY_USED)


def _key_of(visit: Visit, paid: X402Payment) -> str | None:
    return visit.idempotency_key or paid.identifier


def _first(visit: Visit, paid: X402Payment) -> First | None:
    """What the payer's key stands for, for this very request. Raises AppError."""
    payer = paid.authorization.payer
    ticket = keys.ticket_of(key=_key_of(visit, paid), payer=payer, fingerprint=visit.fingerprint)
    with _identifiers_own_words(visit, paid):
        return idempotency.first_answer(ticket)


@contextlib.contextmanager
def _identifiers_own_words(visit: Visit, paid: X402Payment) -> Iterator[None]:
    """x402's `payment-identifier` has a status of its own for another request."""
    try:
        yield
    except AppError as error:
        if error.code is not ErrorCode.IDEMPOTENCY_MISMATCH:
            raise
        code = ErrorCode.CONFLICT if paid.identifier and not visit.idempotency_key else error.code
        raise AppError(code, "This key was used for another request; the new payment was not touched.") from error


def _claim(visit: Visit, paid: X402Payment) -> book.Claim:
    rail, authorization = x402_rail(), paid.authorization
    return book.Claim(
        rail=Rail.X402,
        key=x402.key_of(authorization, rail),
        fingerprint=visit.fingerprint,
        payer=authorization.payer,
        recipient=authorization.to,
        asset=rail.network.asset.lower(),
        network=rail.network.caip2,
        amount=visit.amount,
        valid_until=authorization.expires_at,
        nonce=authorization.nonce,
        idempotency_key=_key_of(visit, paid),
    )


def _serve(visit: Visit, paid: X402Payment, row: Payment) -> HttpResponse:
    """The row is ours: ask, work, take the money, answer."""
    try:
        reason = facilitator().verify(paid)
    except FacilitatorAwayError as error:
        book.release(row, "facilitator away")
        raise AppError(
            ErrorCode.OVERLOADED, "The payment cannot be checked at the moment; nothing was charged.", retry_after_s=5
        ) from error
    if reason:
        book.fail(row, reason)
        return _refuse(visit, paid, reason)
    job = _work(visit, row)
    if is_free(job):
        book.give_free(row)
        visit.note_free()
        return picture(visit, job)
    if reason := x402.timing_fault(paid.authorization):
        book.release(row, reason)
        return _refuse(visit, paid, reason)
    return _settle(visit, paid, row, job)


def _work(visit: Visit, row: Payment) -> Job:
    """Whatever goes wrong here, nothing was charged, and the same payment may come again."""
    if not book.start_working(row, source=PaymentState.CLAIMED):
        raise in_progress()
    try:
        order = order_of(visit, Rail.X402, row.payer)
        with (
            jobs.admitted(order, deadline_s=float(settings.SYNC_LIMIT_S)),
            jobs.waiting_room(order.identity.account_id),
        ):
            return work(visit, row, order)
    except TooLateError:
        book.release(row, "late")
        raise too_late() from None
    except AppError as error:
        (book.release_refused if error.code is ErrorCode.VALIDATION_ERROR else book.release)(row, error.code.name)
        raise


def _settle(visit: Visit, paid: X402Payment, row: Payment, job: Job) -> HttpResponse:
    reason = book.UNSENT if facilitator().notes_what_it_sends else ""
    if not book.start_settling(row, source=PaymentState.WORKING, reason=reason):
        raise in_progress()
    done = facilitator().settle(paid, row)
    if done.outcome is Outcome.UNKNOWN and not row.transaction:
        again = facilitator().settle(paid, row)  # the same payment: a facilitator that has carried it out says so now
        # What it refuses or does not take the second time says nothing about the first.
        if again.outcome is Outcome.SETTLED or again.transaction:
            done = again
    return _after(visit, paid, row, job, done)


def _after(visit: Visit, paid: X402Payment, row: Payment, job: Job, done: Settlement) -> HttpResponse:
    match done.outcome:
        case Outcome.SETTLED:
            book.settle_x402(row, transaction_hash=done.transaction, receipt={"transaction": done.transaction})
            visit.note_paid()
        case Outcome.REFUSED:
            book.fail(row, done.reason)
            return _refuse(visit, paid, done.reason)
        case Outcome.NOT_SENT:
            book.release(row, done.reason)
            raise AppError(
                ErrorCode.OVERLOADED,
                "The payment cannot be settled at the moment; nothing was charged.",
                retry_after_s=5,
            )
        case Outcome.UNKNOWN:
            book.doubt(row, done.reason, transaction_hash=done.transaction)
    row.refresh_from_db()
    if row.state != PaymentState.SETTLED:
        raise in_doubt()
    return _with_receipt(picture(visit, job), paid, row)


def _again(visit: Visit, paid: X402Payment, row: Payment) -> HttpResponse:
    """Signature and request are those that it was made for: it is given again, and nothing is done twice."""
    if keys.is_unclear(row):
        reconciler.resolve(row)
        row.refresh_from_db()
    if row.state in LEASED_STATES or row.state in CLAIMABLE_STATES:
        raise in_progress()
    if row.state not in DELIVERED_STATES or row.job is None:
        raise in_doubt()
    return _with_receipt(picture(visit, row.job), paid, row)


def _answer_first(visit: Visit, paid: X402Payment, first: First) -> HttpResponse:
    """A new payment of the same payer for what was paid or refused already: this one is not touched."""
    if isinstance(first.made, Job) or first.made.rail == Rail.MPP:
        return answer_first(visit, first)
    return idempotency.as_replay(_again(visit, paid, first.made))


def _with_receipt(response: HttpResponse, paid: X402Payment, row: Payment) -> HttpResponse:
    if row.state == PaymentState.SETTLED:
        response.headers[x402.RECEIPT_HEADERS[paid.version]] = x402.receipt(
            x402_rail(), version=paid.version, payer=row.payer, transaction=row.transaction or ""
        )
    return response


def _refuse(visit: Visit, paid: X402Payment, reason: str) -> HttpResponse:
    """402, a fresh challenge, and why; only ever for a payment that moved no money for this request."""
    response = payment_required(visit, error=reason)
    response.headers[x402.RECEIPT_HEADERS[paid.version]] = x402.receipt(
        x402_rail(), version=paid.version, payer=paid.authorization.payer, transaction="", reason=reason
    )
    return response
