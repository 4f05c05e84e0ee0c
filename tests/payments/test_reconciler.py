"""Every open row ends, by what the chain says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.payments import book, reconciler
from apps.payments.models import Payment
from tests.api import Api
from tests.payments.paying import Rig
from tests.payments.rig.chains import ADDRESSES, MERCHANT, PATH_USD, PAYER, USDC


def row(**facts: Any) -> Payment:
    now = timezone.now()
    defaults = {
        "rail": "x402", "key": "k", "fingerprint": "f", "payer": ADDRESSES[PAYER].lower(), "network": "eip155:84532",
        "recipient": ADDRESSES[MERCHANT].lower(), "asset": USDC.lower(), "amount": 50_000, "nonce": "0x" + "ab" * 32,
        "valid_until": now + timedelta(seconds=100), "lease_until": now - timedelta(seconds=1),
    }  # fmt: skip
    return Payment.objects.create(**(defaults | facts))


@pytest.mark.parametrize(
    ("before", "moved", "after"),
    [("claimed", False, "released"), ("working", False, "released"), ("working", True, "paid")],
)
def test_what_a_dead_web_process_left_is_free_or_owed(before: str, moved: bool, after: str, paid: Api) -> None:
    left = row(state=before, money_moved=moved)

    reconciler.reconcile()

    left.refresh_from_db()
    assert left.state == after


def test_a_row_at_work_is_left_alone(paid: Api) -> None:
    left = row(state="working", lease_until=timezone.now() + timedelta(seconds=30))

    assert reconciler.reconcile() == 0
    left.refresh_from_db()
    assert left.state == "working"


@pytest.mark.parametrize(("age_s", "after"), [(-100, "unknown"), (500, "failed")])
def test_an_authorization_that_nobody_used_fails_when_it_can_no_longer_be_used(
    age_s: int, after: str, paid: Api, rig: Rig
) -> None:
    left = row(state="settling", valid_until=timezone.now() - timedelta(seconds=age_s))
    rig.x402.rpc("evm_mine")

    reconciler.reconcile()

    left.refresh_from_db()
    assert left.state == after


@pytest.mark.parametrize(("age_s", "after"), [(-100, "unknown"), (500, "failed")])
def test_a_tempo_transaction_that_never_appeared_fails_after_its_time(age_s: int, after: str, paid: Api) -> None:
    left = row(
        rail="mpp", state="settling", asset=PATH_USD, transaction="0x" + "cd" * 32, nonce="",
        valid_until=timezone.now() - timedelta(seconds=age_s),
    )  # fmt: skip

    reconciler.reconcile()

    left.refresh_from_db()
    assert left.state == after


def test_a_chain_that_is_away_leaves_the_row_for_the_next_round(desk: Api) -> None:
    left = row(state="unknown")

    assert reconciler.reconcile() == 0
    left.refresh_from_db()
    assert left.state == "unknown"


def test_paid_and_never_fetched_is_a_refund_due(desk: Api) -> None:
    left = row(state="paid", money_moved=True, settled_at=timezone.now() - timedelta(hours=25))

    reconciler.reconcile()

    left.refresh_from_db()
    assert left.refund_due


def test_admin_shows_unknown_payments_first_and_totals(desk: Api, admin_client: Client) -> None:
    row(key="oldest", state="unknown", transaction="0x" + "11" * 32)
    for number in range(3):
        row(key=f"x402 {number}", state="settled", money_moved=True, settled_at=timezone.now(), reason=f"r{number}")
    row(key="mpp", rail="mpp", state="paid", money_moved=True, settled_at=timezone.now(), refund_due=True)

    answer = admin_client.get("/admin/payments/payment/")

    states = [payment.state for payment in answer.context["cl"].result_list]
    totals = [(total["rail"], total["payments"], total["dollars"]) for total in answer.context["totals"]]
    page = answer.content.decode()
    assert states == ["unknown", "paid", "settled", "settled", "settled"]
    assert totals == [("mpp", 1, "0.05"), ("x402", 3, "0.15")]
    assert "refunds due: 1; unknown: 1" in page
    assert "0x" + "11" * 32 in page
    assert ADDRESSES[PAYER].lower() in page


def test_admin_ticks_off_a_refund(desk: Api, admin_client: Client) -> None:
    due = row(state="paid", money_moved=True, refund_due=True)

    admin_client.post(
        "/admin/payments/payment/", {"action": "mark_refunded", "_selected_action": [str(due.id)]}, follow=True
    )

    due.refresh_from_db()
    assert due.refunded_at is not None


def test_machines_find_the_paid_address(desk: Api) -> None:
    client = Client()
    document = client.get("/openapi.json").json()

    assert client.get("/.well-known/x402").json()["resources"] == ["POST /v1/remove-background"]
    assert "/v1/remove-background" in client.get("/llms.txt").content.decode()
    assert document["paths"]["/v1/remove-background"]["post"]["x-payment-info"]["offers"]
    assert document["x-service-info"]["categories"] == ["media"]


def test_row_that_was_taken_back_unsent_is_not_sent_any_more(desk: Api) -> None:
    slow = row(state="settling", reason=book.UNSENT)
    reconciler.reconcile()

    is_noted = book.note_transaction(slow, "0x" + "aa" * 32)

    slow.refresh_from_db()
    assert (is_noted, slow.state, slow.transaction) == (False, "released", None)


def test_row_with_a_transaction_is_never_taken_back_as_unsent(desk: Api) -> None:
    sent = row(state="settling", reason=book.UNSENT)
    book.note_transaction(sent, "0x" + "aa" * 32)

    assert not book.release_unsent(sent, "late")
    assert Payment.objects.get().state == "settling"
