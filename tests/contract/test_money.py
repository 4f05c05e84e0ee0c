"""Credits, prices, dry runs, idempotency keys and limits, in one process; tests/stack/ kills real ones."""

from __future__ import annotations

import io
import ipaddress
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.billing import ledger
from apps.billing.audit import disagreements
from apps.billing.models import LedgerEntry, Price, UsageDay, Wallet
from apps.core import jobs, lifecycle, tasks
from apps.core.broker import broker
from apps.core.errors import AppError, ErrorCode
from apps.core.models import IdempotencyKey, Job, State
from tests.api import Api, make_api
from tests.contract.books import asleep, books_balance, credits
from tests.drawing import photo_png

JSON = "application/json"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    for key in broker().scan_iter("keyline:rate:*"):
        broker().delete(key)


def test_success_is_charged_once_and_the_ledger_says_why(api: Api) -> None:
    job_id = api.remove().headers["X-Job-Id"]

    assert credits(api) == {"balance": 999, "held": 0}
    entries = LedgerEntry.objects.filter(job_id=job_id).order_by("id")
    assert [(entry.kind, entry.balance_change, entry.held_change) for entry in entries] == [
        ("hold", -1, 1),
        ("capture", 0, -1),
    ]
    assert books_balance()


def test_empty_result_and_bad_file_cost_nothing(api: Api) -> None:
    whole = photo_png(400, 300, noise=True)

    api.remove(photo_png(box=None))
    api.remove(whole[: len(whole) // 2])

    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_too_few_credits_is_a_402_and_runs_nothing(api: Api) -> None:
    poor = make_api("poor", credits=0)

    response = poor.remove()

    assert response.status_code == 402
    assert response.json()["error"]["code"] == "INSUFFICIENT_CREDITS"
    assert not Job.objects.exists()


def test_price_is_data(api: Api) -> None:
    Price.objects.create(operation="remove-bg", credits=7)

    assert api.remove().headers["X-Credits-Charged"] == "7"
    assert credits(api)["balance"] == 993
    assert api.get("/v1/account").json()["data"]["prices"]["remove-bg"] == {"credits": 7, "usd": "0.35"}


def test_dry_run_checks_and_quotes_and_does_nothing(api: Api) -> None:
    good = api.post("/v1/remove-bg/universal?dry_run=true", {"image": io.BytesIO(photo_png())})
    bad = api.post("/v1/remove-bg/universal?dry_run=true", {"image": io.BytesIO(b"no image")})

    assert good.json()["data"] == {"price": {"credits": 1, "usd": "0.05"}, "valid": True}
    assert bad.status_code == 400
    assert not Job.objects.exists()
    assert credits(api) == {"balance": 1000, "held": 0}


def test_usage_is_told_by_day_and_operation(api: Api) -> None:
    api.remove()
    api.remove(photo_png(box=None))
    whole = photo_png(400, 300, noise=True)
    api.remove(whole[: len(whole) // 2])

    rows = api.get("/v1/usage").json()["data"]["days"]
    table = api.get("/v1/usage?format=csv")

    today = timezone.now().date().isoformat()
    assert rows == [{"day": today, "operation": "remove-bg", "succeeded": 2, "failed": 1, "credits": 1}]
    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.content.decode().splitlines() == ["day,operation,succeeded,failed,credits", f"{today},remove-bg,2,1,1"]


@pytest.mark.parametrize("query", ["from=yesterday", "from=2026-02-30", "from=2026-02-02&to=2026-02-01", "format=xml",
                                   "from=2020-01-01&to=2026-01-01", "to=0001-01-01", "from=-5"])  # fmt: skip
def test_bad_usage_query_is_a_400(api: Api, query: str) -> None:
    assert api.get(f"/v1/usage?{query}").status_code == 400


def test_balance_cannot_go_below_zero_even_by_hand(api: Api) -> None:
    for column in ("balance", "held"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Wallet.objects.update(**{column: -1})


def test_ledger_cannot_be_rewritten(api: Api) -> None:
    for statement in ("UPDATE billing_ledgerentry SET balance_change = 0", "DELETE FROM billing_ledgerentry"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_ledger_check_names_the_account_whose_books_are_wrong(api: Api) -> None:
    Wallet.objects.update(balance=5)
    out = io.StringIO()

    with pytest.raises(SystemExit) as stopped:
        call_command("ledger_check", stdout=out)

    assert stopped.value.code == 1
    assert "tester: the wallet differs" in out.getvalue()


DAMAGE = {
    "the wallet differs from the sum of its ledger": lambda job: Wallet.objects.update(balance=5),
    "the held credits differ from the prices of its open jobs": lambda job: Job.objects.update(state=State.RUNNING),
    "a finished job was charged otherwise than the ledger says": lambda job: Job.objects.update(charged_credits=0),
    "a finished job still has its hold": lambda job: Job.objects.filter(id=held_job(job).id).update(
        state=State.CANCELLED
    ),
}


def held_job(job: Job) -> Job:
    """A second job like this one, queued, its price held."""
    copy = Job.objects.get(id=job.id)
    copy.id, copy.state, copy.charged_credits = uuid.uuid4(), State.QUEUED, 0
    copy.save(force_insert=True)
    ledger.hold(copy)
    return copy


@pytest.mark.parametrize("what", DAMAGE)
def test_ledger_check_notices_every_kind_of_disagreement(what: str, api: Api) -> None:
    api.remove()
    assert books_balance()

    DAMAGE[what](Job.objects.get())

    assert what in {each.what for each in disagreements()}


def test_hold_ends_once_whoever_ends_it_again(api: Api) -> None:
    api.remove()
    job = Job.objects.get()
    held_job(job)  # whose credits must not serve for the first one's

    ledger.capture(job)
    ledger.release(job)

    assert credits(api) == {"balance": 998, "held": 1}
    assert [entry.kind for entry in LedgerEntry.objects.filter(job_id=job.id).order_by("id")] == ["hold", "capture"]


def test_database_takes_one_hold_and_one_end_a_job(api: Api) -> None:
    api.remove()

    for kind in ("hold", "release"):
        entry = LedgerEntry.objects.filter(kind="capture").get()
        entry.id, entry.kind = None, kind
        with pytest.raises(IntegrityError), transaction.atomic():
            entry.save(force_insert=True)


def test_settling_twice_counts_once(api: Api) -> None:
    api.remove()

    lifecycle.settle(Job.objects.get())

    assert UsageDay.objects.get().succeeded == 1
    assert books_balance()


def test_job_that_is_late_for_its_client_is_cancelled_and_free(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    monkeypatch.setattr(jobs, "wait", lambda job, timeout_s: job)

    response = api.remove()

    assert (response.status_code, response.json()["error"]["code"]) == (502, "PROCESSING_TIMEOUT")
    assert Job.objects.get().state == State.CANCELLED
    assert credits(api) == {"balance": 1000, "held": 0}


def test_cancelled_job_is_never_paid(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)

    response = api.send(Prefer="respond-async")
    job_id = response.json()["data"]["jobId"]
    assert credits(api) == {"balance": 999, "held": 1}

    assert api.delete(f"/v1/jobs/{job_id}").status_code == 204

    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


def test_running_job_that_is_deleted_is_thrown_away_unpaid(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    response = api.send(Prefer="respond-async")
    job = lifecycle.claim("w")

    assert api.delete(f"/v1/jobs/{response.json()['data']['jobId']}").status_code == 204
    with pytest.raises(lifecycle.LeaseLostError):
        lifecycle.report(job, stage="infer", progress=0.5)

    assert credits(api) == {"balance": 1000, "held": 0}
    assert books_balance()


# --- Idempotency-Key --------------------------------------------------------------------------------------


def test_same_key_gives_the_same_bytes_and_one_charge(api: Api) -> None:
    key = {"Idempotency_Key": str(uuid.uuid4())}

    first = api.send(**key)
    again = api.send(**key)

    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["X-Job-Id"] == first.headers["X-Job-Id"]
    assert Job.objects.count() == 1
    assert credits(api)["balance"] == 999


def test_quoted_and_bare_keys_are_the_same(api: Api) -> None:

    api.send(Idempotency_Key='"abc"')

    assert api.send(Idempotency_Key="abc").headers["Idempotency-Replayed"] == "true"


def test_replayed_envelope_has_fresh_links_to_the_same_result(api: Api) -> None:
    key = {"Idempotency_Key": "envelope", "Accept": JSON}

    first, again = api.send(**key).json(), api.send(**key).json()

    assert again["data"]["jobId"] == first["data"]["jobId"]
    assert again["data"]["image"]["sha256"] == first["data"]["image"]["sha256"]
    assert again["meta"]["requestId"] != first["meta"]["requestId"]


@pytest.mark.parametrize("change", [{"output_format": "mask"}, {"image": photo_png(97, 64)}])
def test_same_key_for_another_request_is_a_422(api: Api, change: dict[str, object]) -> None:
    key = {"Idempotency_Key": "k"}
    api.send(**key)

    response = api.send(change.pop("image", None), fields=change, **key)

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"
    assert Job.objects.count() == 1


@pytest.mark.parametrize("path", ["/v1/remove-bg/human", "/v1/remove-bg/universal?lang=en"])
def test_same_key_at_another_address_is_a_422(api: Api, path: str) -> None:
    key = {"Idempotency-Key": "k"}
    api.send(**key)

    response = api.post(path, {"image": io.BytesIO(photo_png())}, **key)

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"
    assert Job.objects.count() == 1


def test_key_of_a_running_job_is_a_409_with_retry_after(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    key = {"Idempotency_Key": "k"}
    key["Prefer"] = "wait=0"
    api.send(**key)
    IdempotencyKey.objects.update(answered_status=None)  # as if the server had died before it answered

    response = api.send(**key)

    assert response.status_code == 409
    assert response.headers["Retry-After"] == "2"
    tasks.run_next()
    after = api.send(**key)
    assert after.status_code == 200
    assert after.headers["Idempotency-Replayed"] == "true"
    assert credits(api)["balance"] == 999


def test_accepted_answer_is_replayed_as_accepted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    key = {"Idempotency_Key": "k"}
    key["Prefer"] = "respond-async"

    first, again = api.send(**key), api.send(**key)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]
    assert Job.objects.count() == 1


def test_final_400_is_kept_and_a_failure_on_our_side_is_not(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = photo_png(400, 300, noise=True)
    broken = whole[: len(whole) // 2]

    assert api.send(broken, Idempotency_Key="bad").status_code == 400
    assert api.send(broken, Idempotency_Key="bad").headers["Idempotency-Replayed"] == "true"

    def failing_claim(name: str) -> None:
        lifecycle.fail(Job.objects.get(state=State.QUEUED), AppError(ErrorCode.PROCESSING_FAILED))

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "claim", failing_claim)
        assert api.send(Idempotency_Key="ours").status_code == 502
    again = api.send(Idempotency_Key="ours")
    assert again.status_code == 200
    assert "Idempotency-Replayed" not in again.headers
    assert credits(api)["balance"] == 999
    assert books_balance()


def test_too_few_credits_leave_the_key_free(api: Api) -> None:
    poor = make_api("poor", credits=0)
    key = {"Idempotency_Key": "k"}
    assert poor.send(**key).status_code == 402

    make_api("poor", credits=1)

    assert poor.send(**key).status_code == 200


def test_deleted_result_is_a_410_without_a_charge(api: Api) -> None:
    key = {"Idempotency_Key": "k"}
    first = api.send(**key)
    api.delete(f"/v1/jobs/{first.headers['X-Job-Id']}")

    again = api.send(**key)

    assert again.status_code == 410
    assert again.json()["error"]["code"] == "GONE"
    assert credits(api)["balance"] == 999


def test_keys_belong_to_their_account_and_live_for_a_day(api: Api) -> None:
    key = {"Idempotency_Key": "k"}
    api.send(**key)

    assert "Idempotency-Replayed" not in make_api("other").send(**key).headers
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert "Idempotency-Replayed" not in api.send(**key).headers


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "x" * 10_000, "tab\there", "caf\u00e9"])
def test_malformed_key_is_a_400(api: Api, key: str) -> None:
    response = api.send(Idempotency_Key=key)

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "Idempotency-Key"
    assert not Job.objects.exists()


# --- limits -----------------------------------------------------------------------------------------------


def test_requests_over_the_plan_get_429_with_the_drafts_headers(api: Api) -> None:
    free, others = make_api("free", plan="FREE"), set(broker().keys("keyline:rate:*"))

    first = free.get("/v1/account")
    (counter,) = set(broker().keys("keyline:rate:*")) - others
    broker().incrby(counter, 58)  # sixty real requests may take a busy machine longer than the window
    sixtieth, last = free.get("/v1/account"), free.get("/v1/account")

    assert (first.status_code, sixtieth.status_code, last.status_code) == (200, 200, 429)
    assert last.json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["RateLimit-Policy"] == '"burst";q=60;w=60'
    assert last.headers["RateLimit"].startswith('"burst";r=0;t=')
    assert first.headers["RateLimit"].startswith('"burst";r=59;t=')
    assert sixtieth.headers["RateLimit"].startswith('"burst";r=0;t=')


def test_window_ends_a_minute_after_its_first_request(api: Api) -> None:
    others = set(broker().keys("keyline:rate:*"))

    api.get("/v1/account")
    (counter,) = set(broker().keys("keyline:rate:*")) - others
    of_the_first = broker().pttl(counter)
    broker().pexpire(counter, 30_000)  # as if half of it were over
    api.get("/v1/account")
    of_the_second = broker().pttl(counter)

    assert 0 < of_the_first <= 60_000
    assert 0 < of_the_second <= 30_000


def test_jobs_at_once_are_held_to_the_plan(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    free = make_api("free", plan="FREE")

    statuses = [free.send(Prefer="respond-async").status_code for _ in range(5)]

    assert statuses == [202, 202, 202, 202, 429]
    assert Job.objects.filter(account=free.account).count() == 4
    assert books_balance()


def test_wrong_keys_are_counted_by_address(api: Api, settings: object) -> None:
    settings.ANONYMOUS_PER_MINUTE = 3
    nobody = Api(key="wrong", account=None)

    assert [nobody.get("/v1/account").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert api.get("/v1/account").status_code == 200


def anonymous(peer: str, forwarded: str) -> int:
    headers = {"X-Api-Key": "wrong", "X-Forwarded-For": forwarded}
    return Client(REMOTE_ADDR=peer).get("/v1/account", headers=headers).status_code


def test_nobody_becomes_somebody_else_by_a_header(api: Api, settings: object) -> None:
    settings.ANONYMOUS_PER_MINUTE = 2

    statuses = [anonymous("203.0.113.7", f"198.51.100.{number}") for number in range(3)]

    assert statuses == [401, 401, 429]


def test_a_trusted_proxy_says_who_asks_and_the_client_before_it_nothing(api: Api, settings: object) -> None:
    settings.ANONYMOUS_PER_MINUTE = 2
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]

    told = [anonymous("10.0.0.1", f"192.0.2.{number}, 203.0.113.7, 10.0.0.2") for number in range(3)]
    neighbour = anonymous("10.0.0.1", "203.0.113.99")

    assert (told, neighbour) == ([401, 401, 429], 401)


def test_no_header_of_ours_takes_a_name_that_the_gateway_adds(api: Api) -> None:
    assert not [name for name in api.remove().headers if name.lower().startswith("x-ratelimit")]


def test_usage_rows_are_kept_in_the_settling_transaction(api: Api) -> None:
    api.remove()

    assert UsageDay.objects.get().credits == Job.objects.get().charged_credits


def test_a_paid_request_with_a_key_costs_few_statements(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.send()
    asleep(monkeypatch)

    with CaptureQueriesContext(connection) as web:
        assert api.send(Prefer="respond-async", Idempotency_Key="k").status_code == 202
    with CaptureQueriesContext(connection) as worker:
        tasks.run_next()

    assert len(web.captured_queries) <= 15
    assert len(worker.captured_queries) <= 15
