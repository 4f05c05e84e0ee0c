"""What only payments know of Idempotency-Keys: owners that come late, payments that come back, keys beside the money."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from apps.core import broker, idempotency
from apps.core.errors import ErrorCode
from apps.core.models import IdempotencyKey, Job
from apps.payments import book, keys, x402_desk
from apps.payments.facilitator import Outcome, Settlement
from apps.payments.models import Payment, PaymentState
from tests.api import Api
from tests.contract.senders import PHOTOS, fail_jobs
from tests.payments.fakes import FakeFacilitator, FakeTempo, mined
from tests.payments.paying import settled_by
from tests.payments.rig.chains import KEYS, OTHER, PAYER
from tests.payments.wallet import challenge_of, mpp_header, post, tempo_transaction, x402_header

KEY = "order-0000000000000009"


@pytest.fixture
def facilitator(desk: Api, monkeypatch: pytest.MonkeyPatch) -> FakeFacilitator:
    return settled_by(monkeypatch, *(Settlement(Outcome.SETTLED, f"0x{number:064x}") for number in range(1, 9)))


def is_replay(response: HttpResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def push(chain: FakeTempo, photo: bytes = PHOTOS[0], *, payer: int = PAYER) -> dict[str, str]:
    """The header of a payment that the client has sent to the chain itself."""
    challenge = challenge_of(post(photo))
    transaction, receipt = mined(tempo_transaction(challenge, key=KEYS[payer]))
    chain.mined[transaction] = receipt
    return mpp_header(challenge, {"type": "hash", "hash": transaction}, key=KEYS[payer])


def refunds() -> int:
    return Payment.objects.filter(refund_due=True).count()


# --- x402 -------------------------------------------------------------------------------------------------------


def test_used_payment_answers_for_the_key_that_it_comes_with(facilitator: FakeFacilitator) -> None:
    payment = x402_header()
    first = post(**payment)

    again = post(Idempotency_Key=KEY, **payment)
    retried = post(Idempotency_Key=KEY, **x402_header())

    assert [is_replay(each) for each in (first, again, retried)] == [False, True, True]
    assert again.content == retried.content == first.content
    assert len(facilitator.settled) == Payment.objects.count() == 1


def test_used_payment_with_its_key_for_another_photo_is_a_422_and_without_it_a_402(
    facilitator: FakeFacilitator,
) -> None:
    payment = x402_header()
    post(Idempotency_Key=KEY, **payment)

    with_key, without = post(PHOTOS[1], Idempotency_Key=KEY, **payment), post(PHOTOS[1], **payment)

    assert (with_key.status_code, without.status_code) == (422, 402)
    assert Job.objects.count() == len(facilitator.settled) == 1


def test_key_of_the_payer_answers_for_a_payment_that_is_used_for_something_else(facilitator: FakeFacilitator) -> None:
    first, other = post(Idempotency_Key=KEY, **x402_header()), x402_header()
    post(PHOTOS[1], **other)

    again = post(Idempotency_Key=KEY, **other)

    assert (again.status_code, again.content, is_replay(again)) == (200, first.content, True)
    assert len(facilitator.settled) == 2


def failed(monkeypatch: pytest.MonkeyPatch, code: ErrorCode, payment: dict[str, str]) -> HttpResponse:
    """The answer to a payment whose job fails."""
    with monkeypatch.context() as patch:
        fail_jobs(patch, code)
        return post(Idempotency_Key=KEY, **payment)


def test_payment_that_comes_back_keeps_its_key_from_who_has_seen_it_free(
    facilitator: FakeFacilitator, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = x402_header()
    assert failed(monkeypatch, ErrorCode.PROCESSING_FAILED, payment).status_code == 500
    first_of = idempotency._first_of
    back: list[Any] = []

    def just_before(row: IdempotencyKey) -> idempotency.First:
        first = first_of(row)
        if not back:
            assert first.fate is idempotency.Fate.FREE
            back.append(None)
            back.append(post(Idempotency_Key=KEY, **payment))
        return first

    monkeypatch.setattr(idempotency, "_first_of", just_before)
    other = post(Idempotency_Key=KEY, **x402_header())

    assert back[1].status_code == 200
    assert (other.status_code, other.content, is_replay(other)) == (200, back[1].content, True)
    assert len(facilitator.settled) == 1


def test_refused_file_is_told_again_before_anybody_pays(
    facilitator: FakeFacilitator, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = x402_header()
    refused = failed(monkeypatch, ErrorCode.VALIDATION_ERROR, payment)

    unpaid, paid = post(Idempotency_Key=KEY), post(Idempotency_Key=KEY, **x402_header())
    elsewhere = post(PHOTOS[1], **payment)

    assert refused.status_code == 400
    for again in (unpaid, paid):
        assert (again.status_code, is_replay(again), again.json()["error"]) == (400, True, refused.json()["error"])
    assert elsewhere.status_code == 200  # the payment itself was never used
    assert len(facilitator.settled) == 1


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_SENT])
def test_payment_that_moved_no_money_leaves_the_key_to_another(outcome: Outcome, facilitator: FakeFacilitator) -> None:
    facilitator.outcomes.insert(0, Settlement(outcome, reason="no"))
    refused = post(Idempotency_Key=KEY, **x402_header())

    other = post(PHOTOS[1], Idempotency_Key=KEY, **x402_header())

    assert refused.status_code in {402, 503}
    assert (other.status_code, is_replay(other)) == (200, False)


def test_unclear_payment_keeps_its_key(facilitator: FakeFacilitator) -> None:
    unheard = Settlement(Outcome.UNKNOWN, reason="facilitator: ReadTimeout")
    facilitator.outcomes[:0] = [unheard, unheard]
    assert post(Idempotency_Key=KEY, **x402_header()).status_code == 503

    again, other = (post(photo, Idempotency_Key=KEY, **x402_header()) for photo in PHOTOS)

    assert (again.status_code, other.status_code) == (503, 422)
    assert Payment.objects.get().state == PaymentState.UNKNOWN
    assert len(facilitator.settled) == 2


def test_payment_identifier_of_another_request_is_a_409_as_x402_says(facilitator: FakeFacilitator) -> None:
    name = "pay_0123456789abcdef"
    post(**x402_header(identifier=name))

    again, other = (post(photo, **x402_header(identifier=name)) for photo in PHOTOS)

    assert (again.status_code, is_replay(again), other.status_code) == (200, True, 409)
    assert len(facilitator.settled) == 1


# --- MPP --------------------------------------------------------------------------------------------------------


def test_strangers_who_push_with_one_key_do_not_meet(tempo_chain: FakeTempo) -> None:
    answers = [post(Idempotency_Key=KEY, **push(tempo_chain, payer=payer)) for payer in (PAYER, OTHER)]

    assert [(answer.status_code, is_replay(answer)) for answer in answers] == [(200, False)] * 2
    assert (Payment.objects.filter(state="settled").count(), Job.objects.count(), refunds()) == (2, 2, 0)


def test_second_push_of_one_payer_under_one_key_is_answered_and_due_back(tempo_chain: FakeTempo) -> None:
    first, second = (post(Idempotency_Key=KEY, **push(tempo_chain)) for _ in range(2))

    assert (second.status_code, second.content, is_replay(second)) == (200, first.content, True)
    assert (Job.objects.count(), refunds(), IdempotencyKey.objects.count()) == (1, 1, 1)


def test_push_of_another_photo_under_the_key_buys_its_own_picture(tempo_chain: FakeTempo) -> None:
    first = post(Idempotency_Key=KEY, **push(tempo_chain))
    payment = push(tempo_chain, PHOTOS[1])

    other, again = (post(PHOTOS[1], Idempotency_Key=KEY, **payment) for _ in range(2))

    assert (other.status_code, again.content, other.content == first.content) == (200, other.content, False)
    assert (Job.objects.count(), refunds()) == (2, 0)


def test_of_two_pushes_that_are_found_paid_at_once_one_is_due_back(
    tempo_chain: FakeTempo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are claimed before anybody knows that one payer sent them."""
    payments = [push(tempo_chain), push(tempo_chain)]
    answers: list[HttpResponse] = []
    settle: Callable[..., Any] = book.start_settling

    def other_first(*args: Any, **kwargs: Any) -> bool:
        if not answers:
            answers.append(HttpResponse(status=500))
            answers[0] = post(Idempotency_Key=KEY, **payments[1])
        return bool(settle(*args, **kwargs))

    monkeypatch.setattr(book, "start_settling", other_first)
    slow = post(Idempotency_Key=KEY, **payments[0])

    assert (answers[0].status_code, slow.status_code, slow.content) == (200, 200, answers[0].content)
    assert (Job.objects.count(), refunds(), IdempotencyKey.objects.count()) == (1, 1, 1)


