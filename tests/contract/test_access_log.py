"""One line in the log for every request, JSON on every line, and counters that tell the same; nothing secret in any of it."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, RequestFactory

from apps.core import tasks
from apps.core.api.access import route_of
from apps.core.models import Job
from apps.core.sweeper import purge_expired
from apps.stack.paths import ROOT
from config.logs import JsonFormatter, without_secrets
from tests.api import Api, make_api
from tests.contract.books import asleep
from tests.contract.watching import Watching, events_of

FIELDS = {
    "request_id", "account", "key", "method", "route", "status", "code", "credits", "ms", "bytes_in", "bytes_out",
}  # fmt: skip


class Lines:
    """What was logged, as it would stand in the file."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self.handler = logging.StreamHandler(self._text)
        self.handler.setFormatter(JsonFormatter())

    @property
    def text(self) -> str:
        return self._text.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def access(self) -> list[dict[str, Any]]:
        return [line for line in self.all if line["logger"] == "keyline.access"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    logging.root.addHandler(lines.handler)
    yield lines
    logging.root.removeHandler(lines.handler)


def counter(api: Api, line: str) -> float:
    """A counter's value by its name and labels."""
    text = api.get("/metrics").content.decode()
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


# --- the access line ----------------------------------------------------------------------------------------


def test_success_has_one_line_that_tells_who_what_and_how_much(api: Api, lines: Lines) -> None:
    response = api.remove()

    (line,) = lines.access
    assert line.keys() >= FIELDS
    told = {name: line[name] for name in FIELDS - {"ms"}}
    assert told == {
        "request_id": response.headers["X-Request-Id"],
        "account": "tester",
        "key": api.key[:12],
        "method": "POST",
        "route": "/v1/remove-bg/universal",
        "status": 200,
        "code": None,
        "credits": 1,
        "bytes_in": line["bytes_in"],
        "bytes_out": len(response.content),
    }
    assert line["bytes_in"] > 100
    assert line["ms"] >= 0


def test_route_is_the_pattern_and_never_the_path(api: Api, lines: Lines) -> None:
    job_id = api.remove().headers["X-Job-Id"]
    api.get(f"/v1/jobs/{job_id}?secret=1")
    events_of(api.get(f"/v1/jobs/{job_id}/events"))
    api.get("/v1/watermark-templates/00000000-0000-0000-0000-000000000000")
    api.get("/no/such/place")
    api.get("/v1.0/nothing")

    assert [line["route"] for line in lines.access[1:]] == [
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/events",
        "/v1/watermark-templates/{template_id}",
        "",
        "/v1.0/",
    ]
    assert job_id not in "".join(json.dumps(line) for line in lines.access)
    assert "secret" not in lines.text


def test_every_refusal_has_its_line_and_its_code(api: Api, lines: Lines) -> None:
    stranger = Api(key="kl_live_wrong", account=None)
    poor = make_api("poor", credits=0)
    narrow = make_api("narrow", scopes=["clothing-segmentation"])
    statuses = [
        stranger.remove().status_code,
        narrow.remove().status_code,
        poor.remove().status_code,
        api.remove(b"no image").status_code,
        api.get("/v1/remove-bg/universal").status_code,
        api.get("/v1/nothing").status_code,
    ]

    told = [(line["status"], line["code"], line["account"], line["credits"]) for line in lines.access]
    assert told == [
        (401, "UNAUTHENTICATED", None, 0),
        (403, "FORBIDDEN", "narrow", 0),
        (402, "INSUFFICIENT_CREDITS", "poor", 0),
        (400, "VALIDATION_ERROR", "tester", 0),
        (405, "METHOD_NOT_ALLOWED", None, 0),
        (404, "NOT_FOUND", None, 0),
    ]
    assert statuses == [status for status, *_ in told]


def test_body_over_the_cap_is_told_though_nobody_reads_it(api: Api, lines: Lines) -> None:
    answer = Client().generic(
        "POST", "/v1/clothing-segmentation", b"", content_type="image/png", CONTENT_LENGTH=str(10**9)
    )

    (line,) = lines.access
    assert (answer.status_code, line["status"], line["code"]) == (413, 413, "PAYLOAD_TOO_LARGE")
    assert (line["route"], line["bytes_in"]) == ("/v1/clothing-segmentation", 10**9)


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda client: client.get("/v1.0/removebg"), "METHOD_NOT_ALLOWED"),
        (lambda client: client.post("/v1.0/removebg", b"x", content_type="text/plain"), "UNSUPPORTED_MEDIA_TYPE"),
        (
            lambda client: client.post(
                "/v1.0/removebg", b"", content_type="application/json", headers={"Content-Length": "999999999"}
            ),
            "PAYLOAD_TOO_LARGE",
        ),
    ],
)
def test_line_tells_the_code_where_the_form_has_another_status(api: Api, lines: Lines, send: Any, code: str) -> None:
    answer = send(Client(headers={"X-Api-Key": api.key}))

    assert (answer.status_code, lines.access[0]["code"]) == (400, code)


