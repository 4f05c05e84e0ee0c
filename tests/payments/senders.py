"""Machine payments with an Idempotency-Key, as tests/contract/senders.py has the accounts' requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from apps.core import lifecycle
from apps.core.errors import ErrorCode
from apps.core.models import Job
from apps.payments import book, keys, reconciler
from apps.payments.facilitator import Outcome, Settlement
from apps.payments.models import CLAIMABLE_STATES, Payment
from tests.contract.senders import PHOTOS, DiedError, Shot, dies, fail_jobs
from tests.payments.fakes import FakeFacilitator, FakeTempo
from tests.payments.rig.chains import ADDRESSES, KEYS, OTHER, PAYER
from tests.payments.wallet import challenge_of, mpp_header, post, x402_header

PAYERS = (PAYER, OTHER)


def then_dies(done: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        done(*args, **kwargs)
        raise DiedError

    return call


class OfAPayer(ABC):
    """What both rails share: every request brings a new payment."""

    ok = 200
    is_deferred = False
    last_step = ""
    """After it nothing is left but to answer."""

    @abstractmethod
    def header(self, payer: str, body: bytes, query: str) -> dict[str, str]:
        """A new payment for this request."""

    def prepare(self, key: str, *, body: int = 0, query: str = "", owner: int = 0) -> Shot:
        header = self.header(PAYERS[owner], PHOTOS[body], query)
        return lambda: post(PHOTOS[body], query=query, Idempotency_Key=key, **header)

    def made(self) -> int:
        return Payment.objects.exclude(state__in=CLAIMABLE_STATES).count()

    def told(self, response: HttpResponse) -> Any:
        return response.content

    def delete(self) -> None:
        lifecycle.delete(Job.objects.get())

    def die_at_work(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(book, "start_working", dies)
        patch.setattr(book, "start_settling", dies)
        patch.setattr(keys, "_SILENCE", timedelta(hours=1))

    def die_unanswered(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(book, self.last_step, then_dies(getattr(book, self.last_step)))

    def recover(self) -> None:
        Payment.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        reconciler.take_back_lapsed()

    def break_down(self, patch: pytest.MonkeyPatch) -> None:
        fail_jobs(patch, ErrorCode.PROCESSING_FAILED)


@dataclass
class X402Sender(OfAPayer):
    """Settled after the work, by a facilitator that has nothing against it."""

    facilitator: FakeFacilitator
    last_step = "settle_x402"

    def __post_init__(self) -> None:
        self.facilitator.outcomes = [Settlement(Outcome.SETTLED, f"0x{number:064x}") for number in range(1, 9)]

    def header(self, payer: str, body: bytes, query: str) -> dict[str, str]:
        return x402_header(key=KEYS[payer], **{"from": ADDRESSES[payer]})

    def spent(self) -> int:
        return len(self.facilitator.settled)


@dataclass
class MppSender(OfAPayer):
    """Settled before the work, on a chain that mines whatever comes."""

    chain: FakeTempo
    last_step = "deliver_mpp"

    def header(self, payer: str, body: bytes, query: str) -> dict[str, str]:
        return mpp_header(challenge_of(post(body, query=query)), key=KEYS[payer])

    def spent(self) -> int:
        return len(self.chain.sent)
