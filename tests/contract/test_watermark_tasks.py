"""Watermark tasks: submit and get_task_result, to the letter of PRODUCT's section 2.3."""

from __future__ import annotations

import io
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import redis
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from PIL import Image

from apps.core import jobs, lifecycle, sweeper, tasks
from apps.core.broker import broker
from apps.core.errors import AppError, ErrorCode
from apps.core.intake import uploads
from apps.core.intake.fetch import fetch_image
from apps.core.models import Job, State
from tests import drawing
from tests.api import Api, make_api
from tests.contract.books import asleep, books_balance, credits
from tests.contract.objects import lives_s
from tests.contract.task_calls import RESULT, SUBMIT, b64, post, result, submit, task_of
from tests.watermarks import marked_array, marked_png, smear_png


@pytest.fixture(autouse=True)
def _fresh_limits() -> Iterator[None]:
    yield
    for key in broker().scan_iter("keyline:rate:*"):
        broker().delete(key)


def assert_refused(response: HttpResponse, status: int, code: int, *words: str) -> None:
    body = response.json()
    assert list(body) == ["code", "message", "data"]
    assert (response.status_code, body["code"], body["data"]) == (status, code, None)
    assert body["message"]
    assert all(word in body["message"] for word in words), body["message"]
    assert response.headers["X-Request-Id"]


# --- submit, poll, download -------------------------------------------------------------------------------


def test_client_written_from_the_contract_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        asleep(patch)
        task_id = task_of(submit(api))
    assert result(api, task_id) == {"status": "processing", "images": [], "err_msg": ""}

    tasks.run_next()

    done = result(api, task_id)
    assert (done["status"], done["err_msg"], len(done["images"])) == ("success", "", 1)
    assert list(done["images"][0]) == ["url"]
    assert lives_s(done["images"][0]["url"]) == pytest.approx(24 * 3600, abs=20)
    with urllib.request.urlopen(done["images"][0]["url"]) as answer:
        picture = np.asarray(Image.open(io.BytesIO(answer.read())))
    assert (picture[:60] == marked_array()[:60]).all()
    assert (picture[76, 80] == 0).all()


def test_task_goes_on_from_queued_to_settled_as_processing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    task_id = task_of(submit(api))

    for state in (State.QUEUED, State.RUNNING, State.SETTLING):
        Job.objects.update(state=state)
        assert result(api, task_id) == {"status": "processing", "images": [], "err_msg": ""}


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_base64_with_and_without_its_header(api: Api, prefix: str) -> None:
    body = {"image_base64": prefix + b64(marked_png()), "smear_base64": prefix + b64(smear_png())}

    assert result(api, task_of(post(api, SUBMIT, body)))["status"] == "success"


def test_photo_and_smear_by_url(api: Api, site: str) -> None:
    body = {"image_url": f"{site}/photo.png", "smear_url": f"{site}/smear.png"}

    done = result(api, task_of(post(api, SUBMIT, body)))

    with urllib.request.urlopen(done["images"][0]["url"]) as answer:
        picture = np.asarray(Image.open(io.BytesIO(answer.read())))
    assert (picture[4:16, 4:24] == 0).all()
    assert (picture[76, 80] == marked_array()[76, 80]).all()  # the mark is not under the smear


def test_no_watermark_is_a_success_with_the_same_photo_and_free(api: Api) -> None:
    done = result(api, task_of(submit(api, marked_png(None))))

    assert done["status"] == "success"
    with urllib.request.urlopen(done["images"][0]["url"]) as answer:
        assert (np.asarray(Image.open(io.BytesIO(answer.read()))) == marked_array(None)).all()
    assert credits(api) == {"balance": 1000, "held": 0}


@pytest.mark.parametrize("header", ["X-Api-Key", "X-RapidAPI-Key", "ailabapi-api-key"])
def test_every_key_header_counts(api: Api, header: str) -> None:
    body = json.dumps({"image_base64": b64(marked_png())})

    response = Client().post(SUBMIT, body, content_type="application/json", headers={header: api.key})

    assert task_of(response)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png"])
