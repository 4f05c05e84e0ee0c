"""Payments that are wrong, stolen, late or sent twice: refused with the right code, nothing settled, nothing run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from apps.core.models import Job
from apps.payments.models import Payment
from tests.conftest import Api
from tests.drawing import photo_png
from tests.payments.conftest import Rig
from tests.payments.rig.chains import ADDRESSES, KEYS, MERCHANT, OTHER
from tests.payments.wallet import (
    PRICE,
    b64,
    challenge_of,
    mpp_header,
    post,
    tempo_transaction,
    unb64,
    x402_header,
)  # fmt: skip

OTHER_PHOTO = photo_png(box=(10, 10, 50, 50))
PREFIX = "invalid_exact_evm_payload_authorization"


def earned(rig: Rig) -> tuple[int, int]:
    return rig.x402.balance(ADDRESSES[MERCHANT]), rig.mpp.balance(ADDRESSES[MERCHANT])


def junk(name: str, value: str) -> dict[str, str]:
    return {name: value}


REFUSED_X402: dict[str, tuple[Callable[[], dict[str, str]], int, str]] = {
    "expired": (lambda: x402_header(validBefore=str(int(time.time()) - 10)), 402, f"{PREFIX}_valid_before"),
    "nearly expired": (lambda: x402_header(validBefore=str(int(time.time()) + 3)), 402, f"{PREFIX}_valid_before"),
    "good for years": (lambda: x402_header(validBefore=str(2**33)), 402, f"{PREFIX}_valid_before"),
    "not yet valid": (lambda: x402_header(validAfter=str(int(time.time()) + 60)), 402, f"{PREFIX}_valid_after"),
    "too little": (lambda: x402_header(value="49999"), 402, f"{PREFIX}_value_mismatch"),
    "too much": (lambda: x402_header(value="50001"), 402, f"{PREFIX}_value_mismatch"),
    "other payee": (lambda: x402_header(to=ADDRESSES[OTHER]), 402, "invalid_exact_evm_payload_recipient_mismatch"),
    "other network": (lambda: x402_header(1, terms={"network": "base"}), 402, "invalid_network"),
    "other network, v2": (lambda: x402_header(terms={"network": "eip155:8453"}), 402, "invalid_network"),
    "other asset": (lambda: x402_header(terms={"asset": "0x" + "11" * 20}), 402, "No matching payment requirements"),
    "other scheme": (lambda: x402_header(1, terms={"scheme": "upto"}), 402, "unsupported_scheme"),
    "stranger's signature": (lambda: x402_header(key=KEYS[OTHER]), 402, "invalid_exact_evm_payload_signature"),
    "no base64": (lambda: junk("X_PAYMENT", "%%%"), 400, ""),
    "no JSON": (lambda: junk("PAYMENT_SIGNATURE", "aGVsbG8="), 400, ""),
    "no object": (lambda: junk("PAYMENT_SIGNATURE", b64([1])), 400, ""),
    "no payload": (lambda: junk("X_PAYMENT", b64({"x402Version": 1, "scheme": "exact", "network": "base"})), 400, ""),
    "deeply nested": (lambda: junk("X_PAYMENT", b64({}) + "W1tb" * 3000), 400, ""),
    "20 kB": (lambda: junk("X_PAYMENT", "A" * 20_480), 400, ""),
    "both versions": (lambda: {**x402_header(1), **x402_header(2)}, 400, ""),
}


@pytest.mark.parametrize("name", REFUSED_X402)
def test_wrong_x402_payment_is_refused(name: str, paid: Api, rig: Rig) -> None:
    make, status, reason = REFUSED_X402[name]
    before = earned(rig)

    response = post(**make())
    print(f"\n{name}: {response.status_code} {reason}")

    assert response.status_code == status, response.content
    if status == 402:
        receipt = response.headers.get("PAYMENT-RESPONSE") or response.headers["X-PAYMENT-RESPONSE"]
        assert response.json()["error"] == reason
        assert (unb64(receipt)["success"], unb64(receipt)["errorReason"]) == (False, reason)
    else:
        assert set(response.json()) == {"error", "requestId"}
    assert earned(rig) == before
    assert not Job.objects.exists()


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


def changed(**members: str) -> Callable[[dict[str, str]], dict[str, str]]:
    def pay(challenge: dict[str, str]) -> dict[str, str]:
        payload = {"type": "transaction", "signature": tempo_transaction(challenge)}
        return mpp_header({**challenge, **members}, payload)

    return pay


def paying(**facts: Any) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda challenge: mpp_header(
        challenge, {"type": "transaction", "signature": tempo_transaction(challenge, **facts)}
    )


def sent(payload: dict[str, str]) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda challenge: mpp_header(challenge, payload)


REFUSED_MPP: dict[str, tuple[Callable[[dict[str, str]], dict[str, str]], str]] = {
    "changed request": (changed(request="eyJhbW91bnQiOiIxIn0"), "invalid-challenge"),
    "changed expiry": (changed(expires="2099-01-01T00:00:00.000Z"), "invalid-challenge"),
    "changed realm": (changed(realm="elsewhere"), "invalid-challenge"),
    "changed digest": (changed(digest="sha-256=AAAA"), "invalid-challenge"),
    "invented id": (changed(id="A" * 43), "invalid-challenge"),
    "too little": (paying(amount=49_999), "verification-failed"),
    "too much": (paying(amount=50_001), "verification-failed"),
    "other payee": (paying(to=ADDRESSES[OTHER]), "verification-failed"),
    "other token": (paying(token="0x" + "20" * 20), "verification-failed"),
    "other memo": (paying(memo=b"\1" * 32), "verification-failed"),
    "other chain": (paying(chain=4217), "verification-failed"),
    "expired": (paying(valid_for_s=-5), "payment-expired"),
    "good for days": (paying(valid_for_s=200_000), "payment-expired"),
    "no transaction": (sent({"type": "transaction", "signature": "0x76c0"}), "invalid-payload"),
    "no hex": (sent({"type": "transaction", "signature": "zz"}), "invalid-payload"),
    "a proof": (sent({"type": "proof", "signature": "0x00"}), "invalid-payload"),
    "no base64": (lambda _: {"Authorization": "Payment %%%"}, "malformed-credential"),
    "20 kB": (lambda _: {"Authorization": "Payment " + "A" * 20_480}, "malformed-credential"),
    "nothing": (lambda _: {"Authorization": "Payment"}, "malformed-credential"),
}


@pytest.mark.parametrize("name", REFUSED_MPP)
def test_wrong_mpp_credential_is_a_problem_with_a_fresh_challenge(name: str, paid: Api, rig: Rig) -> None:
    make, kind = REFUSED_MPP[name]
    before, challenge = earned(rig), challenge_of(post())

    response = post(**make(challenge))
    print(f"\n{name}: {response.status_code} {response.json()['type'].rpartition('/')[2]}")

    assert (response.status_code, response.headers["Content-Type"]) == (402, "application/problem+json"), (
        response.content
    )
    assert response.json()["type"] == f"https://paymentauth.org/problems/{kind}"
    assert challenge_of(response)["id"] != challenge["id"]
    assert earned(rig) == before
    assert not Job.objects.exists()


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