def test_stream_is_told_when_it_ends_with_what_was_sent(api: Api, lines: Lines) -> None:
    job_id = api.remove().headers["X-Job-Id"]
    response = api.get(f"/v1/jobs/{job_id}/events")
    before = len(lines.access)

    (event,) = events_of(response)

    assert before == 1
    assert (lines.access[1]["status"], lines.access[1]["bytes_out"]) == (200, len(event))


def test_stream_whose_client_went_away_is_told_as_well(api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep(monkeypatch)
    job_id = api.send(Prefer="respond-async").json()["data"]["jobId"]

    with Watching(api.get(f"/v1/jobs/{job_id}/events")) as watching:
        first = next(iter(watching))

    assert lines.access[-1]["bytes_out"] == len(first)


def test_replay_and_poll_cost_nothing(api: Api, lines: Lines) -> None:
    key = {"Idempotency-Key": "k"}
    first = api.send(**key)
    api.send(**key)
    api.get(f"/v1/jobs/{first.headers['X-Job-Id']}")

    assert [line["credits"] for line in lines.access] == [1, 0, 0]


def test_line_of_one_request_never_carries_the_gateways_caller_of_another(
    api: Api, lines: Lines, settings: Any
) -> None:
    settings.RAPIDAPI_SECRETS = ["secret-of-the-gateway"]
    gateway = Api(key="", account=None)
    headers = {"X-RapidAPI-Proxy-Secret": "secret-of-the-gateway", "X-RapidAPI-User": "jane"}
    gateway._headers = lambda more: {**headers, **more}
    gateway.get("/v1/account")

    api.get("/healthz")

    assert [line["account"] for line in lines.access] == ["rapidapi:jane", None]
    assert "client" not in lines.access[1]


def test_pattern_of_an_address_is_readable() -> None:
    request = RequestFactory().get("/v1/jobs/00000000-0000-0000-0000-000000000000")

    assert route_of(request) == "/v1/jobs/{job_id}"


# --- one request id through all processes -------------------------------------------------------------------


def test_workers_and_sweepers_lines_carry_the_id_of_the_request(
    api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        asleep(patch)
        request_id = api.send(Prefer="respond-async").headers["X-Request-Id"]
    api.get("/healthz")
    tasks.run_next()
    Job.objects.update(expires_at="2026-01-01T00:00:00Z")
    purge_expired()

    followed = [line["event"] for line in lines.all if line.get("request_id") == request_id]

    assert followed == ["request", "job ended", "objects deleted"]


# --- what a line may hold -----------------------------------------------------------------------------------


def test_no_line_holds_a_key_or_a_signed_address(api: Api, lines: Lines) -> None:
    signed = f"https://store.example/results/a.png?X-Amz-Signature=abc&key={api.key}"
    error = ValueError(f"cannot fetch {signed} with {api.key} from redis://:hunter2@10.0.0.1/0")
    logging.getLogger("somebody").error("no luck with %s", signed, exc_info=error)
    api.send(**{"Idempotency-Key": "k"})

    assert "https://store.example/results/a.png?..." in lines.text
    assert [secret for secret in ("X-Amz-Signature", "abc&key", api.key, "hunter2") if secret in lines.text] == []
    assert api.key[:12] in lines.text  # the prefix is for people


def test_secrets_are_cut_and_the_rest_stays() -> None:
    assert without_secrets("see https://a.example/b?c=d, then go") == "see https://a.example/b?... then go"
    assert without_secrets("postgresql://u:p@h:1/d is away") == "postgresql://u:...@h:1/d is away"
    assert without_secrets("what? nothing") == "what? nothing"


_SPEAKS = """
import sys, threading, warnings
from config.logs import speak_json
speak_json()
warnings.warn("old ways")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
raise RuntimeError("line one\\nline two")
"""


def test_uncaught_exceptions_and_warnings_are_lines_too() -> None:
    done = subprocess.run([sys.executable, "-c", _SPEAKS], cwd=ROOT, capture_output=True, text=True, check=False)

    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["event"].partition(":")[0] for line in told[1:]] == [
        "uncaught exception in a thread",
        "uncaught exception",
    ]
    assert "old ways" in told[0]["event"]
    assert "RuntimeError: line one\nline two" in told[2]["exception"]
    warnings.resetwarnings()


# --- counters -----------------------------------------------------------------------------------------------


def test_counters_tell_requests_refusals_jobs_credits_and_times(api: Api) -> None:
    names = [
        'keyline_requests_total{code="",route="/v1/remove-bg/universal",status="200"}',
        'keyline_requests_total{code="VALIDATION_ERROR",route="/v1/remove-bg/universal",status="400"}',
        'keyline_refusals_total{code="VALIDATION_ERROR"}',
        'keyline_jobs_total{operation="remove-bg",outcome="succeeded"}',
        'keyline_jobs_total{operation="remove-bg",outcome="cancelled"}',
        'keyline_credits_total{kind="capture"}',
        'keyline_queue_seconds_count{operation="remove-bg"}',
        'keyline_job_stage_seconds_count{operation="remove-bg",stage="store"}',
    ]
    before = [counter(api, name) for name in names]

    api.remove()
    api.remove(b"no image")

    grown = [counter(api, name) - was for name, was in zip(names, before, strict=True)]
    assert grown == [1, 1, 1, 1, 0, 1, 1, 1]
    assert counter(api, "keyline_request_seconds_count") > 2


def test_service_that_is_not_ready_turns_nobody_away(api: Api, lines: Lines) -> None:
    before = counter(api, 'keyline_refusals_total{code="OVERLOADED"}')

    assert api.get("/readyz").status_code == 503  # no worker of its own runs

    assert lines.access[-1]["code"] is None
    assert counter(api, 'keyline_refusals_total{code="OVERLOADED"}') == before


def test_every_metric_that_operators_are_told_to_watch_is_there(api: Api) -> None:
    table = (ROOT / "docs" / "operations.md").read_text().split("| metric | look when |")[1].split("\n\n")[0]
    names = re.findall(
        r"`(\w+)(?:\{[^}]*\})?`", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line)
    )
    api.remove(b"no image")

    text = api.get("/metrics").content.decode()

    assert len(names) > 5
    assert [name for name in names if not re.search(rf"^{name}(_count)?[ {{]", text, re.MULTILINE)] == []


def test_metrics_are_told_without_redis(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    from apps.core import broker

    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(broker.broker(), "hgetall", away)

    text = api.get("/metrics").content.decode()

    assert 'keyline_jobs{state="queued"} 0.0' in text
    assert "keyline_workers" not in text