def test_answer_is_json_and_at_once_whatever_is_preferred(
    api: Api, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep(monkeypatch)
    monkeypatch.setattr(jobs.broker, "paces_s", lambda names: dict.fromkeys(names, 1000.0))  # nobody could wait for it
    task_of(submit(api))

    assert task_of(submit(api, headers={"Accept": accept, "Prefer": "wait=20"}))


def test_task_is_a_job_as_well(api: Api) -> None:
    task_id = task_of(submit(api))

    job = api.get(f"/v1/jobs/{task_id}").json()["data"]

    assert (job["operation"], job["status"], job["creditsCharged"]) == ("watermark-removal", "succeeded", 2)
    assert list(job["result"]) == ["image", "mask", "regions", "detected"]


# --- 1000: parameters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "image_url or image_base64"),
        ({"image_base64": ""}, "image_url or image_base64"),
        ({"image_base64": None}, "image_url or image_base64"),
        ({"image": "text"}, "image_url or image_base64"),
        ({"image_url": "https://a.example/a.png", "image_base64": "AAAA"}, "exactly one"),
        ({"image_base64": "no base64!"}, "base64"),
        ({"image_base64": "AAAA"}, "image"),
        ({"image_base64": 7}, "string"),
        ({"image_base64": b64(b"%PDF-1.4")}, "PDF"),
        ({"image_base64": b64(drawing.saved(marked_array(), "GIF"))}, "GIF"),
        ({"image_base64": b64(marked_png()[:-20])}, "truncated"),
        ({"image_base64": b64(drawing.saved(marked_array(), "JPEG", progressive=True)[:-60])}, "truncated"),
        ({"image_base64": b64(drawing.jpeg_of_scans(600))}, "scans"),
        ({"image_base64": b64(drawing.png_claiming(10_001, 10))}, "10000"),
        ({"image_url": "ftp://a.example/a.png"}, "address"),
        ({"image_url": 7}, "string"),
        ({"image_url": "http://10.0.0.1/a.png"}, "public"),
        ({"image_url": "http://user:secret@a.example/"}, "password"),
    ],
)
def test_wrong_parameters_are_a_1000_and_cost_nothing(api: Api, body: dict[str, Any], word: str) -> None:
    assert_refused(post(api, SUBMIT, body), 400, 1000, word)
    assert not Job.objects.exists()


@pytest.mark.parametrize("tail", [b"", b"\0\0\0\x18ftypmp42" + bytes(3000)], ids=["nothing", "a film"])
def test_a_jpeg_without_its_end_marker_is_taken(api: Api, tail: bytes) -> None:
    whole = drawing.saved(marked_array(), "JPEG", quality=95)

    answer = post(api, SUBMIT, {"image_base64": b64(whole[:-2] + tail)})

    assert (answer.status_code, answer.json()["code"]) == (200, 0)
    assert Job.objects.get().state == "succeeded"


def test_what_is_wrong_with_two_fields_alike_is_said_once(api: Api) -> None:
    answer = post(api, SUBMIT, {"image_url": "https://a.example/a.png", "image_base64": "AAAA"})

    assert answer.json()["message"] == "Send exactly one of image_url, image_base64."


def test_who_sends_no_token_is_told_how_to(api: Api) -> None:
    answer = Client().post(SUBMIT, json.dumps({"image_base64": b64(marked_png())}), content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (401, 1002)
    assert "Authorization: Bearer" in answer.json()["message"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"smear_base64": b64(smear_png(size_wh=(119, 90)))}, "119 x 90"),
        ({"smear_base64": "no base64!"}, "base64"),
        ({"smear_base64": b64(smear_png()[:-20])}, "truncated"),
        ({"smear_base64": b64(b"<html></html>")}, "HTML"),
        ({"smear_url": "http://127.0.0.1/a.png", "smear_base64": "AAAA"}, "exactly one"),
        ({"smear_url": "http://[::1]/a.png"}, "public"),
    ],
)
def test_smear_is_checked_before_the_answer(api: Api, fields: dict[str, Any], word: str) -> None:
    assert_refused(submit(api, **fields), 400, 1000, word)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "smear", [smear_png(None), smear_png(None, ground=255), smear_png((0, 0, 120, 60))], ids=["black", "white", "60 %"]
)
def test_smear_that_only_pixels_refuse_fails_the_task_uncharged(api: Api, smear: bytes) -> None:
    failed = result(api, task_of(submit(api, smear_base64=b64(smear))))

    assert (failed["status"], failed["images"]) == ("failed", [])
    assert "smear" in failed["err_msg"]
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"image_base64": NaN}', b"[" * 2000])
@pytest.mark.parametrize("path", [SUBMIT, RESULT])
def test_malformed_json_is_a_1000(api: Api, path: str, body: bytes) -> None:
    assert_refused(post(api, path, body), 400, 1000)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "image/png", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("path", [SUBMIT, RESULT])
def test_body_that_is_no_json_is_a_1000(api: Api, path: str, content_type: str) -> None:
    headers = {"Authorization": f"Bearer {api.key}"}

    assert_refused(Client().post(path, b"--x--\r\n", content_type=content_type, headers=headers), 400, 1000)


