"""Live and sandbox are two worlds of one account, and scopes bound what a key sees: jobs, tasks, templates, keys, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.accounts.models import ApiKey
from apps.core.broker import broker
from apps.core.models import IdempotencyKey, Job, State
from tests.api import Api, make_api, upload
from tests.contract.books import asleep, credits
from tests.contract.task_calls import result, submit, task_of
from tests.drawing import photo_png
from tests.watermarks import mark_png

TEMPLATES = "/v1/watermark-templates"
KEY = {"Idempotency-Key": "order-7"}


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Sandbox keys may ask 30 times a minute, and rows of one test have the numbers of the last one's."""
    for key in broker().scan_iter("keyline:rate:*"):
        broker().delete(key)


@dataclass
class Pair:
    """Two keys of one account."""

    live: Api
    sandbox: Api


@pytest.fixture
def pair(api: Api) -> Pair:
    return Pair(live=api, sandbox=make_api("tester", credits=0, sandbox=True))


def job_of(caller: Api, **headers: str) -> str:
    return caller.send(**headers).headers["X-Job-Id"]


# --- jobs -------------------------------------------------------------------------------------------------


def test_job_says_its_mode_and_which_key_sent_it(pair: Pair) -> None:
    for caller, mode in ((pair.live, "live"), (pair.sandbox, "sandbox")):
        told = caller.get(f"/v1/jobs/{job_of(caller)}").json()["data"]

        assert (told["mode"], told["key"]) == (mode, caller.key[:12])


def test_job_of_the_gateway_is_live_and_has_no_key(api: Api, settings: Any) -> None:
    settings.RAPIDAPI_SECRETS = ["secret-of-the-gateway"]
    headers = {"X-RapidAPI-Proxy-Secret": "secret-of-the-gateway", "X-RapidAPI-User": "jane"}
    gateway = Api(key="", account=None)
    gateway._headers = lambda more: {**headers, **more}

    told = gateway.get(f"/v1/jobs/{job_of(gateway)}").json()["data"]

    assert (told["mode"], told["key"]) == ("live", None)


@pytest.mark.parametrize("live_first", [True, False])
def test_keys_of_one_mode_never_see_or_delete_jobs_of_the_other(pair: Pair, live_first: bool) -> None:
    owner, other = (pair.live, pair.sandbox) if live_first else (pair.sandbox, pair.live)
    path = f"/v1/jobs/{job_of(owner)}"

    answers = [other.get(path), other.delete(path), other.get(f"{path}/events")]

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(404, "NOT_FOUND")] * 3
    assert owner.get(path).json()["data"]["status"] == "succeeded"


def test_key_sees_and_deletes_jobs_of_its_scopes_alone(api: Api) -> None:
    other = make_api("tester", credits=0, scopes=["clothing-segmentation"])
    same = make_api("tester", credits=0, scopes=["remove-bg"])
    path = f"/v1/jobs/{job_of(api)}"

    refused = [other.get(path).status_code, other.delete(path).status_code, other.get(f"{path}/events").status_code]

    assert refused == [404, 404, 404]
    assert same.get(path).json()["data"]["status"] == "succeeded"
    assert same.delete(path).status_code == 204


def test_task_is_unknown_to_the_other_mode_and_outside_the_scopes(pair: Pair) -> None:
    task = task_of(submit(pair.live))
    narrow = make_api("tester", credits=0, scopes=["remove-bg"])

    for caller in (pair.sandbox, narrow):
        answer = caller.post("/api/ext/v1/get_task_result", {"task_id": task}, as_json=True)
        assert (answer.status_code, answer.json()["code"]) == (400, 1000)
    assert result(pair.live, task)["status"] == "success"


# --- Idempotency-Keys -------------------------------------------------------------------------------------


def test_live_and_sandbox_never_share_an_idempotency_key(pair: Pair) -> None:
    marked = pair.sandbox.send(**KEY)

    plain = pair.live.send(**KEY)

    assert plain.content != marked.content
    assert "Idempotency-Replayed" not in plain.headers
    assert credits(pair.live)["balance"] == 999
    for caller, first in ((pair.live, plain), (pair.sandbox, marked)):
        again = caller.send(**KEY)
        assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
    assert credits(pair.live)["balance"] == 999


def test_key_at_work_in_one_mode_holds_up_nobody_in_the_other(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        asleep(patch)
        assert pair.sandbox.send(Prefer="respond-async", **KEY).status_code == 202

    assert pair.live.send(fields={"output_format": "mask"}, **KEY).status_code == 200


def test_jobs_at_once_are_counted_by_mode(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        asleep(patch)
        statuses = [pair.sandbox.send(Prefer="respond-async").status_code for _ in range(3)]
        pair.live.account.plan = "FREE"
        pair.live.account.save()
        live = [pair.live.send(Prefer="respond-async").status_code for _ in range(5)]

    assert statuses == [202, 202, 429]
    assert live == [202, 202, 202, 202, 429]


# --- templates --------------------------------------------------------------------------------------------


def test_templates_are_apart_too(pair: Pair) -> None:
    made = [caller.post(TEMPLATES, {"image": upload(mark_png())}, **KEY) for caller in (pair.live, pair.sandbox)]
    ids = [answer.json()["data"]["id"] for answer in made]

    assert [answer.status_code for answer in made] == [201, 201]
    assert len(set(ids)) == 2
    for caller, own, foreign in ((pair.live, *ids), (pair.sandbox, *reversed(ids))):
        assert [each["id"] for each in caller.get(TEMPLATES).json()["data"]["templates"]] == [own]
        assert caller.get(f"{TEMPLATES}/{foreign}").status_code == 404
        assert caller.delete(f"{TEMPLATES}/{foreign}").status_code == 404
        used = caller.post("/v1/watermark-removal", {"image": upload(photo_png()), "template": foreign})
        assert (used.status_code, used.json()["error"]["details"][0]["field"]) == (400, "template")


def test_use_is_told_by_mode(pair: Pair) -> None:
    job_of(pair.live)
    for _ in range(2):
        job_of(pair.sandbox)

    used = [caller.get("/v1/usage").json()["data"]["days"] for caller in (pair.live, pair.sandbox)]

    assert [[(day["succeeded"], day["credits"]) for day in days] for days in used] == [[(1, 1)], [(2, 0)]]


# --- rows from before -------------------------------------------------------------------------------------


def test_old_rows_get_the_mode_that_paid_for_them(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    for caller in (pair.live, pair.sandbox):
        caller.send(Prefer="respond-async", **{"Idempotency-Key": f"of-{caller.key[:7]}"})
    IdempotencyKey.objects.update(mode="live")
    Job.objects.update(mode="live")
    operations = MigrationExecutor(connection).loader.get_migration("core", "0002_modes").operations

    with connection.cursor() as cursor:
        for statement in (each.sql for each in operations if hasattr(each, "sql")):
            cursor.execute(statement.replace("job_id", "made_id"))  # as the column is called now

    assert dict(Job.objects.values_list("funding", "mode")) == {"credits": "live", "sandbox": "sandbox"}
    assert dict(IdempotencyKey.objects.values_list("key", "mode")) == {"of-kl_live": "live", "of-kl_test": "sandbox"}
    assert set(Job.objects.values_list("state", flat=True)) == {State.QUEUED}
    assert ApiKey.objects.count() == 2
