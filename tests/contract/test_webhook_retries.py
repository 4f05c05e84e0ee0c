"""Receivers that are down, move, hang, flood, or want no more: each is tried as Standard Webhooks says, and holds up nobody."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from apps.core import errands, happenings
from apps.core.happenings import Happening
from apps.core.retries import PAUSES
from apps.stack.certificates import make_identity
from apps.webhooks import delivering, sending
from apps.webhooks.models import Delivery, Event, Webhook
from apps.webhooks.outbox import delivery_of
from tests.api import Api, error_of, make_api
from tests.contract.webhooks import deliveries, register
from tests.receivers import FLOOD, HANG, REDIRECT, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


def forward(by: timedelta) -> None:
    """The clock goes on, and the sweeper wakes what is due."""
    for row in Delivery.objects.exclude(next_attempt_at=None):
        Delivery.objects.filter(id=row.id).update(next_attempt_at=row.next_attempt_at - by)
    if delivering.due(1):
        errands.wake("webhooks")


def tell(api: Api, subject: str, kind: str = "batch.finished") -> None:
    """News about something, as a service announces it."""
    with transaction.atomic():
        happenings.announce(Happening(kind, api.account.id, "live", subject_id=subject, data={"about": subject}))


def test_a_receiver_that_is_down_is_tried_at_the_published_times_and_then_given_up(
    api: Api, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = 503
    webhook = register(api, f"{receiver.url}/hook")
    api.send(accept="application/json")

    for number, pause in enumerate(PAUSES, start=1):
        assert len(receiver.sent) == number
        forward(pause - timedelta(seconds=2))
        assert len(receiver.sent) == number, "too soon"
        forward(timedelta(seconds=3))
    forward(timedelta(days=3))

    assert [pause.total_seconds() for pause in PAUSES] == [
        5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400,
    ]  # fmt: skip
    assert len({each.headers["webhook-id"] for each in receiver.sent}) == 1
    assert len(receiver.sent) == 10
    (delivery,) = deliveries(api, webhook)
    assert (delivery["status"], delivery["nextAttemptAt"]) == ("failed", None)
    assert {each["error"] for each in delivery["attempts"]} == {"The address answers with status 503."}


def test_an_hour_of_silence_ends_with_the_delivery_of_all(api: Api, receiver: Receiver) -> None:
    receiver.answers["/hook"] = 500
    webhook = register(api, f"{receiver.url}/hook")
    for _ in range(3):
        api.send(accept="application/json")
    for _ in range(4):
        forward(timedelta(minutes=15))

    receiver.answers["/hook"] = 200
    for _ in range(6):
        forward(timedelta(hours=2))

    told = deliveries(api, webhook)
    assert [each["status"] for each in told] == ["delivered"] * 3
    assert all(each["attempts"][-1]["httpStatus"] == 200 for each in told)


def test_a_redirect_is_a_failure_that_the_owner_sees(api: Api, receiver: Receiver) -> None:
    receiver.answers["/hook"] = REDIRECT
    webhook = register(api, f"{receiver.url}/hook")

    api.send(accept="application/json")

    assert [each.path for each in receiver.sent] == ["/hook"]
    (delivery,) = deliveries(api, webhook)
    assert delivery["status"] == "pending"
    assert delivery["attempts"][0]["httpStatus"] == 301
    assert "redirect" in delivery["attempts"][0]["error"]


def test_a_410_disables_the_webhook_and_gives_up_what_waits(api: Api, receiver: Receiver) -> None:
    receiver.answers["/hook"] = 500
    webhook = register(api, f"{receiver.url}/hook")
    path = f"/v1/webhooks/{webhook['webhookId']}"
    for _ in range(2):
        api.send(accept="application/json")

    receiver.answers["/hook"] = 410
    forward(timedelta(seconds=6))
    sent = len(receiver.sent)
    api.send(accept="application/json")
    forward(timedelta(days=1))

    assert len(receiver.sent) == sent == 3
    assert [each["status"] for each in deliveries(api, webhook)] == ["failed", "failed"]
    assert api.get(path).json()["data"]["status"] == "disabled"
    refused = api.post(f"{path}/deliveries/{deliveries(api, webhook)[0]['deliveryId']}/replay")
    assert error_of(refused) == (400, "VALIDATION_ERROR", ["status"])
    assert api.patch(path, {"status": "active"}).json()["data"]["status"] == "active"


def test_a_receiver_that_never_answers_is_left_after_its_time(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LIMIT_S", 0.6)
    receiver.answers["/hook"] = HANG
    webhook = register(api, f"{receiver.url}/hook")

    api.send(accept="application/json")

    (tried,) = deliveries(api, webhook)[0]["attempts"]
    assert (tried["httpStatus"], tried["error"]) == (None, "The address did not answer in time.")
    assert 500 < tried["ms"] < 5000


def test_a_flood_is_not_read(api: Api, receiver: Receiver) -> None:
    receiver.answers["/hook"] = FLOOD
    webhook = register(api, f"{receiver.url}/hook")

    api.send(accept="application/json")

    (tried,) = deliveries(api, webhook)[0]["attempts"]
    assert tried["httpStatus"] == 200
    assert "larger than 64 KB" in tried["error"]


def test_a_certificate_that_nobody_vouches_for_is_a_failure(api: Api, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity = make_identity(tmp_path / "own", None)
    context.load_cert_chain(identity.certificate, identity.key)
    with receiving(context) as receiver:
        webhook = register(api, f"{receiver.url}/hook")

        api.send(accept="application/json")

        assert receiver.sent == []
    (tried,) = deliveries(api, webhook)[0]["attempts"]
    assert tried["error"] == "The address has no valid TLS certificate."


def test_events_about_one_subject_come_in_the_order_of_their_making(api: Api, receiver: Receiver) -> None:
    receiver.answers["/hook"] = 500
    register(api, f"{receiver.url}/hook", ["batch.finished", "credits.low"])
    tell(api, "a")
    tell(api, "a", "credits.low")
    tell(api, "b")
    assert [each.json()["data"]["about"] for each in receiver.sent] == ["a", "b"]

    receiver.answers["/hook"] = 200
    forward(timedelta(seconds=6))

    told = [(each.json()["type"], each.json()["data"]["about"]) for each in receiver.sent[2:]]
    assert sorted(told) == [("batch.finished", "a"), ("batch.finished", "b"), ("credits.low", "a")]
    assert told.index(("batch.finished", "a")) < told.index(("credits.low", "a"))
    assert not Delivery.objects.filter(status="pending").exists()


def test_a_delivery_whose_worker_died_is_sent_by_another(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook", ["batch.finished"])
    row = Webhook.objects.get(id=webhook["webhookId"])
    event = Event.objects.create(
        account=api.account, type="batch.finished", subject_id="a", data={}, created_at=timezone.now()
    )
    delivery_of(event, row).save()
    assert delivering.claim() is not None  # and dies
    assert delivering.claim() is None

    forward(delivering.LEASE)

    assert len(receiver.sent) == 1


def test_one_receiver_never_has_more_than_its_places_and_one_that_fails_has_one(api: Api, receiver: Receiver) -> None:
    other = make_api("other")
    row, others = (
        Webhook.objects.get(id=register(each, f"{receiver.url}/{n}", ["batch.finished"])["webhookId"])
        for n, each in enumerate((api, other))
    )
    event = Event.objects.create(
        account=api.account, type="batch.finished", subject_id="a", data={}, created_at=timezone.now()
    )
    for number in range(10):
        delivery = delivery_of(event, row)
        delivery.subject_id = str(number)
        delivery.save()
    delivery_of(event, others).save()

    claimed = [delivering.claim() for _ in range(6)]

    assert [each.webhook_id for each in claimed if each].count(row.id) == 4
    assert others.id in {each.webhook_id for each in claimed if each}
    assert claimed[5] is None
    Delivery.objects.update(lease_until=None, next_attempt_at=timezone.now())
    Webhook.objects.filter(id=row.id).update(is_failing=True)
    assert [each.webhook_id for each in (delivering.claim(), delivering.claim(), delivering.claim()) if each].count(
        row.id
    ) == 1


def test_a_deleted_jobs_event_is_told_no_more(api: Api, receiver: Receiver) -> None:
    receiver.answers["/hook"] = 500
    webhook = register(api, f"{receiver.url}/hook")
    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]
    api.delete(f"/v1/jobs/{job_id}")

    forward(timedelta(seconds=6))

    assert len(receiver.sent) == 1
    assert [each["status"] for each in deliveries(api, webhook)] == ["failed"]


def test_what_ended_a_month_ago_is_forgotten(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    for _ in range(2):
        api.send(accept="application/json")
    old = Delivery.objects.order_by("created_at").first()
    Delivery.objects.filter(id=old.id).update(finished_at=timezone.now() - timedelta(days=31))
    Event.objects.filter(id=old.event_id).update(created_at=timezone.now() - timedelta(days=31))

    assert delivering.forget_old() == 1

    assert len(deliveries(api, webhook)) == Event.objects.count() == 1


def test_no_log_line_tells_an_address(api: Api, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answers["/hook?token=s3cret"] = 500
    register(api, f"{receiver.url}/hook?token=s3cret")

    with caplog.at_level("DEBUG"):
        api.send(accept="application/json")

    assert len(receiver.sent) == 1
    assert "s3cret" not in str([(record.getMessage(), vars(record)) for record in caplog.records])