def test_body_over_the_cap_is_a_1000(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Length": str(70 * 2**20 + 1)}

    assert_refused(Client().post(SUBMIT, b"", content_type="application/json", headers=headers), 413, 1000, "70 MB")


@pytest.mark.parametrize("task_id", ["", None, 7, [], "xxxxxxxx", "0b6f5c1e-6c0e-4f0e-9d63-1f0c2a7b9e11", "x" * 70_000])
def test_task_that_is_none_is_a_1000(api: Api, task_id: Any) -> None:
    assert_refused(post(api, RESULT, {"task_id": task_id}), 400, 1000, "task_id")


def test_task_is_seen_by_its_account_alone(api: Api) -> None:
    task_id, other = task_of(submit(api)), make_api("other")

    assert_refused(post(other, RESULT, {"task_id": task_id}), 400, 1000, "task_id")
    assert result(make_api("tester", credits=0), task_id)["status"] == "success"


def test_other_jobs_are_no_tasks(api: Api) -> None:
    job_id = api.remove().headers["X-Job-Id"]

    assert_refused(post(api, RESULT, {"task_id": job_id}), 400, 1000)


def test_two_credentials_are_a_1000(api: Api) -> None:
    assert_refused(submit(api, headers={"X-Api-Key": "kl_live_other"}), 400, 1000)


def test_scope_is_the_operations(api: Api) -> None:
    assert_refused(submit(make_api("narrow", scopes=["remove-bg"])), 403, 1000, "watermark-removal")
    assert task_of(submit(make_api("wide", scopes=["watermark-removal"])))


def test_too_many_requests_and_too_many_jobs_are_a_1000(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    free = make_api("free", plan="FREE")
    for _ in range(4):
        task_of(submit(free))

    assert_refused(submit(free), 429, 1000, "jobs at once")
    assert 429 in (free.get("/v1/account").status_code for _ in range(300))
    hurried = post(free, RESULT, {"task_id": "x"})
    assert_refused(hurried, 429, 1000)
    assert 1 <= int(hurried.headers["Retry-After"]) <= 60


def test_unknown_addresses_beside_them(api: Api) -> None:
    assert_refused(post(api, "/api/ext/v1/submit_something", {}), 404, 1000)


# --- 1001, 1002, 1003 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("path", [SUBMIT, RESULT])
def test_other_methods_are_a_1001(path: str, method: str, db: None) -> None:
    response = getattr(Client(), method)(path)

    assert_refused(response, 405, 1001)
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", [SUBMIT, RESULT])
def test_no_right_token_is_a_1002(api: Api, path: str, headers: dict[str, str]) -> None:
    response = Client().post(path, "{}", content_type="application/json", headers=headers)

    assert_refused(response, 401, 1002)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_too_few_credits_are_a_1003_with_nothing_charged(api: Api) -> None:
    poor = make_api("poor", credits=1)

    assert_refused(submit(poor), 402, 1003)
    assert credits(poor) == {"balance": 1, "held": 0}
    assert not Job.objects.exists()


# --- 11xx -------------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """A server that behaves as its path says."""

    def do_GET(self) -> None:
        with suppress(OSError):
            getattr(self, "serve_" + self.path.strip("/").split(".")[0])()

    def send(self, body: bytes, *, status: int = 200, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def serve_photo(self) -> None:
        self.send(marked_png())

    def serve_smear(self) -> None:
        self.send(smear_png())

    def serve_absent(self) -> None:
        self.send(b"no", status=404)

    def serve_html(self) -> None:
        self.send(b"<!doctype html><title>a page</title>")

    def serve_huge(self) -> None:
        self.send(b"x", length=200 * 1_048_576)

    def serve_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(262_144))

    def serve_short(self) -> None:
        self.send(marked_png()[:50], length=1000)

    def serve_redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/photo.png")
        self.end_headers()

    def serve_silent(self) -> None:
        time.sleep(2)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


URL_FAULTS = [
    ("absent", 502, 1102, "404"),
    ("silent", 502, 1102, "in time"),
    ("short", 502, 1102, "broke off"),
    ("html", 400, 1000, "HTML"),
    ("huge", 400, 1000, "25 MB"),
    ("endless", 400, 1000, "25 MB"),
    ("redirect", 400, 1000, "redirect"),
]


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, **options: Any) -> Any:
        return fetch_image(url, timeout_s=1 if "silent" in url else 60, **options)

    monkeypatch.setattr(uploads, "fetch_image", fetch)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(("path", "status", "code", "word"), URL_FAULTS, ids=[row[0] for row in URL_FAULTS])
def test_download_that_fails_is_a_1102_and_a_file_that_is_wrong_a_1000(
    api: Api, site: str, path: str, status: int, code: int, word: str
) -> None:
    assert_refused(post(api, SUBMIT, {"image_url": f"{site}/{path}"}), status, code, word)
    assert_refused(submit(api, smear_url=f"{site}/{path}"), status, code, word)
    assert not Job.objects.exists()


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(("path", "status", "code", "word"), URL_FAULTS, ids=[row[0] for row in URL_FAULTS])
def test_the_same_urls_in_the_envelope_are_a_400_on_their_field(
    api: Api, site: str, path: str, status: int, code: int, word: str
) -> None:
    for body, field in (
        ({"image_url": f"{site}/{path}"}, "image_url"),
        ({"image_base64": b64(marked_png()), "smear_url": f"{site}/{path}"}, "smear_url"),
    ):
        response = api.post("/v1/watermark-removal", body, as_json=True)

        assert response.status_code == 400
        assert [detail["field"] for detail in response.json()["error"]["details"]] == [field]
        assert word in response.json()["error"]["message"]


def test_url_that_nobody_listens_at_is_a_1102(api: Api) -> None:
    assert_refused(post(api, SUBMIT, {"image_url": "http://127.0.0.1:9/a.png"}), 502, 1102)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a.png", "http://169.254.169.254/latest/", "http://[::ffff:10.0.0.1]/", "file:///etc/passwd"],
)
def test_no_client_reaches_the_inside_by_a_url(api: Api, settings: Any, url: str) -> None:
    settings.FETCH_ALLOW_CIDRS = []

    assert_refused(post(api, SUBMIT, {"image_url": url}), 400, 1000)
    assert_refused(submit(api, smear_url=url), 400, 1000)


