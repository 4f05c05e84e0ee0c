"""Payments that are wrong, stolen or late: refused with the right code, nothing settled, nothing run. No chain is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.core.models import Job
from apps.payments import mpp, rails, x402
from apps.payments.facilitator import Outcome, Settlement
from apps.payments.models import Payment
from apps.payments.signatures import word
from tests.api import Api
from tests.drawing import photo_png
from tests.payments.fakes import FakeTempo, mined
from tests.payments.paying import settled_by
from tests.payments.rig.chains import ADDRESSES, KEYS, OTHER
from tests.payments.wallet import (
    PRICE,
    authorization,
    b64,
    challenge_of,
    mpp_header,
    post,
    tempo_transaction,
    unb64,
    x402_header,
    x402_signature,
)

OTHER_PHOTO = photo_png(box=(10, 10, 50, 50))
PAID = Settlement(Outcome.SETTLED, "0x" + "ee" * 32)
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PREFIX = "invalid_exact_evm_payload_authorization"


def junk(name: str, value: str) -> dict[str, str]:
    return {name: value}


def resigned(sign: Callable[[dict[str, Any]], str]) -> dict[str, str]:
    """A good payment but for its signature, made by `sign` from the six fields."""
    said = unb64(x402_header()["PAYMENT_SIGNATURE"])
    said["payload"]["signature"] = sign(said["payload"]["authorization"])
    return {"PAYMENT_SIGNATURE": b64(said)}


def mirrored(signature: str) -> str:
    """The other signature of the same key for the same digest: s taken off the curve's order, the other parity."""
    r, s, v = signature[2:66], int(signature[66:130], 16), int(signature[130:], 16)
    return f"0x{r}{SECP256K1_ORDER - s:064x}{55 - v:02x}"


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
    "cheaper terms": (lambda: x402_header(terms={"amount": "1"}), 402, "No matching payment requirements"),
    "terms of another": (
        lambda: x402_header(terms={"payTo": ADDRESSES[OTHER]}),
        402,
        "No matching payment requirements",
    ),
    "signed for another dollar": (
        lambda: resigned(lambda fields: x402_signature(fields, network="base")),
        402,
        "invalid_exact_evm_payload_signature",
    ),
    "the same signature mirrored": (
        lambda: resigned(lambda fields: mirrored(x402_signature(fields))),
        402,
        "invalid_exact_evm_payload_signature",
    ),
    "no base64": (lambda: junk("X_PAYMENT", "%%%"), 400, ""),
    "no JSON": (lambda: junk("PAYMENT_SIGNATURE", "aGVsbG8="), 400, ""),
    "no object": (lambda: junk("PAYMENT_SIGNATURE", b64([1])), 400, ""),
    "no payload": (lambda: junk("X_PAYMENT", b64({"x402Version": 1, "scheme": "exact", "network": "base"})), 400, ""),
    "deeply nested": (lambda: junk("X_PAYMENT", b64({}) + "W1tb" * 3000), 400, ""),
    "20 kB": (lambda: junk("X_PAYMENT", "A" * 20_480), 400, ""),
    "both versions": (lambda: {**x402_header(1), **x402_header(2)}, 400, ""),
}


