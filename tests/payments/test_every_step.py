"""A payment stopped before and after every single thing that its request does: each write to its row, each call to a chain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.payments import book, reconciler
from apps.payments.models import Payment
from apps.payments.rpc import Node
from tests.api import Api
from tests.payments.paying import Rig
from tests.payments.rig.chains import ADDRESSES, MERCHANT
from tests.payments.wallet import PRICE, challenge_of, mpp_header, post, x402_header

STEPS = ("claim", "start_working", "note_job", "start_settling", "note_transaction", "settle_x402", "note_paid",
         "deliver_mpp")  # fmt: skip


class KilledError(BaseException):
    """Nothing of ours catches it, as nothing catches a SIGKILL."""


class Killer:
    """Counts what a request does; ends it before or after one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.dies_at: int | None = None
        for name in STEPS:
            monkeypatch.setattr(book, name, self._counted(name, getattr(book, name)))
        monkeypatch.setattr(Node, "call", self._counted("node", Node.call))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self._pass(f"before {name} {args[1] if name == 'node' else ''}")
            done = real(*args, **kwargs)
            self._pass(f"after {name} {args[1] if name == 'node' else ''}")
            return done

        return step

    def _pass(self, name: str) -> None:
        if self.dies_at is None:
            return
        self.names.append(name.strip())
        if len(self.names) > self.dies_at:
            self.dies_at = None
            raise KilledError(name)


def stopped_at(killer: Killer, step: int, header: dict[str, str]) -> bool:
    killer.names, killer.dies_at = [], step
    try:
        assert post(**header).status_code == 200
    except KilledError:
        return True
    finally:
        killer.dies_at = None
    return False


def statuses_until_final(header: dict[str, str]) -> list[int]:
    """What a client sees that repeats its payment while a reconciler is at work."""
    seen: list[int] = []
    while len(seen) < 5 and (not seen or seen[-1] in {409, 503}):
        Payment.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        reconciler.reconcile()
        seen.append(post(**header).status_code)
    return seen


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_stopped_anywhere_nobody_pays_for_nothing_and_nothing_leaves_unpaid(
    rail: str, paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, killer = rig.x402 if rail == "x402" else rig.mpp, Killer(monkeypatch)
    step, pictures, unsent = 0, 0, []
    while True:
        header = x402_header() if rail == "x402" else mpp_header(challenge_of(post()))
        before = chain.balance(ADDRESSES[MERCHANT])
        if not stopped_at(killer, step, header):
            break
        where, step = killer.names[-1], step + 1

        seen = statuses_until_final(header)

        row, earned = Payment.objects.order_by("-created_at").first(), chain.balance(ADDRESSES[MERCHANT]) - before
        assert row is not None
        if seen[-1] == 200:
            assert (row.state, earned) == ("settled", PRICE), where
            pictures += 1
        else:  # written down and not sent: the authorization is open until its time is over, and is never used
            assert (rail, row.state, earned, set(seen)) == ("x402", "unknown", 0, {503}), where
            unsent.append(where)
            Payment.objects.filter(id=row.id).update(state="failed")
    print(f"\n{rail}: stopped {step} times, at each step; {pictures} pictures paid once; unsent and unpaid: {unsent}")
    assert step >= 14
    assert set(unsent) <= {"after note_transaction", "before node eth_sendRawTransaction"}


def statuses_under_key(rail: str, key: str) -> list[int]:
    """What a client sees that signs a new payment for each retry, and keeps its Idempotency-Key."""
    seen: list[int] = []
    a_minute_ago = timezone.now() - timedelta(minutes=1)
    while len(seen) < 5 and (not seen or seen[-1] in {409, 503}):
        Payment.objects.update(lease_until=a_minute_ago, updated_at=a_minute_ago)
        reconciler.reconcile()
        seen.append(post(Idempotency_Key=key, **payment_by(rail)).status_code)
    return seen


def payment_by(rail: str) -> dict[str, str]:
    return x402_header() if rail == "x402" else mpp_header(challenge_of(post()))


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_stopped_anywhere_one_key_is_charged_once_whatever_payments_come_with_it(
    rail: str, paid: Api, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, killer = rig.x402 if rail == "x402" else rig.mpp, Killer(monkeypatch)
    step, unsent = 0, []
    while True:
        key, payment = f"order-{rail}-{step:016}", payment_by(rail)
        before = chain.balance(ADDRESSES[MERCHANT])
        if not stopped_at(killer, step, {"Idempotency_Key": key, **payment}):
            break
        where, step = killer.names[-1], step + 1

        seen = statuses_under_key(rail, key)

        earned = chain.balance(ADDRESSES[MERCHANT]) - before
        if seen[-1] == 200:
            assert earned == PRICE, where
        else:  # written down and not sent: until its time is over nobody can say so, and no other payment is touched
            assert (earned, set(seen)) == (0, {503}), where
            unsent.append(where)
            Payment.objects.filter(state="unknown").update(
                state="failed"
            )  # as the reconciler does when its time is over
            assert statuses_under_key(rail, key) == [200]
            assert chain.balance(ADDRESSES[MERCHANT]) - before == PRICE
    print(f"\n{rail}: stopped {step} times; each key charged once; kept from a second payment: {unsent}")
    assert step >= 14
    last_write = {"x402": "after note_transaction", "mpp": "after start_settling"}[rail]
    assert set(unsent) <= {last_write, "before node eth_sendRawTransaction"}
