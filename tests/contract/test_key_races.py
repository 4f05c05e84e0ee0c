"""Idempotency-Keys where two requests are at one thing at the same moment; the common scenarios: test_keys.py."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.core import idempotency
from apps.core.errors import ErrorCode
from apps.core.intake import uploads
from apps.core.models import IdempotencyKey, Job
from apps.core.owner import Mode
from apps.core.storage import ResultStore, StoreAwayError
from apps.watermark import templates
from apps.watermark.models import WatermarkTemplate
from tests.api import Api, upload
from tests.contract.books import credits
from tests.contract.objects import stored_below
from tests.contract.senders import TEMPLATES as PATH
from tests.contract.senders import DiedError, dies, fail_jobs
from tests.drawing import photo_png
from tests.watermarks import mark_png, photos

KEY = {"Idempotency-Key": "order-7"}
GATEWAY = {"X-RapidAPI-Proxy-Secret": "s" * 40, "X-RapidAPI-User": "ann", "X-RapidAPI-Subscription": "PRO"}


def before_first_call(function: Callable[..., Any], do: Callable[[], Any]) -> Callable[..., Any]:
    """The function, with something else done before it is called for the first time."""
    waiting = [do]

    def call(*args: Any, **kwargs: Any) -> Any:
        if waiting:
            waiting.pop()()
        return function(*args, **kwargs)

    return call


# --- jobs ---------------------------------------------------------------------------------------------------


def test_gateway_bills_one_of_two_requests_that_answer_at_once(
    api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RAPIDAPI_SECRETS = ["s" * 40]
    answers: list[HttpResponse] = []

    def ask() -> None:
        body = {"image": io.BytesIO(photo_png())}
        answers.append(Client().post("/v1/remove-bg/universal", body, headers={**GATEWAY, **KEY}))

    monkeypatch.setattr(idempotency, "note_answer", before_first_call(idempotency.note_answer, ask))
    ask()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted(answer.headers["X-RapidAPI-Billing"] for answer in answers) == ["Credits=0", "Credits=1"]
    assert Job.objects.count() == 1


def test_address_is_the_request_and_not_what_lies_there_today(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    there = iter([photo_png(), photo_png(97, 64), photo_png()])
    monkeypatch.setattr(uploads, "fetch_image", lambda *_, **__: io.BytesIO(next(there)))

    def ask(url: str) -> HttpResponse:
        return api.post("/v1/remove-bg/universal", {"image_url": url}, as_json=True, **KEY)

    first, again, other = (ask(f"https://a.example/{name}.png") for name in "aab")

    assert (again.status_code, again.content) == (200, first.content)
    assert other.status_code == 422
    assert credits(api)["balance"] == 999


def test_key_is_never_taken_beside_its_thing(api: Api) -> None:
    """Outside the transaction that inserts the thing: then a death in between would leave one without the other."""
    api.send()
    ticket = idempotency.Ticket(api.account.id, Mode.LIVE, "k", "f")

    with pytest.raises(AssertionError):
        idempotency.take(ticket, Job.objects.get())

    assert not IdempotencyKey.objects.exists()


# --- templates ------------------------------------------------------------------------------------------------


def make(api: Api) -> HttpResponse:
    return api.post(PATH, {"images": photos()}, **KEY)


@pytest.fixture
def left(api: Api, monkeypatch: pytest.MonkeyPatch) -> WatermarkTemplate:
    """A template whose server died more than a minute ago, while it stored the files."""
    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "put", dies)
        with pytest.raises(DiedError):
            make(api)
    WatermarkTemplate.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    return WatermarkTemplate.objects.get()


def test_retry_ends_what_a_dead_server_began(api: Api, left: WatermarkTemplate) -> None:
    again = make(api)

    assert (again.status_code, again.json()["data"]["id"]) == (201, str(left.id))
    assert again.headers["Idempotency-Replayed"] == "true"
    assert stored_below(left.prefix) == left.keys


def test_of_two_retries_one_goes_on(api: Api, left: WatermarkTemplate, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[HttpResponse] = []
    go_on = before_first_call(templates._go_on_with, lambda: answers.append(make(api)))
    monkeypatch.setattr(templates, "_go_on_with", go_on)

    answers.append(make(api))

    assert [answer.status_code for answer in answers] == [201, 409]
    assert make(api).status_code == 201
    assert WatermarkTemplate.objects.count() == 1


@pytest.mark.parametrize("is_away", [True, False], ids=["the store fails it", "it ends"])
def test_who_was_only_slow_takes_nothing_from_who_went_on(
    is_away: bool, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    retried: list[HttpResponse] = []
    put, slow_put = ResultStore.put, before_first_call(ResultStore.put, lambda: retried.append(make(api)))

    def put_or_fail(self: ResultStore, *args: Any, **kwargs: Any) -> None:
        is_slow = not retried
        slow_put(self, *args, **kwargs)
        if is_slow and retried and is_away:
            raise StoreAwayError

    monkeypatch.setattr(templates, "_STORED_WITHIN", timedelta(0))
    monkeypatch.setattr(ResultStore, "put", put_or_fail)
    slow = make(api)
    monkeypatch.setattr(ResultStore, "put", put)

    row = WatermarkTemplate.objects.get()
    assert (slow.status_code, retried[0].status_code) == (503 if is_away else 409, 201)
    assert retried[0].headers["Idempotency-Replayed"] == "true"
    assert api.get(f"{PATH}/{row.id}").status_code == 200
    assert stored_below(row.prefix) == row.keys
    assert make(api).json()["data"] == retried[0].json()["data"]


def test_template_that_was_deleted_while_it_was_stored_leaves_no_file(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes: list[str] = []

    def delete() -> None:
        row = WatermarkTemplate.objects.get()
        prefixes.append(row.prefix)
        templates.discard(row)

    monkeypatch.setattr(ResultStore, "put", before_first_call(ResultStore.put, delete))

    response = make(api)

    assert response.status_code == 409
    assert stored_below(prefixes[0]) == []
    assert make(api).status_code == 410


def test_who_was_only_slow_does_not_give_up_what_another_is_storing(
    api: Api, left: WatermarkTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultStore, "put", before_first_call(ResultStore.put, lambda: templates._give_up(left)))

    again = make(api)

    assert again.status_code == 201
    assert stored_below(left.prefix) == left.keys
    assert make(api).headers["Idempotency-Replayed"] == "true"


def test_key_is_gone_with_its_template_though_the_store_is_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise StoreAwayError

    template = make(api).json()["data"]["id"]
    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "delete", away)
        assert api.delete(f"{PATH}/{template}").status_code == 204

    assert make(api).status_code == 410
    assert templates.purge_discarded() == 1
    assert make(api).status_code == 410


def test_template_that_was_never_stored_frees_its_key_when_it_is_swept(api: Api, left: WatermarkTemplate) -> None:
    WatermarkTemplate.objects.update(created_at=timezone.now() - timedelta(hours=2))

    assert templates.purge_discarded() == 1
    again = make(api)

    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (201, None)
    assert again.json()["data"]["id"] != str(left.id)


def test_key_of_what_failed_by_our_fault_is_free_for_any_other_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_jobs(patch, ErrorCode.PROCESSING_FAILED)
        assert api.send(**KEY).status_code == 502

    response = api.post(PATH, {"image": upload(mark_png())}, **KEY)

    assert response.status_code == 201
    assert IdempotencyKey.objects.get().kind == "template"


def test_quote_takes_no_key(api: Api) -> None:
    quoted = api.post(f"{PATH}?dry_run=true", {"image": upload(mark_png())}, **KEY)
    asked = api.post(PATH, {"image": upload(mark_png()), "dry_run": "true"}, **KEY)

    made = api.post(PATH, {"image": upload(mark_png())}, **KEY)
    late = api.post(PATH, {"image": upload(mark_png()), "dry_run": "true"}, **KEY)

    assert [each.status_code for each in (quoted, asked, made, late)] == [200, 200, 201, 422]
    assert WatermarkTemplate.objects.count() == 1
