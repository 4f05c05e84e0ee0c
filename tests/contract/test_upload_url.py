"""`upload_url`: the result is put into the client's own bucket, once it is there, and the charge does not hang on it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.core import errands, handover
from apps.core.models import Handover, Job
from apps.core.sealing import unseal
from tests.api import Api, error_of
from tests.contract.books import asleep, books_balance, credits
from tests.drawing import photo_png
from tests.receivers import Receiver, receiving

SECRET = "/bucket/cut.png?X-Amz-Signature=5ecret"


@pytest.fixture
def bucket() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


def send(api: Api, url: str, **fields: Any) -> dict[str, Any]:
    answer = api.send(fields={"upload_url": url, **fields}, Prefer="respond-async")
    assert answer.status_code == 202, answer.content
    return answer.json()["data"]


def job(api: Api, job_id: str) -> dict[str, Any]:
    return api.get(f"/v1/jobs/{job_id}").json()["data"]


def forward(by: timedelta) -> None:
    for row in Handover.objects.exclude(next_attempt_at=None):
        Handover.objects.filter(job_id=row.job_id).update(next_attempt_at=row.next_attempt_at - by)
    if handover.due(1):
        errands.wake("uploads")


def test_result_is_put_there_with_its_type_and_the_address_is_forgotten(api: Api, bucket: Receiver) -> None:
    sent = send(api, bucket.url + SECRET)

    (put,) = bucket.sent
    told = job(api, sent["jobId"])
    assert (put.method, put.path, put.headers["content-type"]) == ("PUT", SECRET, "image/png")
    assert put.headers["content-length"] == str(len(put.body))
    assert hashlib.sha256(put.body).hexdigest() == told["result"]["image"]["sha256"]
    assert told["delivery"] == {"status": "delivered", "attempts": 1, "lastStatus": 204}
    assert not Handover.objects.exists()
    assert books_balance()


def test_json_takes_it_too_and_without_it_there_is_no_delivery(api: Api, bucket: Receiver) -> None:
    body = {"image_base64": base64.b64encode(photo_png()).decode(), "upload_url": f"{bucket.url}/x"}
    sent = api.post("/v1/remove-bg/universal", body, as_json=True, Prefer="respond-async").json()["data"]
    other = api.send(Prefer="respond-async").json()["data"]

    assert [each.path for each in bucket.sent] == ["/x"]
    assert job(api, sent["jobId"])["delivery"]["status"] == "delivered"
    assert job(api, other["jobId"])["delivery"] is None


def test_a_bucket_that_refuses_is_tried_again_and_the_charge_stays(api: Api, bucket: Receiver) -> None:
    bucket.answers[SECRET] = 503
    before = credits(api)["balance"]
    sent = send(api, bucket.url + SECRET)
    waiting = job(api, sent["jobId"])

    bucket.answers[SECRET] = 200
    forward(timedelta(seconds=6))

    assert waiting["status"] == "succeeded"
    assert waiting["delivery"] == {"status": "pending", "attempts": 1, "lastStatus": 503}
    assert job(api, sent["jobId"])["delivery"] == {"status": "delivered", "attempts": 2, "lastStatus": 200}
    assert credits(api)["balance"] == before - 1


def test_a_bucket_that_never_takes_it_is_given_up_and_the_result_stays(api: Api, bucket: Receiver) -> None:
    bucket.answers[SECRET] = 403
    sent = send(api, bucket.url + SECRET)
    Job.objects.update(expires_at=timezone.now() + timedelta(days=9))  # else the result ends before the tries do
    for _ in range(12):
        forward(timedelta(days=2))

    told = job(api, sent["jobId"])
    assert told["delivery"] == {"status": "failed", "attempts": 10, "lastStatus": 403}
    assert told["status"] == "succeeded"
    assert not Handover.objects.exists()


def test_what_expires_before_it_is_taken_is_given_up(api: Api, bucket: Receiver) -> None:
    bucket.answers[SECRET] = 500
    sent = send(api, bucket.url + SECRET)
    Job.objects.update(expires_at=timezone.now())

    forward(timedelta(days=1))

    assert len(bucket.sent) == 1
    assert Job.objects.get(id=sent["jobId"]).delivery == {"status": "failed", "attempts": 1, "lastStatus": 500}
    assert not Handover.objects.exists()


def test_a_job_that_fails_hands_nothing_over(api: Api, bucket: Receiver) -> None:
    answer = api.send(photo_png()[:200], fields={"upload_url": bucket.url}, Prefer="respond-async").json()["data"]

    assert bucket.sent == []
    assert job(api, answer["jobId"])["delivery"] == {"status": "failed", "attempts": 0, "lastStatus": None}
    assert not Handover.objects.exists()


def test_deletion_takes_the_address_along(api: Api, bucket: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.answers[SECRET] = 500
    done = send(api, bucket.url + SECRET)
    asleep(monkeypatch)
    waiting = send(api, bucket.url + SECRET)
    sealed = Handover.objects.get(job_id=waiting["jobId"]).sealed_url
    assert "5ecret" not in sealed
    assert unseal(sealed) == bucket.url + SECRET

    for each in (done, waiting):
        api.delete(f"/v1/jobs/{each['jobId']}")

    assert not Handover.objects.exists()
    forward(timedelta(days=1))
    assert len(bucket.sent) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.216.34/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/x",
        "https://user:pw@shop.example/x",
        "s3://bucket/x",
        "x",
        "https://" + "x" * 4096,
    ],
)
def test_an_address_that_we_do_not_send_to_is_refused_and_nothing_is_held(api: Api, url: str) -> None:
    refused = api.send(fields={"upload_url": url}, Prefer="respond-async")

    assert error_of(refused) == (400, "VALIDATION_ERROR", ["upload_url"])
    assert not Job.objects.exists()
    assert credits(api) == {"balance": 1000, "held": 0}


def test_what_is_not_kept_cannot_be_put_anywhere(api: Api, bucket: Receiver) -> None:
    refused = api.remove(accept="image/png", upload_url=bucket.url, retention="0")

    assert error_of(refused) == (400, "VALIDATION_ERROR", ["upload_url"])


def test_one_key_hands_over_once(api: Api, bucket: Receiver) -> None:
    for _ in range(2):
        answer = api.send(fields={"upload_url": bucket.url}, Prefer="respond-async", Idempotency_Key="once")
        assert answer.status_code == 202
    other = api.send(fields={"upload_url": f"{bucket.url}/y"}, Prefer="respond-async", Idempotency_Key="once")

    assert len(bucket.sent) == 1
    assert other.status_code == 422


def test_no_log_line_tells_the_address(api: Api, bucket: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    bucket.answers[SECRET] = 500

    with caplog.at_level("DEBUG"):
        send(api, bucket.url + SECRET)

    assert len(bucket.sent) == 1
    assert "5ecret" not in str([(record.getMessage(), vars(record)) for record in caplog.records])
