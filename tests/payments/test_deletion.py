"""A picture that was paid for by x402 or MPP is kept and deleted as any other; what was paid stays on the books."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from apps.core import lifecycle
from apps.core.models import Job, State
from apps.core.sweeper import purge_expired
from apps.payments.models import Payment
from tests.api import Api
from tests.contract.objects import stored_below
from tests.contract.senders import PHOTOS
from tests.payments.fakes import FakeTempo
from tests.payments.paying import settled_by
from tests.payments.rig.chains import PAYER
from tests.payments.senders import MppSender, OfAPayer, X402Sender
from tests.payments.wallet import post

Pay = Callable[[], Any]


@pytest.fixture(params=["x402", "mpp"])
def sender(request: pytest.FixtureRequest, desk: Api, monkeypatch: pytest.MonkeyPatch) -> OfAPayer:
    if request.param == "x402":
        return X402Sender(settled_by(monkeypatch))
    chain: FakeTempo = request.getfixturevalue("tempo_chain")
    return MppSender(chain)


@pytest.fixture
def header(sender: OfAPayer) -> dict[str, str]:
    """One payment, as it is sent again and again."""
    return sender.header(PAYER, PHOTOS[0], "")


@pytest.fixture
def bought(header: dict[str, str]) -> Job:
    """A job whose picture has been paid for and handed over."""
    answer = post(PHOTOS[0], **header)
    assert answer.status_code == 200, answer.content
    purge_expired()  # the input
    return Job.objects.get()


def is_proven() -> bool:
    try:
        call_command("prove_deleted", job=Job.objects.get().id, stdout=io.StringIO())
    except SystemExit:
        return False
    return True


def test_bought_picture_is_kept_for_its_time_and_then_gone(bought: Job) -> None:
    assert bought.expires_at is not None
    assert bought.finished_at is not None
    assert abs((bought.expires_at - bought.finished_at).total_seconds() - settings.RESULT_TTL_S) < 5
    assert stored_below(bought.input_prefix) == []
    assert stored_below(bought.result_prefix)
    assert not is_proven()

    Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    purge_expired()

    job = Job.objects.get()
    assert (job.state, job.outcome) == (State.EXPIRED, None)
    assert stored_below(job.result_prefix) == []
    assert is_proven()


def test_deleted_one_is_gone_and_its_payment_is_not(bought: Job, sender: OfAPayer) -> None:
    before = Payment.objects.values().get()

    lifecycle.delete(bought)

    assert stored_below(bought.input_prefix) == stored_below(bought.result_prefix) == []
    assert is_proven()
    assert Payment.objects.values().get() == before
    assert sender.spent() == 1


def test_payment_whose_picture_was_deleted_buys_no_second_one_and_is_not_taken_again(
    bought: Job, sender: OfAPayer, header: dict[str, str]
) -> None:
    lifecycle.delete(bought)

    again = post(PHOTOS[0], **header)

    assert again.status_code in {402, 410}, again.content
    assert sender.spent() == 1
    assert Job.objects.count() == 1
    assert is_proven()


def test_job_that_is_deleted_while_it_runs_leaves_nothing(
    sender: OfAPayer, header: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lifecycle.run

    def deleted_first(job: Job, execute: Any) -> None:
        lifecycle.delete(Job.objects.get(id=job.id))
        run(job, execute)

    monkeypatch.setattr(lifecycle, "run", deleted_first)

    answer = post(PHOTOS[0], **header)

    job = Job.objects.get()
    assert answer.status_code != 200
    assert job.state == State.CANCELLED
    purge_expired()
    assert stored_below(job.input_prefix) == stored_below(job.result_prefix) == []
    assert is_proven()