def test_key_of_a_push_that_came_to_nothing_goes_to_the_next(tempo_chain: FakeTempo) -> None:
    post(Idempotency_Key=KEY, **push(tempo_chain))
    Payment.objects.update(state=PaymentState.FAILED)

    second = post(PHOTOS[1], Idempotency_Key=KEY, **push(tempo_chain, PHOTOS[1]))

    assert (second.status_code, refunds()) == (200, 0)
    row, payment = IdempotencyKey.objects.get(), Payment.objects.get(state="settled")
    assert (row.made_id, row.payer) == (payment.id, payment.payer)


def test_signed_transaction_is_not_sent_under_a_key_that_has_its_answer(tempo_chain: FakeTempo) -> None:
    first = post(Idempotency_Key=KEY, **mpp_header(challenge_of(post())))

    again = post(Idempotency_Key=KEY, **mpp_header(challenge_of(post())))
    other = post(PHOTOS[1], Idempotency_Key=KEY, **mpp_header(challenge_of(post(PHOTOS[1]))))

    assert (again.status_code, again.content, is_replay(again), other.status_code) == (200, first.content, True, 422)
    assert len(tempo_chain.sent) == Job.objects.count() == 1


def test_same_credential_and_its_key_are_a_replay(tempo_chain: FakeTempo) -> None:
    payment = mpp_header(challenge_of(post()))

    first, again = post(Idempotency_Key=KEY, **payment), post(Idempotency_Key=KEY, **payment)

    assert (is_replay(first), is_replay(again), again.content) == (False, True, first.content)


