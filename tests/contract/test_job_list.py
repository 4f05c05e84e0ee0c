"""`GET /v1/jobs`: a key's own jobs, newest first, page by page, and by what it asks for."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.core.models import Job, State
from apps.core.owner import Mode
from tests.api import Api, error_of, make_api
from tests.contract.books import asleep

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def made(api: Api, number: int = 0, **facts: Any) -> Job:
    """A row of the caller's; job `number` is that many minutes younger than the first."""
    told = {
        "account": api.account,
        "operation": "remove-bg",
        "request_id": "r",
        "funding": "credits",
        "price_credits": 1,
        "retention_s": 3600,
        "state": State.FAILED,
        "created_at": START + number * timedelta(minutes=1),
        "inputs_stored": False,
    }
    return Job.objects.create(**{**told, **facts})


def listed(api: Api, query: str = "") -> list[str]:
    return [job["jobId"] for job in page(api, query)["jobs"]]


def page(api: Api, query: str = "") -> dict[str, Any]:
    answer = api.get(f"/v1/jobs{'?' if query else ''}{query}")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert set(body) == {"meta", "data", "warnings", "error"}
    assert body["warnings"] == []
    told: dict[str, Any] = body["data"]
    return told


def ids(*rows: Job) -> list[str]:
    return [str(row.id) for row in rows]


def test_lists_what_one_job_says_without_its_result(api: Api) -> None:
    done = api.send(accept="application/json").json()["data"]["jobId"]
    failed = str(made(api).id)

    told = page(api)

    assert told["nextCursor"] is None
    for job_id, job in zip([done, failed], told["jobs"], strict=True):
        alone = api.get(f"/v1/jobs/{job_id}").json()["data"]
        del alone["result"]
        assert job == alone
    assert told["jobs"][0]["key"] == api.key[:12]
    assert (told["jobs"][0]["mode"], told["jobs"][0]["status"]) == ("live", "succeeded")


def test_pages_hold_every_job_once_newest_first_whatever_comes_and_goes_meanwhile(api: Api) -> None:
    rows = [made(api, number // 3) for number in range(7)]  # three at a time have one created_at
    expected = ids(*sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True))

    first = page(api, "limit=3")
    made(api, 100)
    Job.objects.filter(id=first["jobs"][-1]["jobId"]).update(deleted_at=timezone.now())
    second = page(api, f"limit=3&cursor={first['nextCursor']}")
    third = page(api, f"limit=3&cursor={second['nextCursor']}")

    assert [[job["jobId"] for job in each["jobs"]] for each in (first, second, third)] == [
        expected[:3],
        expected[3:6],
        expected[6:],
    ]
    assert third["nextCursor"] is None


def test_usual_page_has_twenty_and_the_largest_a_hundred(api: Api) -> None:
    for number in range(101):
        made(api, number)

    assert [len(listed(api, query)) for query in ("", "limit=100", "limit=1")] == [20, 100, 1]


def test_foreign_other_mode_out_of_scope_and_deleted_jobs_are_not_there(api: Api) -> None:
    own = made(api)
    made(make_api("stranger"))
    sandbox = made(api, mode=Mode.SANDBOX)
    garment = made(api, 1, operation="clothing-segmentation")
    made(api, deleted_at=timezone.now())

    assert listed(api) == ids(garment, own)
    assert listed(make_api("tester", scopes=["clothing-segmentation"])) == ids(garment)
    assert listed(make_api("tester", scopes=["clothing-segmentation"]), "operation=remove-bg") == []
    assert listed(make_api("tester", credits=0, sandbox=True)) == ids(sandbox)


def test_status_is_what_each_job_says_of_itself(api: Api) -> None:
    past = timezone.now() - timedelta(seconds=1)
    kept = api.send().headers["X-Job-Id"]
    made(api, 0, state=State.QUEUED)
    made(api, 1, state=State.RUNNING)
    made(api, 2, state=State.SETTLING)
    over = made(api, 4, state=State.SUCCEEDED, expires_at=past)
    made(api, 5, state=State.EXPIRED, expires_at=past)
    made(api, 6, state=State.FAILED)
    made(api, 7, state=State.CANCELLED)
    by_status: dict[str, list[str]] = {}
    for job_id in listed(api):
        status = api.get(f"/v1/jobs/{job_id}").json()["data"]["status"]
        by_status.setdefault(status, []).append(job_id)

    assert {status: listed(api, f"status={status}") for status in by_status} == by_status
    assert set(by_status) == {"queued", "running", "succeeded", "failed", "cancelled", "expired"}
    assert by_status["succeeded"] == [kept]
    assert str(over.id) in by_status["expired"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from=2026-11-21&to=2026-11-21", [1, 0]),
        ("from=2026-11-22", [2]),
        ("to=2026-11-20", []),
        ("from=2026-11-21T09:31:00Z", [2, 1]),
        ("to=2026-11-21T09:30:00.000Z", [0]),
        ("from=2026-11-21T11:31:00%2B02:00&to=2026-11-21T09:31:00", [1]),
        ("operation=clothing-segmentation", [1]),
        ("operation=clothing-segmentation&from=2026-11-22", []),
        ("status=&operation=&from=&to=&limit=&cursor=", [2, 1, 0]),
    ],
)
def test_filters(api: Api, query: str, expected: list[int]) -> None:
    rows = [
        made(api, 0, created_at=START + timedelta(microseconds=400)),  # told as .000
        made(api, 1, operation="clothing-segmentation"),
        made(api, 24 * 60),
    ]

    assert listed(api, query) == ids(*(rows[number] for number in expected))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=settling", "status"),
        ("operation=magic", "operation"),
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("to=9999-12-31", "to"),
        ("from=0001-01-01", "from"),
        ("from=0001-01-01T00:00:00%2B14:00", "from"),
        ("from=2026-11-22&to=2026-11-21", "from"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=%00", "cursor"),
        ("limit=1&limit=2", "limit"),
        ("status=failed&status=queued", "status"),
    ],
)
def test_bad_parameter_is_a_400_on_its_field(api: Api, query: str, field: str) -> None:
    assert error_of(api.get(f"/v1/jobs?{query}")) == (400, "VALIDATION_ERROR", [field])


def test_unknown_parameter_is_told(api: Api) -> None:
    warnings = api.get("/v1/jobs?offset=10").json()["warnings"]

    assert [warning["code"] for warning in warnings] == ["UNKNOWN_FIELD"]


def test_cursor_of_nowhere_is_an_empty_page_of_ones_own(api: Api) -> None:
    from apps.core.api.cursors import Place

    made(api)
    foreign = made(make_api("stranger"), -10)
    before_all = Place(datetime(2001, 1, 1, tzinfo=UTC), uuid.UUID(int=0)).cursor

    assert page(api, f"cursor={before_all}") == {"jobs": [], "nextCursor": None}
    assert page(api, f"cursor={Place.of(foreign).cursor}")["jobs"] == []


def test_waiting_job_is_listed_as_queued(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]

    assert listed(api, "status=queued") == [job_id]
    assert listed(api, "status=running") == []
