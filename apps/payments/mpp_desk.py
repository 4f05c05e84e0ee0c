"""MPP at the desk: validate, settle, work, respond. A signed transaction lives for seconds, so the money comes first."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone

from apps.core import idempotency, jobs
from apps.core.api.exceptions import answer_in
from apps.core.errors import AppError, ErrorCode
from apps.core.idempotency import First, KeyTakenError
from apps.core.models import Job, State
from apps.core.results import error_of
from apps.payments import book, keys, mpp, reconciler, tempo
from apps.payments.challenge import mpp_refusal
from apps.payments.dialect import PAID_RAW
from apps.payments.models import CLAIMABLE_STATES, LEASED_STATES, Payment, PaymentState, Rail
from apps.payments.mpp import Credential, CredentialError
from apps.payments.rails import mpp_rail, mpp_rpc_url
from apps.payments.rpc import Node, NodeAwayError, RefusedError
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

_node: dict[str, Node] = {}


def node() -> Node:
    """The Tempo node that the settings name."""
    return _node.setdefault(mpp_rpc_url(), Node(mpp_rpc_url()))


def pay_by_mpp(visit: Visit, authorization: str) -> HttpResponse:
    """
    Answer a request that carries an MPP credential.

    Raises:
        AppError: whatever is not a refusal of the credential itself.
    """
    was_pushed = False
    try:
        credential = mpp.read_credential(authorization)
        was_pushed = credential.kind == "hash"
        route = mpp.route_of(visit.request._request)
        mpp.check_challenge(credential, mpp_rail(), route=route, body_sha256=visit.body_sha256)
        transaction = tempo.transaction_hash(credential)
        row = Payment.objects.select_related("job").filter(key=credential.challenge.id).first()
        if row is not None and row.state not in CLAIMABLE_STATES:
            return _again(visit, credential, row, transaction)
        claimed, signed = _claim(visit, credential, transaction)
    except CredentialError as error:
        return mpp_refusal(visit, error.problem, str(error), may_have_moved=was_pushed)
    return _take(visit, credential, claimed, signed)


def _claim(visit: Visit, credential: Credential, transaction: str) -> tuple[book.Claim, tempo.SignedTransfer | None]:
    """What the credential says; whether it has expired matters only to one that moves money from here on."""
    challenge, rail = credential.challenge, mpp_rail()
    signed = None
    if credential.kind == "transaction":
        if challenge.is_expired:
            raise CredentialError("payment-expired", "The challenge has expired; nothing was charged.")
        signed = tempo.read_transaction(credential)
    return book.Claim(
        rail=Rail.MPP,
        key=challenge.id,
        fingerprint=visit.fingerprint,
        payer=signed.payer if signed else "",
        recipient=rail.recipient.lower(),
        asset=rail.currency.lower(),
        network=f"eip155:{rail.chain_id}",
        amount=challenge.amount,
        valid_until=signed.valid_until if signed else challenge.expires_at,
        nonce="" if signed else "pushed",
        transaction=transaction,
        idempotency_key=visit.idempotency_key,
    ), signed


def _take(
    visit: Visit, credential: Credential, claimed: book.Claim, signed: tempo.SignedTransfer | None
) -> HttpResponse:
    """
    Everything that could stop the work is asked before the money moves.

    Money that the client has sent itself is here, whatever its key says: it buys what it came for, and who paid, so whose the
    key is, only the chain says.
    """
    if signed is not None:
        ticket = keys.ticket_of(key=visit.idempotency_key, payer=claimed.payer, fingerprint=visit.fingerprint)
        if first := idempotency.first_answer(ticket):
            return answer_first(visit, first)  # the signed transaction is not sent
    refuse_without_worker()
    try:
        row, is_ours = book.claim(claimed)
    except KeyTakenError as taken:
        return answer_first(visit, idempotency.answer_of_the_faster(taken))
    if not is_ours:
        raise in_progress()
    order = order_of(visit, Rail.MPP, row.payer) if signed else None
    try:
        with jobs.waiting_room(row.payer):
            if order is None:
                return _collect(visit, credential, row, None)
            with jobs.admitted(order, deadline_s=float(settings.SYNC_LIMIT_S)):
                return _collect(visit, credential, row, signed)
    except AppError:
        book.release_claimed(row, "refused before the money moved")
        raise


def _collect(visit: Visit, credential: Credential, row: Payment, signed: tempo.SignedTransfer | None) -> HttpResponse:
    """Settle, then work."""
    if not book.start_settling(row, source=PaymentState.CLAIMED):
        raise in_progress()
    earlier: Payment | None = None
    finding = _settle(row, credential, signed)
    match finding.fate:
        case tempo.Fate.PAID:
            earlier = note_paid(row, finding)
            visit.note_paid()
        case tempo.Fate.PENDING:
            book.doubt(row, "not mined yet")
            raise in_doubt()
        case tempo.Fate.WRONG | tempo.Fate.FAILED:
            book.fail(row, f"the transaction {finding.fate}")
            detail = "The transaction did not make the payment that was asked for."
            return mpp_refusal(visit, "verification-failed", detail, may_have_moved=signed is None)
    row.refresh_from_db()
    if row.state == PaymentState.FAILED:
        return _already_used(visit)
    if earlier is not None:
        response = answer_again(visit, earlier)
        book.deliver_from(row, earlier)
        return response
    return serve_paid(visit, row)


def _settle(row: Payment, credential: Credential, signed: tempo.SignedTransfer | None) -> tempo.Finding:
    """Broadcast, and wait for the receipt; PENDING where nobody can say."""
    transaction = row.transaction or ""
    try:
        if signed is not None:
            try:
                tempo.broadcast(node(), signed)
            except RefusedError:
                finding = tempo.judge(node().receipt(transaction), credential.challenge)
                return replace(finding, fate=tempo.Fate.FAILED) if finding.fate is tempo.Fate.PENDING else finding
        return tempo.wait(node(), transaction, credential.challenge, pushed=signed is None)
    except (NodeAwayError, RefusedError):
        return tempo.Finding(tempo.Fate.PENDING)


def note_paid(row: Payment, finding: tempo.Finding) -> Payment | None:
    """The money is here; from now on the work is owed, or what an earlier payment under the same key has bought."""
    said = mpp.receipt(transaction=row.transaction or "", currency=row.asset, at=timezone.now())
    _, earlier = book.note_paid(row, payer=finding.payer, receipt=said)
    return earlier


def serve_paid(visit: Visit, row: Payment) -> HttpResponse:
    """Do what was paid for. Raises AppError; a fault of ours leaves the row paid, for another try with the same credential."""
    if not book.start_working(row, source=PaymentState.PAID):
        raise in_progress()
    try:
        job = work(visit, row, order_of(visit, Rail.MPP, row.payer))
    except TooLateError:
        book.owe_work(row, "late")
        raise too_late() from None
    except AppError as error:
        if error.code is ErrorCode.VALIDATION_ERROR:
            book.deliver_mpp(row)
            book.owe_refund(row, f"the image cannot be processed: {error.message}")
            raise
        book.owe_work(row, error.code.name)
        raise AppError(
            ErrorCode.OVERLOADED,
            "The image could not be processed. You have paid: repeat this request with the same payment, free of charge.",
            retry_after_s=error.retry_after_s or 2,
        ) from error
    if is_free(job):
        book.owe_refund(row, "nothing was found in the image, which costs nothing")
    book.deliver_mpp(row)
    return _with_receipt(picture(visit, job), row)


def answer_first(visit: Visit, first: First) -> HttpResponse:
    """What an Idempotency-Key stands for: a payment of either rail, or the job that found the file at fault."""
    if isinstance(first.made, Job):
        return idempotency.as_replay(answer_in(PAID_RAW, error_of(first.made), visit.request._request))
    return answer_again(visit, first.made)


def answer_again(visit: Visit, row: Payment) -> HttpResponse:
    """What a payment of either rail has paid for already, for a request with its Idempotency-Key and the same bytes."""
    if was_unclear := keys.is_unclear(row):
        reconciler.resolve(row)
        row.refresh_from_db()
    if row.state == PaymentState.PAID and (was_unclear or keys.is_owed(row)):
        response = serve_paid(visit, row)
    elif row.state in {*LEASED_STATES, *CLAIMABLE_STATES, PaymentState.PAID}:  # of these the second since a moment ago
        raise in_progress()
    elif row.job is None or row.state == PaymentState.UNKNOWN:
        raise in_doubt()
    else:
        response = _kept(visit, row)
    return idempotency.as_replay(response)


def _again(visit: Visit, credential: Credential, row: Payment, transaction: str) -> HttpResponse:
    """The same credential once more: its challenge is ours, and it is the transaction that was paid with."""
    if row.transaction != transaction:
        return _already_used(visit)
    keys.remember(row, visit.idempotency_key)
    if keys.is_unclear(row):
        _send_again(credential)
        reconciler.resolve(row)
        row.refresh_from_db()
    if row.state in LEASED_STATES or row.state in CLAIMABLE_STATES:
        raise in_progress()
    if row.state == PaymentState.UNKNOWN or (row.job is None and row.state != PaymentState.PAID):
        raise in_doubt()
    response = serve_paid(visit, row) if row.state == PaymentState.PAID else _kept(visit, row)
    return idempotency.as_replay(response) if visit.idempotency_key else response


def _send_again(credential: Credential) -> None:
    """The very same transaction, which the chain carries out once at most; the first time it may not have arrived."""
    if credential.kind == "transaction":
        try:
            tempo.broadcast(node(), tempo.read_transaction(credential))
        except (NodeAwayError, RefusedError, CredentialError):
            return


def _kept(visit: Visit, row: Payment) -> HttpResponse:
    assert row.job is not None  # noqa: S101 - the callers have looked
    if row.job.state == State.FAILED:
        return answer_in(PAID_RAW, error_of(row.job), visit.request._request)
    return _with_receipt(picture(visit, row.job), row)


def _with_receipt(response: HttpResponse, row: Payment) -> HttpResponse:
    if row.rail == Rail.MPP and row.receipt:
        response.headers["Payment-Receipt"] = mpp.encode_receipt(row.receipt)
    return response


def _already_used(visit: Visit) -> HttpResponse:
    return mpp_refusal(visit, "verification-failed", "This payment was used already.", may_have_moved=True)