def test_refused_file_that_was_paid_is_told_again_and_due_back_once(
    tempo_chain: FakeTempo, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = mpp_header(challenge_of(post()))
    with monkeypatch.context() as patch:
        fail_jobs(patch, ErrorCode.VALIDATION_ERROR)
        refused = post(Idempotency_Key=KEY, **payment)

    again = [post(Idempotency_Key=KEY, **payment), post(Idempotency_Key=KEY)]

    assert [(each.status_code, is_replay(each)) for each in (refused, *again)] == [
        (400, False),
        (400, True),
        (400, True),
    ]
    assert (refunds(), Job.objects.count(), len(tempo_chain.sent)) == (1, 1, 1)


# --- who answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_first_answer_is_given_again_though_no_worker_is_up(
    rail: str, facilitator: FakeFacilitator, tempo_chain: FakeTempo
) -> None:
    payments = [x402_header() if rail == "x402" else mpp_header(challenge_of(post())) for _ in range(3)]
    first = post(Idempotency_Key=KEY, **payments[0])

    broker.forget("in-process")
    again, new = post(Idempotency_Key=KEY, **payments[1]), post(**payments[2])

    assert (again.status_code, again.content, is_replay(again), new.status_code) == (200, first.content, True, 503)


# --- the day ----------------------------------------------------------------------------------------------------


def test_without_a_payment_the_key_is_good_for_a_day(facilitator: FakeFacilitator) -> None:
    post(Idempotency_Key=KEY, **x402_header())
    assert is_replay(post(Idempotency_Key=KEY))

    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert post(Idempotency_Key=KEY).status_code == 402


def test_admin_finds_a_payment_by_its_key(facilitator: FakeFacilitator, admin_client: Any) -> None:
    post(Idempotency_Key=KEY, **x402_header())
    post(PHOTOS[1], **x402_header())
    row = Payment.objects.get(id=IdempotencyKey.objects.get().made_id)

    found = admin_client.get(f"/admin/payments/payment/?q={KEY}").context["cl"].result_list
    page = admin_client.get(f"/admin/payments/payment/{row.id}/change/").content.decode()

    assert [payment.id for payment in found] == [row.id]
    assert KEY in page


def test_modules_agree_on_what_is_unclear() -> None:
    fresh = Payment(state=PaymentState.SETTLING, updated_at=timezone.now())
    silent = Payment(state=PaymentState.SETTLING, updated_at=timezone.now() - timedelta(minutes=1))

    assert [keys.fate_of(each) for each in (fresh, silent)] == [idempotency.Fate.AT_WORK, idempotency.Fate.LEFT]
    assert x402_desk.keys is keys
