"""Payments on the rig's chains that are sent twice, at once, by a poor payer or for nothing; what we refuse: test_refusals.py."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from apps.core.models import Job
from apps.payments.models import Payment
from tests.api import Api
from tests.drawing import photo_png
from tests.payments.paying import Rig
from tests.payments.rig.chains import ADDRESSES, MERCHANT
from tests.payments.wallet import (
    PRICE,
    challenge_of,
    mpp_header,
    post,
    unb64,
    x402_header,
)  # fmt: skip

OTHER_PHOTO = photo_png(box=(10, 10, 50, 50))


def earned(rig: Rig) -> tuple[int, int]:
    return rig.x402.balance(ADDRESSES[MERCHANT]), rig.mpp.balance(ADDRESSES[MERCHANT])


def test_empty_wallet_is_refused_before_any_work(paid: Api, rig: Rig) -> None:
    poor = "0x" + "77" * 32
    from apps.payments.signatures import address_of

    response = post(**x402_header(key=poor, **{"from": address_of(poor)}))

    assert (response.status_code, response.json()["error"]) == (402, "invalid_exact_evm_insufficient_balance")
    assert not Job.objects.exists()


def test_paid_once_and_replayed_is_the_same_bytes_and_one_settlement(paid: Api, rig: Rig) -> None:
    header, before = x402_header(), earned(rig)

    first, again, other = post(**header), post(**header), post(OTHER_PHOTO, **header)

    assert first.status_code == 200, first.content
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["PAYMENT-RESPONSE"] == first.headers["PAYMENT-RESPONSE"]
    assert (other.status_code, other.json()["error"]) == (402, "invalid_exact_evm_nonce_already_used")
    assert earned(rig)[0] - before[0] == PRICE
    assert Job.objects.count() == 1


def at_once(count: int, ask: Callable[[], Any]) -> list[Any]:
    """`count` requests from as many threads, let go together."""
    answers: list[Any] = []
    gate = threading.Barrier(count)

    def one() -> None:
        gate.wait()
        answers.append(ask())
        connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_thirty_two_at_once_with_one_payment_settle_once(paid: Api, rig: Rig) -> None:
    header, before = x402_header(1), earned(rig)

    answers = at_once(32, lambda: post(**header))

    counted = Counter(answer.status_code for answer in answers)
    print(f"\n32 at once: {dict(counted)}")
    assert set(counted) <= {200, 409}
    assert counted[200] >= 1
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert earned(rig)[0] - before[0] == PRICE
    assert (Job.objects.count(), Payment.objects.count()) == (1, 1)


def test_same_idempotency_key_with_a_new_payment_touches_only_the_first(paid: Api, rig: Rig) -> None:
    key, before = "order-0000000000000001", earned(rig)

    first = post(Idempotency_Key=key, **x402_header())
    second = post(Idempotency_Key=key, **x402_header())
    unpaid = post(Idempotency_Key=key)
    other = post(OTHER_PHOTO, Idempotency_Key=key, **x402_header())

    assert first.status_code == 200
    assert (second.status_code, second.content) == (200, first.content)
    assert (unpaid.status_code, unpaid.content) == (200, first.content)
    assert other.status_code == 422
    assert earned(rig)[0] - before[0] == PRICE


def test_payment_identifier_is_such_a_key(paid: Api, rig: Rig) -> None:
    name, before = "pay_0123456789abcdef", earned(rig)

    first = post(**x402_header(identifier=name))
    second = post(**x402_header(identifier=name))
    other = post(OTHER_PHOTO, **x402_header(identifier=name))

    assert (first.status_code, second.status_code, second.content) == (200, 200, first.content)
    assert other.status_code == 409
    assert earned(rig)[0] - before[0] == PRICE


def test_empty_result_is_free_on_x402(paid: Api, rig: Rig) -> None:
    before = earned(rig)

    response = post(photo_png(box=None), **x402_header())

    assert (response.status_code, response.headers["X-Warnings"]) == (200, "NO_FOREGROUND")
    assert "PAYMENT-RESPONSE" not in response.headers
    assert earned(rig) == before
    assert Payment.objects.get().state == "free"


# --- MPP --------------------------------------------------------------------------------------------------------


def test_mpp_by_hand_is_paid_once_and_replayed(paid: Api, rig: Rig) -> None:
    before = earned(rig)
    header = mpp_header(challenge_of(post()))

    first, again, other = post(**header), post(**header), post(OTHER_PHOTO, **header)

    assert first.status_code == 200, first.content
    assert (again.status_code, again.content) == (200, first.content)
    assert unb64(first.headers["Payment-Receipt"])["status"] == "success"
    assert again.headers["Payment-Receipt"] == first.headers["Payment-Receipt"]
    assert (other.status_code, other.headers["Content-Type"]) == (402, "application/problem+json")
    assert other.json()["type"].endswith("/invalid-challenge")
    assert "Payment-Receipt" not in other.headers
    assert earned(rig)[1] - before[1] == PRICE
    assert Job.objects.count() == 1


def test_two_credentials_are_a_400(paid: Api) -> None:
    assert post(Authorization="Payment YQ,Payment YQ").status_code == 400


@pytest.mark.parametrize("value", ["0x12", "0x" + "ab" * 32])
def test_a_hash_that_pays_nothing_is_never_answered_by_another_challenge(paid: Api, value: str) -> None:
    response = post(**mpp_header(challenge_of(post()), {"type": "hash", "hash": value}))

    assert response.status_code in {403, 503}
    assert "WWW-Authenticate" not in response.headers
    assert not Job.objects.exists()


def test_thirty_two_at_once_with_one_credential_settle_once(paid: Api, rig: Rig) -> None:
    header, before = mpp_header(challenge_of(post())), earned(rig)

    answers = at_once(32, lambda: post(**header))

    counted = Counter(answer.status_code for answer in answers)
    print(f"\n32 at once: {dict(counted)}")
    assert set(counted) <= {200, 409}
    assert counted[200] >= 1
    assert earned(rig)[1] - before[1] == PRICE
    assert Job.objects.count() == 1


def test_empty_result_on_mpp_is_owed_back(paid: Api, rig: Rig) -> None:
    nothing = photo_png(box=None)

    response = post(nothing, **mpp_header(challenge_of(post(nothing))))

    assert (response.status_code, response.headers["X-Warnings"]) == (200, "NO_FOREGROUND")
    assert Payment.objects.get().refund_due
