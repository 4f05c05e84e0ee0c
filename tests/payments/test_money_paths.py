"""Ways on which money could get lost or a picture leave unpaid: outcomes that nobody heard, doubles, thieves, expiry."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from apps.background.runner import BackgroundRunner
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job, State
from apps.payments import book, reconciler, x402
from apps.payments.eip3009 import ChainFacilitator, transfer_call
from apps.payments.facilitator import Outcome, Settlement
from apps.payments.models import Payment, PaymentState
from apps.payments.rails import x402_rail
from apps.payments.rpc import Node
from apps.payments.signatures import keccak
from tests.api import Api
from tests.drawing import photo_png
from tests.payments.paying import Rig, settled_by
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, OTHER, PAYER, SETTLER, USDC
from tests.payments.wallet import (
    PRICE,
    authorization,
    challenge_of,
    mpp_header,
    post,
    tempo_transaction,
    x402_header,
    x402_signature,
)

KEY = "order-0000000000000002"


PAID = Settlement(Outcome.SETTLED, "0x" + "ee" * 32)
UNHEARD = Settlement(Outcome.UNKNOWN, reason="facilitator: ReadTimeout")


# --- x402 -------------------------------------------------------------------------------------------------------


def test_paid_payment_is_answered_after_its_signature_has_expired(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    settled_by(monkeypatch, PAID)
    header = x402_header()
    first = post(**header)

    monkeypatch.setattr(x402, "time", SimpleNamespace(time=lambda: time.time() + 600))
    again = post(**header)

    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)


def test_unclear_payment_is_no_402_after_its_signature_has_expired(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    settled_by(monkeypatch, UNHEARD, UNHEARD)
    header = x402_header()
    post(**header)

    monkeypatch.setattr(x402, "time", SimpleNamespace(time=lambda: time.time() + 600))
    again = post(**header)

    assert (again.status_code, Payment.objects.get().state) == (503, "unknown")


def test_paid_payment_is_answered_after_the_payee_was_changed(
    desk: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_by(monkeypatch, PAID)
    header = x402_header()
    first = post(**header)

    settings.X402_PAY_TO = ADDRESSES[OTHER]
    x402_rail.cache_clear()
    again = post(**header)

    assert (again.status_code, again.content) == (200, first.content)


@pytest.mark.parametrize(
    "second",
    [
        Settlement(Outcome.REFUSED, reason="invalid_exact_evm_insufficient_balance"),
        Settlement(Outcome.NOT_SENT, reason="facilitator_away"),
    ],
)
def test_settlement_that_nobody_heard_stays_unclear_whatever_the_second_try_says(
    second: Settlement, desk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_by(monkeypatch, UNHEARD, second)

    response = post(**x402_header())

    assert (response.status_code, Payment.objects.get().state) == (503, "unknown")
    assert "PAYMENT-REQUIRED" not in response.headers


def test_pending_transaction_is_kept_for_the_admin(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    pending = Settlement(Outcome.UNKNOWN, "0x" + "ab" * 32, "settlement_pending")
    settled_by(monkeypatch, pending, pending)

    post(**x402_header())

    row = Payment.objects.get()
    assert (row.state, row.transaction, row.reason) == ("unknown", "0x" + "ab" * 32, "settlement_pending")


def test_failed_settlement_gives_no_picture_to_whoever_knows_the_key(
    desk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_by(monkeypatch, UNHEARD, UNHEARD)
    post(Idempotency_Key=KEY, **x402_header())
    monkeypatch.setattr(reconciler, "resolve", lambda row: book.fail(row, "authorization expired"))

    without_payment = [post(Idempotency_Key=KEY).status_code for _ in range(2)]

    assert Job.objects.get().state == State.SUCCEEDED
    assert without_payment == [409, 402]


def use_nonce_elsewhere(rig: Rig, header_fields: dict[str, Any]) -> None:
    """The payer spends the very nonce on a transfer of a millionth to somebody else."""
    fields = header_fields | {"to": ADDRESSES[OTHER], "value": "1"}
    elsewhere = x402.Authorization(
        fields["from"].lower(), fields["to"].lower(), 1, int(fields["validAfter"]), int(fields["validBefore"]),
        fields["nonce"],
    )  # fmt: skip
    signed = x402.X402Payment(2, "exact", "eip155:84532", None, elsewhere, x402_signature(fields), None)
    rig.x402.rpc("eth_sendTransaction", {"from": ADDRESSES[SETTLER], "to": USDC, "data": transfer_call(signed)})


def test_nonce_that_was_spent_elsewhere_meanwhile_buys_nothing(
    paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, before = authorization(), rig.x402.balance(ADDRESSES[MERCHANT])
    real = ChainFacilitator.settle

    def after_the_theft(self: Any, payment: Any, row: Payment) -> Settlement:
        use_nonce_elsewhere(rig, fields)
        return real(self, payment, row)

    monkeypatch.setattr(ChainFacilitator, "settle", after_the_theft)
    response = post(**x402_header(**fields))

    assert (response.status_code, response.json()["error"]) == (402, "invalid_exact_evm_nonce_already_used")
    assert Payment.objects.get().state == "failed"
    assert rig.x402.balance(ADDRESSES[MERCHANT]) == before


def test_reconciler_tells_a_payment_from_another_use_of_its_nonce(
    paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_by(monkeypatch, UNHEARD, UNHEARD)
    fields = authorization()
    post(**x402_header(**fields))
    use_nonce_elsewhere(rig, fields)

    reconciler.reconcile()

    assert Payment.objects.get().state == "failed"


def test_reconciler_finds_a_payment_that_somebody_else_has_carried_out(
    paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled_by(monkeypatch, UNHEARD, UNHEARD)
    header, before = x402_header(), rig.x402.balance(ADDRESSES[MERCHANT])
    post(**header)
    row = Payment.objects.get()
    signed = x402._read(2, x402._decode(header["PAYMENT_SIGNATURE"]))
    rig.x402.rpc("eth_sendTransaction", {"from": ADDRESSES[OTHER], "to": USDC, "data": transfer_call(signed)})

    reconciler.reconcile()

    row.refresh_from_db()
    assert (row.state, bool(row.transaction)) == ("settled", True)
    assert rig.x402.balance(ADDRESSES[MERCHANT]) - before == PRICE
    assert post(**header).status_code == 200


# --- MPP --------------------------------------------------------------------------------------------------------


def pushed(rig: Rig, challenge: dict[str, str], **facts: Any) -> str:
    """The hash of a transaction that the client has broadcast itself."""
    raw = tempo_transaction(challenge, **facts)
    rig.mpp.rpc("eth_sendRawTransaction", raw)
    return "0x" + keccak(bytes.fromhex(raw[2:])).hex()


def with_hash(challenge: dict[str, str], transaction: str, *, key: str = KEYS[PAYER]) -> dict[str, str]:
    return mpp_header(challenge, {"type": "hash", "hash": transaction}, key=key)


def test_thief_who_names_a_strangers_transaction_first_takes_nothing_from_him(paid: Api, rig: Rig) -> None:
    mine, thiefs = challenge_of(post()), challenge_of(post())
    transaction = pushed(rig, mine)

    stolen = post(**with_hash(thiefs, transaction, key=KEYS[OTHER]))
    honest = post(**with_hash(mine, transaction))

    assert (stolen.status_code, "WWW-Authenticate" in stolen.headers) == (403, False)
    assert honest.status_code == 200, honest.content
    assert Payment.objects.filter(money_moved=True).count() == 1


def test_failed_work_is_owed_and_done_free_with_the_same_credential(
    paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rig.mpp.balance(ADDRESSES[MERCHANT])
    header = mpp_header(challenge_of(post()))
    with monkeypatch.context() as patch:
        patch.setattr(BackgroundRunner, "run", _fail)
        failed = [post(**header), post(**header)]

    done = post(**header)

    assert [response.status_code for response in failed] == [503, 503]
    for response in failed:
        assert response.json()["error"]["retryable"]
        assert response.headers["Retry-After"]
        assert not {"WWW-Authenticate", "Payment-Receipt", "PAYMENT-REQUIRED"} & set(response.headers)
    assert (done.status_code, "Payment-Receipt" in done.headers) == (200, True)
    assert rig.mpp.balance(ADDRESSES[MERCHANT]) - before == PRICE


def test_failed_work_on_x402_costs_nothing_and_the_same_payment_is_good_again(
    paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, before = x402_header(), rig.x402.balance(ADDRESSES[MERCHANT])
    with monkeypatch.context() as patch:
        patch.setattr(BackgroundRunner, "run", _fail)
        failed = post(**header)
    unpaid = rig.x402.balance(ADDRESSES[MERCHANT])

    done = post(**header)

    assert (failed.status_code, failed.json()["error"]["retryable"], unpaid) == (500, True, before)
    assert done.status_code == 200
    assert rig.x402.balance(ADDRESSES[MERCHANT]) - before == PRICE


def test_result_that_expired_before_it_was_fetched_is_made_again(paid: Api, rig: Rig) -> None:
    header = mpp_header(challenge_of(post()))
    first = post(**header)
    Payment.objects.update(state=PaymentState.PAID)
    Job.objects.update(state=State.EXPIRED, outcome=None, expires_at=timezone.now() - timedelta(seconds=1))

    again = post(**header)

    assert (again.status_code, again.content) == (200, first.content)
    assert Payment.objects.get().state == "settled"


def pay_pull(rig: Rig) -> HttpResponse:
    return post(Idempotency_Key=KEY, **mpp_header(challenge_of(post())))


def pay_x402(rig: Rig) -> HttpResponse:
    return post(Idempotency_Key=KEY, **x402_header())


def pay_push(rig: Rig) -> HttpResponse:
    challenge = challenge_of(post())
    return post(Idempotency_Key=KEY, **with_hash(challenge, pushed(rig, challenge)))


@pytest.mark.parametrize("pay_first", [pay_pull, pay_x402, pay_push])
def test_pushed_a_second_time_under_one_key_is_answered_and_a_refund_is_due(
    pay_first: Callable[[Rig], HttpResponse], paid: Api, rig: Rig
) -> None:
    first = pay_first(rig)

    second = pay_push(rig)

    assert (first.status_code, second.status_code) == (200, 200), second.content
    assert second.content == first.content
    assert list(Payment.objects.order_by("created_at").values_list("refund_due", flat=True)) == [False, True]
    assert not Payment.objects.exclude(state="settled").exists()
    assert reconciler.reconcile() == 0


@pytest.mark.parametrize("pay_again", [pay_pull, pay_x402])
@pytest.mark.parametrize("pay_first", [pay_pull, pay_x402])
def test_key_is_answered_from_the_first_payment_of_either_rail(
    pay_first: Callable[[Rig], HttpResponse], pay_again: Callable[[Rig], HttpResponse], paid: Api, rig: Rig
) -> None:
    first = pay_first(rig)
    before = rig.x402.balance(ADDRESSES[MERCHANT]) + rig.mpp.balance(ADDRESSES[MERCHANT])

    again = pay_again(rig)

    assert (again.status_code, again.content) == (200, first.content), again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert rig.x402.balance(ADDRESSES[MERCHANT]) + rig.mpp.balance(ADDRESSES[MERCHANT]) == before
    assert Payment.objects.count() == 1


def test_pushed_payment_with_the_key_of_another_photo_buys_its_own_picture(paid: Api, rig: Rig) -> None:
    other = photo_png(box=(10, 10, 50, 50))
    first = pay_push(rig)
    challenge = challenge_of(post(other))

    second = post(other, Idempotency_Key=KEY, **with_hash(challenge, pushed(rig, challenge)))

    assert (second.status_code, second.content == first.content) == (200, False)
    assert not Payment.objects.filter(refund_due=True).exists()


def _fail(self: BackgroundRunner, work: Any) -> Any:
    raise AppError(ErrorCode.PROCESSING_FAILED)


# --- a node that talks nonsense ------------------------------------------------------------------------------------


def nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes whose every answer is an object without the members that it should have."""
    monkeypatch.setattr(Node, "receipt", lambda self, transaction: {"blockNumber": "0x1"})


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_nonsense_from_a_node_leaves_the_row_for_the_next_round(
    rail: str, desk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense(monkeypatch)
    row = Payment.objects.create(
        rail=rail, key="k", fingerprint="f", payer=ADDRESSES[PAYER].lower(), network="eip155:84532", amount=PRICE,
        recipient=ADDRESSES[MERCHANT].lower(), asset=USDC.lower(), nonce="0x" + "ab" * 32, transaction="0x" + "cd" * 32,
        valid_until=timezone.now() + timedelta(seconds=100), state=PaymentState.UNKNOWN,
    )  # fmt: skip

    assert reconciler.reconcile() == 0

    row.refresh_from_db()
    assert row.state == "unknown"


def test_nonsense_from_the_node_while_settling_is_a_doubt(paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    header = mpp_header(challenge_of(post()))
    nonsense(monkeypatch)

    response = post(**header)

    assert (response.status_code, Payment.objects.get().state) == (503, "unknown")
