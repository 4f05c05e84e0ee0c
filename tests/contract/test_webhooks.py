"""Webhooks: registered, signed, delivered; what their owner sees, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from apps.billing.ledger import grant
from apps.webhooks.models import Webhook
from tests.api import Api, error_of, make_api
from tests.contract.books import asleep
from tests.contract.webhooks import EVENTS, deliveries, register
from tests.drawing import photo_png
from tests.receivers import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


def test_a_job_that_ended_is_told_signed_as_the_reference_library_verifies(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")

    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]

    (sent,) = receiver.sent
    told = sent.verified(webhook["secret"])
    assert (sent.method, sent.path, sent.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert told["type"] == "job.succeeded"
    shown = api.get(f"/v1/jobs/{job_id}").json()["data"]
    for each in (shown, told["data"]):
        each["result"]["image"].pop("url")  # signed anew each time
    assert told["data"] == shown
    (delivery,) = deliveries(api, webhook)
    assert (delivery["status"], delivery["eventId"], delivery["type"]) == (
        "delivered",
        sent.headers["webhook-id"],
        "job.succeeded",
    )
    assert [(each["httpStatus"], each["error"]) for each in delivery["attempts"]] == [(204, None)]
    assert delivery["nextAttemptAt"] is None


def test_a_job_that_failed_is_told_with_its_error_and_a_cancelled_one_not_at_all(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    api.send(photo_png()[:200], accept="application/json")
    asleep(monkeypatch)
    waiting = api.send(Prefer="respond-async").json()["data"]["jobId"]

    api.delete(f"/v1/jobs/{waiting}")

    (sent,) = receiver.sent
    told = sent.verified(webhook["secret"])
    assert (told["type"], told["data"]["status"]) == ("job.failed", "failed")
    assert told["data"]["error"]["code"] == "VALIDATION_ERROR"


def test_who_has_not_asked_for_an_event_does_not_hear_of_it(api: Api, receiver: Receiver) -> None:
    register(api, f"{receiver.url}/fails", ["job.failed"])
    other = make_api("other")
    register(other, f"{receiver.url}/other")

    api.send(accept="application/json")

    assert receiver.sent == []


def test_sandbox_jobs_send_nothing_but_a_sandbox_webhook_can_be_tested(api: Api, receiver: Receiver) -> None:
    sandbox = make_api("tester", sandbox=True, credits=0)
    webhook = register(sandbox, f"{receiver.url}/hook")
    register(api, f"{receiver.url}/live")

    sandbox.send(accept="application/json")
    tested = sandbox.post(f"/v1/webhooks/{webhook['webhookId']}/test")

    (sent,) = receiver.sent
    assert sent.verified(webhook["secret"])["type"] == "webhook.test"
    assert tested.json()["data"]["status"] == "delivered"
    assert sandbox.get("/v1/webhooks").json()["data"]["webhooks"][0]["url"] == f"{receiver.url}/hook"
    assert api.get(f"/v1/webhooks/{webhook['webhookId']}").status_code == 404


def test_a_key_with_scopes_hears_of_no_other_operation(api: Api, receiver: Receiver) -> None:
    scoped = make_api("tester", credits=0, scopes=["clothing-segmentation"])
    webhook = register(scoped, f"{receiver.url}/scoped")
    everything = register(api, f"{receiver.url}/all")

    api.send(accept="application/json")

    assert [each.path for each in receiver.sent] == ["/all"]
    assert scoped.patch(f"/v1/webhooks/{everything['webhookId']}", {"url": f"{receiver.url}/x"}).status_code == 404
    assert api.get(f"/v1/webhooks/{webhook['webhookId']}").status_code == 200


def test_secret_is_shown_once_and_sealed_in_the_row(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")

    row = Webhook.objects.get(id=webhook["webhookId"])
    shown = [api.get(f"/v1/webhooks/{row.id}"), api.get("/v1/webhooks"), api.patch(f"/v1/webhooks/{row.id}", {})]

    assert webhook["secret"].startswith("whsec_")
    assert webhook["secret"] not in row.sealed_secret
    assert webhook["secret"][6:20] not in str(Webhook.objects.values())
    assert [answer.status_code for answer in shown] == [200, 200, 200]
    assert all("whsec_" not in answer.content.decode() for answer in shown)


def test_after_a_rotation_both_secrets_sign_for_a_day(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    rotated = api.post(f"/v1/webhooks/{webhook['webhookId']}/rotate-secret").json()["data"]

    api.send(accept="application/json")
    Webhook.objects.update(previous_until=timezone.now())
    api.send(accept="application/json")

    first, second = receiver.sent
    assert rotated["secret"] != webhook["secret"]
    for secret in (webhook["secret"], rotated["secret"]):
        first.verified(secret)
    second.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        second.verified(webhook["secret"])


def test_replay_sends_the_same_event_again(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    api.send(accept="application/json")
    (delivery,) = deliveries(api, webhook)
    path = f"/v1/webhooks/{webhook['webhookId']}/deliveries/{delivery['deliveryId']}/replay"

    replayed = api.post(path, Idempotency_Key="again")
    repeated = api.post(path, Idempotency_Key="again")

    first, second = receiver.sent
    assert (replayed.status_code, repeated.status_code) == (202, 202)
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["eventId"]
    second.verified(webhook["secret"])
    assert [each["status"] for each in deliveries(api, webhook)] == ["delivered", "delivered"]


def test_somebody_elses_webhook_and_its_deliveries_are_not_there(api: Api, receiver: Receiver) -> None:
    webhook, other = register(api, f"{receiver.url}/hook"), make_api("other")
    api.send(accept="application/json")
    (delivery,) = deliveries(api, webhook)
    path = f"/v1/webhooks/{webhook['webhookId']}"
    replay = f"{path}/deliveries/{delivery['deliveryId']}/replay"

    answers = [
        other.get(path),
        other.get(f"{path}/deliveries"),
        other.patch(path, {"description": "mine"}),
        other.post(f"{path}/rotate-secret"),
        other.post(f"{path}/test"),
        other.post(replay),
        other.delete(path),
    ]

    assert [error_of(answer)[:2] for answer in answers] == [(404, "NOT_FOUND")] * 7
    mine = register(other, f"{receiver.url}/mine")
    crossed = other.post(replay.replace(webhook["webhookId"], mine["webhookId"]))
    assert crossed.status_code == 404
    assert len(receiver.sent) == 1


def test_one_key_makes_one_webhook_and_gives_its_first_answer_again(api: Api, receiver: Receiver) -> None:
    first = register(api, f"{receiver.url}/hook", Idempotency_Key="one")
    again = api.post(
        "/v1/webhooks", {"url": f"{receiver.url}/hook", "events": EVENTS}, as_json=True, Idempotency_Key="one"
    )
    other = api.post("/v1/webhooks", {"url": receiver.url, "events": EVENTS}, as_json=True, Idempotency_Key="one")
    api.delete(f"/v1/webhooks/{first['webhookId']}")
    gone = api.post(
        "/v1/webhooks", {"url": f"{receiver.url}/hook", "events": EVENTS}, as_json=True, Idempotency_Key="one"
    )

    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json()["data"] == first
    assert error_of(other)[:2] == (422, "IDEMPOTENCY_MISMATCH")
    assert error_of(gone)[:2] == (410, "GONE")
    assert Webhook.objects.count() == 0


def test_rotation_and_test_are_done_once_with_one_key(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    path = f"/v1/webhooks/{webhook['webhookId']}"

    rotated = [api.post(f"{path}/rotate-secret", Idempotency_Key="r").json()["data"] for _ in range(2)]
    tested = [api.post(f"{path}/test", Idempotency_Key="t").json()["data"] for _ in range(2)]

    assert rotated[0] == rotated[1]
    assert tested[0] == tested[1]
    assert len(receiver.sent) == 1


def test_dry_run_makes_and_sends_nothing(api: Api, receiver: Receiver) -> None:
    quoted = api.post("/v1/webhooks?dry_run=true", {"url": f"{receiver.url}/hook", "events": EVENTS}, as_json=True)
    webhook = register(api, f"{receiver.url}/hook")
    path = f"/v1/webhooks/{webhook['webhookId']}"
    answers = [quoted, *(api.post(f"{path}/{what}?dry_run=true") for what in ("test", "rotate-secret"))]

    assert [answer.json()["data"] for answer in answers] == [
        {"price": {"credits": 0, "usd": "0.00"}, "valid": True}
    ] * 3
    assert receiver.sent == []
    assert Webhook.objects.get().sealed_previous == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"events": EVENTS}, "url"),
        ({"url": "https://shop.example/h"}, "events"),
        ({"url": "https://shop.example/h", "events": []}, "events"),
        ({"url": "https://shop.example/h", "events": ["job.done"]}, "events"),
        ({"url": "https://shop.example/h", "events": [7]}, "events"),
        ({"url": "https://shop.example/h", "events": EVENTS, "description": "x" * 201}, "description"),
        ({"url": "ftp://shop.example/h", "events": EVENTS}, "url"),
        ({"url": "shop.example", "events": EVENTS}, "url"),
        ({"url": "https://user:pw@shop.example/h", "events": EVENTS}, "url"),
        ({"url": "https://" + "x" * 4097, "events": EVENTS}, "url"),
        ({"url": "http://93.184.216.34/h", "events": EVENTS}, "url"),
        ({"url": "https://10.0.0.1/h", "events": EVENTS}, "url"),
        ({"url": "https://169.254.169.254/latest", "events": EVENTS}, "url"),
        ({"url": "https://[fd00::1]/h", "events": EVENTS}, "url"),
        ({"url": "http://0x0a000001/h", "events": EVENTS}, "url"),
        ({"url": ["https://shop.example/h"], "events": EVENTS}, "url"),
    ],
)
def test_bad_webhook_is_refused_on_the_field_at_fault(api: Api, body: dict[str, Any], field: str) -> None:
    refused = api.post("/v1/webhooks", body, as_json=True)

    assert error_of(refused) == (400, "VALIDATION_ERROR", [field])
    assert Webhook.objects.count() == 0


def test_a_private_address_is_refused_in_a_change_too(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")

    refused = api.patch(f"/v1/webhooks/{webhook['webhookId']}", {"url": "https://192.168.0.1/h"})

    assert error_of(refused) == (400, "VALIDATION_ERROR", ["url"])
    assert Webhook.objects.get().url == f"{receiver.url}/hook"


def test_a_name_that_leads_to_a_private_address_later_is_not_sent_to(
    api: Api, receiver: Receiver, settings: Any
) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    settings.FETCH_ALLOW_CIDRS = []  # as if the name had led elsewhere when it was registered

    api.send(accept="application/json")

    (delivery,) = deliveries(api, webhook)
    assert receiver.sent == []
    assert [each["error"] for each in delivery["attempts"]] == ["The address is not a public one."]


def test_the_twenty_first_webhook_is_refused(api: Api, receiver: Receiver) -> None:
    for number in range(20):
        register(api, f"{receiver.url}/{number}")

    refused = api.post("/v1/webhooks", {"url": receiver.url, "events": EVENTS}, as_json=True)

    assert error_of(refused) == (400, "VALIDATION_ERROR", ["url"])
    assert len(api.get("/v1/webhooks").json()["data"]["webhooks"]) == 20


def test_what_is_changed_counts_for_the_next_event(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/old")
    path = f"/v1/webhooks/{webhook['webhookId']}"

    changed = api.patch(path, {"url": f"{receiver.url}/new", "events": ["job.succeeded"], "description": "nightly"})
    api.send(accept="application/json")
    api.patch(path, {"status": "disabled"})
    api.send(accept="application/json")

    assert [each.path for each in receiver.sent] == ["/new"]
    told = changed.json()["data"]
    assert (told["events"], told["description"], told["status"]) == (["job.succeeded"], "nightly", "active")


def test_deliveries_come_in_pages(api: Api, receiver: Receiver) -> None:
    webhook = register(api, f"{receiver.url}/hook")
    for _ in range(3):
        api.post(f"/v1/webhooks/{webhook['webhookId']}/test")
    path = f"/v1/webhooks/{webhook['webhookId']}/deliveries?limit=2"

    first = api.get(path).json()["data"]
    second = api.get(f"{path}&cursor={first['nextCursor']}").json()["data"]

    assert [len(page["deliveries"]) for page in (first, second)] == [2, 1]
    assert second["nextCursor"] is None
    assert {each["type"] for page in (first, second) for each in page["deliveries"]} == {"webhook.test"}


def test_credits_that_run_low_are_told_once_a_grant(receiver: Receiver, api: Api) -> None:
    poor = make_api("poor", credits=10)
    webhook = register(poor, f"{receiver.url}/hook", ["credits.low"])
    for _ in range(8):
        poor.send(accept="application/json")
    before = len(receiver.sent)

    for _ in range(2):
        poor.send(accept="application/json")
    (sent,) = receiver.sent
    grant(poor.account.id, 5, actor="test", reason="more")
    for _ in range(5):
        poor.send(accept="application/json")

    told = sent.verified(webhook["secret"])
    assert before == 0, "2 of 10 is a fifth, and not below it"
    assert (told["type"], told["data"]) == ("credits.low", {"balance": 1, "lastGrant": 10})
    assert [each.json()["data"] for each in receiver.sent[1:]] == [{"balance": 0, "lastGrant": 5}]


def test_metrics_count_every_outcome_zeros_too(api: Api) -> None:
    metrics = api.get("/metrics").content.decode()

    for name in ("keyline_webhook_deliveries_total", "keyline_uploads_total"):
        for outcome in ("delivered", "retried", "failed"):
            assert f'{name}{{outcome="{outcome}"}}' in metrics
