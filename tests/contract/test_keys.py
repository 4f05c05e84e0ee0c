"""
One rule of Idempotency-Keys for whatever a POST makes: every scenario on every form of jobs, on templates and on payments.

What only some of them know (a running job's 202, a gateway's bill, a pushed transaction) stands beside their own tests.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.http import HttpResponse
from django.utils import timezone

from apps.core import idempotency, jobs
from apps.core.broker import broker
from apps.core.errors import ErrorCode
from apps.core.models import IdempotencyKey, Job
from tests.api import Api
from tests.contract.books import books_balance
from tests.contract.senders import OF_ACCOUNTS, DiedError, Sender, Shot, dies, fail_jobs
from tests.payments.fixtures import desk, tempo_chain  # noqa: F401 - fixtures
from tests.payments.paying import settled_by
from tests.payments.senders import MppSender, X402Sender

KEY = "order-0000000000000007"
PAYERS = ("x402", "MPP")
KINDS = (*OF_ACCOUNTS, *PAYERS)
OF_JOBS = tuple(name for name in KINDS if name != "template")


@pytest.fixture(autouse=True)
def _fresh_limits(api: Api) -> None:
    for key in broker().scan_iter("keyline:rate:*"):
        broker().delete(key)


@pytest.fixture(params=KINDS)
def sender(request: pytest.FixtureRequest, api: Api, monkeypatch: pytest.MonkeyPatch) -> Sender:
    if request.param == "MPP":
        return MppSender(request.getfixturevalue("tempo_chain"))
    if request.param == "x402":
        request.getfixturevalue("desk")
        return X402Sender(settled_by(monkeypatch))
    return OF_ACCOUNTS[request.param](api)


of_accounts = pytest.mark.parametrize("sender", tuple(OF_ACCOUNTS), indirect=True)
of_jobs = pytest.mark.parametrize("sender", OF_JOBS, indirect=True)


def send(sender: Sender, **what: Any) -> HttpResponse:
    return sender.prepare(KEY, **what)()


def is_replay(response: HttpResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def died(shot: Shot) -> bool:
    try:
        shot()
    except DiedError:
        return True
    return False


def age_keys() -> None:
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))


# --- the same request ---------------------------------------------------------------------------------------


def test_same_request_is_answered_again_and_charged_once(sender: Sender) -> None:
    first = send(sender)
    spent = sender.spent()

    again = [send(sender), send(sender)]

    assert (first.status_code, is_replay(first)) == (sender.ok, False), first.content
    for response in again:
        assert (response.status_code, is_replay(response)) == (sender.ok, True), response.content
        assert sender.told(response) == sender.told(first)
    assert (sender.made(), sender.spent(), IdempotencyKey.objects.count()) == (1, spent, 1)


def test_key_lives_for_a_day(sender: Sender) -> None:
    send(sender)
    age_keys()

    again = send(sender)

    assert (again.status_code, is_replay(again), sender.made()) == (sender.ok, False, 2)
    assert is_replay(send(sender))


def test_sweeper_forgets_old_keys_alone(sender: Sender) -> None:
    send(sender)

    assert idempotency.forget_old() == 0
    age_keys()
    assert idempotency.forget_old() == 1


# --- another request, another owner ---------------------------------------------------------------------------


@pytest.mark.parametrize("other", [{"body": 1}, {"query": "?note=2"}], ids=["body", "query"])
def test_another_request_is_a_422_and_makes_nothing(other: dict[str, Any], sender: Sender) -> None:
    send(sender)
    spent = sender.spent()

    response = send(sender, **other)

    assert (response.status_code, is_replay(response)) == (422, False), response.content
    assert (sender.made(), sender.spent()) == (1, spent)
    assert is_replay(send(sender))


@of_accounts
def test_another_address_is_a_422_and_runs_nothing(sender: Sender, api: Api) -> None:
    send(sender)
    before = Job.objects.count()

    response = api.post("/v1/remove-bg/product", {"image_base64": "AAAA"}, as_json=True, **{"Idempotency-Key": KEY})
    valid = api.remove(to="product", **{})
    other = OF_ACCOUNTS["envelope, image"](api) if sender.ok == 201 else OF_ACCOUNTS["template"](api)
    refused = other.prepare(KEY)()

    assert (response.status_code, valid.status_code, refused.status_code) == (400, 200, 422)
    assert Job.objects.count() == before + 1


def test_another_owner_has_keys_of_his_own(sender: Sender) -> None:
    send(sender)

    others = send(sender, owner=1)

    assert (others.status_code, is_replay(others), sender.made()) == (sender.ok, False, 2)
    assert is_replay(send(sender, owner=1))


@of_accounts
def test_the_other_mode_has_keys_of_its_own(sender: Sender) -> None:
    send(sender)

    sandbox = send(sender, body=1, owner=2)

    assert (sandbox.status_code, is_replay(sandbox), sender.made()) == (sender.ok, False, 2)
    assert is_replay(send(sender))


# --- races and deaths -------------------------------------------------------------------------------------------


def test_of_twins_one_makes_it(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs._Arrival, "has_key_of", lambda *_: False)  # the database alone keeps them apart
    shots, answers = [sender.prepare(KEY) for _ in range(5)], []
    gate, look_up, waited = threading.Barrier(len(shots)), idempotency.first_answer, set()

    def look_up_together(ticket: idempotency.Ticket | None) -> idempotency.First | None:
        first = look_up(ticket)
        if threading.get_ident() not in waited:  # all have seen the key free before the first takes it
            waited.add(threading.get_ident())
            gate.wait(timeout=60)
        return first

    def fire(shot: Shot) -> None:
        answers.append(shot())
        connections.close_all()

    monkeypatch.setattr(idempotency, "first_answer", look_up_together)

    threads = [threading.Thread(target=fire, args=[shot]) for shot in shots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.setattr(idempotency, "first_answer", look_up)

    counted = Counter(answer.status_code for answer in answers)
    assert set(counted) <= {sender.ok, 409}, counted
    assert [is_replay(answer) for answer in answers if answer.status_code == sender.ok].count(False) == 1
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)
    spent = sender.spent()
    assert (is_replay(send(sender)), sender.made(), sender.spent()) == (True, 1, spent)
    assert books_balance()


def test_death_before_the_commit_leaves_nothing_behind(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    take = idempotency.take
    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "take", lambda *args: dies(take(*args)))
        assert died(sender.prepare(KEY))
    assert (sender.made(), sender.spent(), IdempotencyKey.objects.count()) == (0, 0, 0)

    again = send(sender)

    assert (again.status_code, is_replay(again), sender.made()) == (sender.ok, False, 1)


def test_death_at_work_is_a_409_until_it_has_gone_on(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        sender.die_at_work(patch)
        assert died(sender.prepare(KEY))
        between = send(sender)
        other = send(sender, body=1)
    assert (between.status_code, other.status_code) == (409, 422)
    assert int(between.headers["Retry-After"]) > 0

    sender.recover()
    again = send(sender)
    spent = sender.spent()

    assert (again.status_code, sender.made()) == (sender.ok, 1), again.content
    assert (is_replay(send(sender)), sender.spent()) == (True, spent)
    assert books_balance()


def test_answer_that_never_went_out_goes_out_to_the_retry(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        sender.die_unanswered(patch)
        assert died(sender.prepare(KEY))
    spent = sender.spent()

    again = send(sender)

    assert (again.status_code, is_replay(again)) == (sender.ok, True), again.content
    assert (sender.made(), sender.spent()) == (1, spent)
    assert books_balance()


# --- how it ended -------------------------------------------------------------------------------------------------


def test_fault_of_ours_leaves_the_key_to_a_second_try(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        sender.break_down(patch)
        failed = send(sender)
    assert sender.is_deferred or failed.status_code >= 500

    again = send(sender)
    spent = sender.spent()

    assert again.status_code == sender.ok, again.content
    assert not sender.is_deferred or sender.told(again) != sender.told(failed)
    assert (sender.told(send(sender)), sender.spent()) == (sender.told(again), spent)
    assert books_balance()


@of_jobs
def test_final_refusal_is_kept(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_jobs(patch, ErrorCode.VALIDATION_ERROR)
        refused = send(sender)
    spent = sender.spent()

    again, other = send(sender), send(sender, body=1)

    assert sender.is_deferred or 400 <= refused.status_code < 500
    assert (again.status_code, is_replay(again)) == (refused.status_code, True), again.content
    assert other.status_code == 422
    assert (Job.objects.count(), sender.spent()) == (1, spent)


def test_deleted_is_a_410_until_the_key_has_lived(sender: Sender) -> None:
    send(sender)
    spent = sender.spent()
    sender.delete()
    before = sender.made()

    gone, other = send(sender), send(sender, body=1)

    assert (gone.status_code, is_replay(gone)) == (410, False), gone.content
    assert other.status_code == 422
    assert (sender.made(), sender.spent()) == (before, spent)
    age_keys()
    assert send(sender).status_code == sender.ok