@pytest.mark.parametrize("name", REFUSED_X402)
def test_wrong_x402_payment_is_refused(name: str, desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    facilitator = settled_by(monkeypatch, PAID)
    make, status, reason = REFUSED_X402[name]

    response = post(**make())

    assert response.status_code == status, response.content
    if status == 402:
        receipt = response.headers.get("PAYMENT-RESPONSE") or response.headers["X-PAYMENT-RESPONSE"]
        assert response.json()["error"] == reason
        assert (unb64(receipt)["success"], unb64(receipt)["errorReason"]) == (False, reason)
    else:
        assert set(response.json()) == {"error", "requestId"}
    assert facilitator.settled == []
    assert not Job.objects.exists()


def test_what_was_paid_is_given_again_to_the_payers_own_signature_alone(
    desk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    facilitator = settled_by(monkeypatch, PAID)
    fields = authorization()
    header, forged = x402_header(**fields), x402_header(key=KEYS[OTHER], **fields)

    first, thief, again = post(**header), post(**forged), post(**header)

    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert (thief.status_code, thief.json()["error"]) == (402, "invalid_exact_evm_payload_signature")
    assert len(facilitator.settled) == Job.objects.count() == Payment.objects.count() == 1


def test_one_nonce_buys_one_picture(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    facilitator = settled_by(monkeypatch, PAID)
    header = x402_header()

    first, other = post(**header), post(OTHER_PHOTO, **header)

    assert first.status_code == 200
    assert (other.status_code, other.json()["error"]) == (402, "invalid_exact_evm_nonce_already_used")
    assert len(facilitator.settled) == Job.objects.count() == 1


def test_picture_leaves_only_when_the_money_has_come(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    settled_by(monkeypatch, Settlement(Outcome.REFUSED, reason="invalid_exact_evm_insufficient_balance"))

    response = post(**x402_header())

    assert (response.status_code, response.headers["Content-Type"]) == (402, "application/json")
    assert Payment.objects.get().state == "failed"


def test_empty_result_moves_no_money(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    facilitator = settled_by(monkeypatch, PAID)

    response = post(photo_png(box=None), **x402_header())

    assert (response.status_code, response.headers["X-Warnings"]) == (200, "NO_FOREGROUND")
    assert "PAYMENT-RESPONSE" not in response.headers
    assert (facilitator.settled, Payment.objects.get().state) == ([], "free")


def test_signature_that_ran_out_while_the_work_was_done_is_not_settled(
    desk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    facilitator = settled_by(monkeypatch, PAID)
    asked: list[str] = []

    def fresh_then_late(_: Any) -> str:
        asked.append("time")
        return "" if len(asked) == 1 else f"{PREFIX}_valid_before"

    monkeypatch.setattr(x402, "timing_fault", fresh_then_late)

    response = post(**x402_header())

    assert (response.status_code, response.json()["error"]) == (402, f"{PREFIX}_valid_before")
    assert (facilitator.settled, Payment.objects.get().state) == ([], "released")


# --- MPP --------------------------------------------------------------------------------------------------------


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
def test_wrong_mpp_credential_is_a_problem_with_a_fresh_challenge(name: str, tempo_chain: FakeTempo) -> None:
    make, kind = REFUSED_MPP[name]
    challenge = challenge_of(post())

    response = post(**make(challenge))

    assert (response.status_code, response.headers["Content-Type"]) == (402, "application/problem+json"), (
        response.content
    )
    assert response.json()["type"] == f"https://paymentauth.org/problems/{kind}"
    assert challenge_of(response)["id"] != challenge["id"]
    assert tempo_chain.sent == []
    assert not Job.objects.exists()


def test_challenge_that_anybody_can_write_is_not_one_of_ours(tempo_chain: FakeTempo) -> None:
    cheap = challenge_of(post())
    terms = unb64(cheap["request"]) | {"amount": "1"}
    cheap["request"] = b64(terms).rstrip("=")

    response = post(**mpp_header(cheap))

    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (402, "invalid-challenge")
    assert tempo_chain.sent == []


def test_challenge_of_the_secret_before_is_good_and_of_no_other(tempo_chain: FakeTempo, settings: Any) -> None:
    challenge = challenge_of(post())
    old = settings.MPP_SECRETS[0]

    settings.MPP_SECRETS = ["another secret of more than 32 characters"]
    unknown = post(**mpp_header(challenge))
    settings.MPP_SECRETS = ["another secret of more than 32 characters", old]
    known = post(**mpp_header(challenge))

    assert (unknown.status_code, known.status_code) == (402, 200)


@pytest.mark.parametrize(("body", "query"), [(OTHER_PHOTO, ""), (None, "?format=webp")])
def test_challenge_pays_for_the_body_and_the_address_that_it_was_written_for(
    body: bytes | None, query: str, tempo_chain: FakeTempo
) -> None:
    response = post(body, query=query, **mpp_header(challenge_of(post())))

    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (402, "invalid-challenge")
    assert tempo_chain.sent == []


def test_challenge_is_void_when_the_purse_has_changed(tempo_chain: FakeTempo, settings: Any) -> None:
    challenge = challenge_of(post())
    settings.MPP_RECIPIENT = ADDRESSES[OTHER]
    rails.mpp_rail.cache_clear()

    response = post(**mpp_header(challenge))

    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (402, "invalid-challenge")
    assert tempo_chain.sent == []


def test_challenge_ends_after_ten_minutes(tempo_chain: FakeTempo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpp, "CHALLENGE_TTL", timedelta(seconds=-1))
    late = challenge_of(post())

    response = post(**mpp_header(late))

    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (402, "payment-expired")
    assert tempo_chain.sent == []


def test_credential_pays_once_and_gives_the_same_picture_again(tempo_chain: FakeTempo) -> None:
    header = mpp_header(challenge_of(post()))

    first, again = post(**header), post(**header)

    assert first.status_code == 200, first.content
    assert (again.status_code, again.content) == (200, first.content)
    assert unb64(first.headers["Payment-Receipt"])["status"] == "success"
    assert again.headers["Payment-Receipt"] == first.headers["Payment-Receipt"]
    assert len(tempo_chain.sent) == Job.objects.count() == 1


def test_one_transaction_pays_one_challenge(tempo_chain: FakeTempo) -> None:
    challenge, other = challenge_of(post()), challenge_of(post())
    transaction, _ = mined(tempo_transaction(challenge))
    assert (
        post(**mpp_header(challenge, {"type": "transaction", "signature": tempo_transaction(challenge)})).status_code
        == 200
    )
    (transaction,) = tempo_chain.mined

    response = post(**mpp_header(other, {"type": "hash", "hash": transaction}))

    assert (response.status_code, "WWW-Authenticate" in response.headers) == (403, False)
    assert Job.objects.count() == 1


def test_paid_challenge_is_answered_to_its_own_transaction_alone(tempo_chain: FakeTempo) -> None:
    challenge = challenge_of(post())
    assert post(**mpp_header(challenge)).status_code == 200

    response = post(**mpp_header(challenge, key=KEYS[OTHER]))

    assert (response.status_code, response.headers["Content-Type"]) == (403, "application/problem+json")
    assert len(tempo_chain.sent) == 1


# What the chain says it did, where that is not what was asked for.
WRONG_ON_CHAIN = {
    "other amount": {"data": "0x" + word(PRICE - 1).hex()},
    "other token": {"address": "0x" + "20" * 20},
    "other event": {"event": "0x" + "11" * 32},
}


@pytest.mark.parametrize("name", WRONG_ON_CHAIN)
def test_pushed_transaction_that_did_something_else_buys_nothing(name: str, tempo_chain: FakeTempo) -> None:
    challenge = challenge_of(post())
    transaction, receipt = mined(tempo_transaction(challenge), **WRONG_ON_CHAIN[name])
    tempo_chain.mined[transaction] = receipt

    response = post(**mpp_header(challenge, {"type": "hash", "hash": transaction}))

    assert response.status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize("facts", [{"to": ADDRESSES[OTHER]}, {"memo": b"\1" * 32}])
def test_pushed_transaction_to_another_or_for_another_challenge_buys_nothing(
    facts: dict[str, Any], tempo_chain: FakeTempo
) -> None:
    challenge = challenge_of(post())
    transaction, receipt = mined(tempo_transaction(challenge, **facts))
    tempo_chain.mined[transaction] = receipt

    response = post(**mpp_header(challenge, {"type": "hash", "hash": transaction}))

    assert response.status_code == 403
    assert not Job.objects.exists()


def test_transaction_that_failed_on_the_chain_buys_nothing(tempo_chain: FakeTempo) -> None:
    challenge = challenge_of(post())
    transaction, receipt = mined(tempo_transaction(challenge))
    tempo_chain.mined[transaction] = receipt | {"status": "0x0"}

    response = post(**mpp_header(challenge, {"type": "hash", "hash": transaction}))

    assert response.status_code == 403
    assert not Job.objects.exists()