def test_queue_that_is_full_or_away_is_a_1101(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(broker(), "eval", away)
        assert_refused(submit(api), 503, 1101)
    settings.MAX_QUEUED_JOBS = 0
    full = submit(api)

    assert_refused(full, 503, 1101)
    assert full.headers["Retry-After"]
    assert credits(api) == {"balance": 1000, "held": 0}


def test_bug_of_ours_is_a_1100_and_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(jobs, "submit", bug)

    response = submit(api)

    assert_refused(response, 500, 1100)
    assert "secret" not in response.content.decode()


# --- how tasks end ----------------------------------------------------------------------------------------


def ended_with(code: ErrorCode, api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    with monkeypatch.context() as patch:
        asleep(patch)
        task_id = task_of(submit(api))
    lifecycle.fail(Job.objects.get(id=task_id), AppError(code))
    return result(api, task_id)


def test_failed_task_says_why_and_costs_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = ended_with(ErrorCode.PROCESSING_FAILED, api, monkeypatch)

    assert failed == {"status": "failed", "images": [], "err_msg": "The image could not be processed."}
    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_job_that_was_not_ready_in_time_is_a_timeout(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    late = ended_with(ErrorCode.PROCESSING_TIMEOUT, api, monkeypatch)

    assert (late["status"], late["images"]) == ("timeout", [])
    assert "nothing was charged" in late["err_msg"]


def test_job_that_hangs_in_every_worker_times_out(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    settings.MAX_ATTEMPTS = 2
    task_id = task_of(submit(api))
    job = lifecycle.claim("w")
    lifecycle.time_out_on_last_attempt(job.id, job.attempt)
    assert result(api, task_id)["status"] == "processing"
    Job.objects.update(lease_until=timezone.now())
    sweeper.take_back_lapsed()
    job = lifecycle.claim("w")

    lifecycle.time_out_on_last_attempt(job.id, job.attempt)

    assert result(api, task_id)["status"] == "timeout"
    assert credits(api) == {"balance": 1000, "held": 0}


def test_job_that_comes_back_an_hour_late_times_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    task_id = task_of(submit(api))
    lifecycle.claim("w")
    Job.objects.update(lease_until=timezone.now(), created_at=timezone.now() - timedelta(hours=2))

    sweeper.take_back_lapsed()

    assert result(api, task_id)["status"] == "timeout"


@pytest.mark.parametrize(("waited_h", "status"), [(5, "processing"), (7, "timeout")])
def test_job_that_waits_for_hours_times_out(
    api: Api, monkeypatch: pytest.MonkeyPatch, waited_h: int, status: str
) -> None:
    asleep(monkeypatch)
    task_id = task_of(submit(api))
    Job.objects.update(created_at=timezone.now() - timedelta(hours=waited_h))

    sweeper.sweep()

    assert result(api, task_id)["status"] == status
    assert credits(api)["held"] == (2 if status == "processing" else 0)


def test_cancelled_task_has_failed_and_costs_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    task_id = task_of(submit(api))
    lifecycle.cancel(Job.objects.get())

    assert "cancelled" in result(api, task_id)["err_msg"]
    assert credits(api) == {"balance": 1000, "held": 0}


def test_deleted_task_is_unknown_and_an_expired_one_says_so(api: Api) -> None:
    first, second = task_of(submit(api)), task_of(submit(api))
    api.delete(f"/v1/jobs/{first}")
    Job.objects.filter(id=second).update(expires_at=timezone.now())

    assert_refused(post(api, RESULT, {"task_id": first}), 400, 1000)
    expired = result(api, second)
    assert (expired["status"], expired["images"]) == ("failed", [])
    assert "has been deleted" in expired["err_msg"]


# --- money ------------------------------------------------------------------------------------------------


def test_task_is_charged_once_and_polls_cost_nothing(api: Api) -> None:
    task_id = task_of(submit(api))
    for _ in range(3):
        result(api, task_id)

    assert credits(api) == {"balance": 998, "held": 0}
    assert books_balance()


def test_credits_are_held_while_the_task_is_at_work(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    submit(api)

    assert credits(api) == {"balance": 998, "held": 2}


@pytest.mark.parametrize("smear", [None, smear_png(None)], ids=["succeeds", "fails"])
def test_replay_gives_the_same_task_whatever_became_of_it(api: Api, smear: bytes | None) -> None:
    fields = {} if smear is None else {"smear_base64": b64(smear)}
    key = {"Idempotency-Key": "k"}
    first = task_of(submit(api, headers=key, **fields))

    again = submit(api, headers=key, **fields)
    other = submit(api, marked_png(None), headers=key, **fields)

    assert task_of(again) == first
    assert again.headers["Idempotency-Replayed"] == "true"
    assert_refused(other, 422, 1000)
    assert Job.objects.count() == 1


def test_replay_of_a_deleted_task_is_a_410(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    api.delete(f"/v1/jobs/{task_of(submit(api, headers=key))}")

    assert_refused(submit(api, headers=key), 410, 1000)


def test_dry_run_quotes_and_submits_nothing(api: Api) -> None:
    response = post(api, f"{SUBMIT}?dry_run=true", {"image_base64": b64(marked_png())})

    assert response.json() == {
        "code": 0,
        "message": "success",
        "data": {"price": {"credits": 2, "usd": "0.10"}, "valid": True},
    }
    assert not Job.objects.exists()


def test_rapidapi_is_told_what_to_bill(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RAPIDAPI_SECRETS = ["s" * 40]
    gateway = {"X-RapidAPI-Proxy-Secret": "s" * 40, "X-RapidAPI-User": "ann", "X-RapidAPI-Subscription": "PRO"}

    def billed(path: str, body: dict[str, str]) -> tuple[str, HttpResponse]:
        response = Client().post(path, json.dumps(body), content_type="application/json", headers=gateway)
        return response.headers["X-RapidAPI-Billing"], response

    with monkeypatch.context() as patch:
        asleep(patch)
        told, submitted = billed(SUBMIT, {"image_base64": b64(marked_png())})
    assert told == "Credits=2"
    assert billed(RESULT, submitted.json()["data"])[0] == "Credits=0"
    assert billed(SUBMIT, {"image_base64": "AAAA"})[0] == "Credits=0"


def test_sandbox_is_free(api: Api) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    assert result(sandbox, task_of(submit(sandbox)))["status"] == "success"
    assert credits(api) == {"balance": 1000, "held": 0}


# --- the document -----------------------------------------------------------------------------------------


def test_document_shows_json_alone_and_every_status() -> None:
    from apps.core.openapi.document import openapi_document

    paths = openapi_document()["paths"]

    body = paths[SUBMIT]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json"}
    assert {"image_url", "image_base64", "smear_url", "smear_base64"} == set(
        body["application/json"]["schema"]["properties"]
    )
    assert {"200", "400", "401", "402", "405", "429", "500", "502", "503"} <= set(paths[SUBMIT]["post"]["responses"])
    data = openapi_document()["components"]["schemas"]["TaskResultData"]["properties"]
    assert data["status"]["enum"] == ["processing", "success", "failed", "timeout"]
