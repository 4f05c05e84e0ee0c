"""
Webhooks of a whole stack: every job's event arrives, whatever is killed, and slow receivers delay nobody else's.

    WEBHOOK_JOBS=1000 WEBHOOK_KILLS=100 .venv/bin/pytest tests/stack/test_webhooks.py -k kills -s     # the long run
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from apps.stack.certificates import make_identity
from apps.stack.paths import ROOT
from tests.receivers import FLOOD, HANG, REDIRECT, Receiver, receiving
from tests.stack.load import Books, Caller, frozen, kill, photo
from tests.stack.service import Stack, quick_stack, wait_until

pytestmark = pytest.mark.stack

JOBS = int(os.environ.get("WEBHOOK_JOBS", "12"))
KILLS = int(os.environ.get("WEBHOOK_KILLS", "4"))
AT_ONCE = 100
QUICK_S = 2.0


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    with quick_stack("hooks") as running:
        yield running


@pytest.fixture(scope="module")
def books(own: Stack) -> Books:
    return Books(own.env["DATABASE_URL"])


def new_caller(stack: Stack, name: str) -> Caller:
    made = stack.manage("create_api_key", "--account", name, "--plan", "CUSTOM", "--credits", "100000")
    assert made.returncode == 0, made.stderr
    return Caller(stack.url, made.stdout.strip(), account=name)


def register(caller: Caller, url: str) -> dict[str, Any]:
    body = json.dumps({"url": url, "events": ["job.succeeded", "job.failed"]}).encode()
    made = caller.ask("POST", "/v1/webhooks", body, {"Content-Type": "application/json"})
    assert made.status == 201, made.body
    return made.json["data"]


def submit(caller: Caller, number: int) -> str:
    """A job that is surely there, and nobody waits for."""
    while True:
        reply = caller.remove(photo(number), key=f"{caller.account}-{number}", prefer="respond-async")
        if reply.status == 202:
            return str(reply.json["data"]["jobId"])
        assert reply.status in {0, 409, 429, 503}, reply.body
        time.sleep(0.3)


def told(receiver: Receiver) -> dict[str, list[Any]]:
    """What came, verified at its coming, by the job that it is about."""
    found: dict[str, list[Any]] = {}
    for sent in list(receiver.sent):
        data = sent.told
        found.setdefault(data["data"]["jobId"], []).append((data["type"], sent.headers["webhook-id"], sent.at))
    return found


def test_one_job_is_told_by_the_io_worker_and_can_be_verified(own: Stack) -> None:
    caller = new_caller(own, "thin")
    with receiving() as receiver:
        webhook = register(caller, receiver.url)
        receiver.secret = webhook["secret"]

        job_id = submit(caller, 1)

        assert wait_until(lambda: bool(receiver.sent))
        (told_of,) = told(receiver).items()
        assert (told_of[0], [kind for kind, _, _ in told_of[1]]) == (job_id, ["job.succeeded"])
        page = f"/v1/webhooks/{webhook['webhookId']}/deliveries"
        assert wait_until(lambda: caller.ask("GET", page).json["data"]["deliveries"][0]["status"] == "delivered")
        assert own.pid("io")
        assert "keyline_webhook_deliveries_total" in caller.ask("GET", "/metrics").body.decode()


def test_result_is_put_into_the_clients_bucket(own: Stack) -> None:
    caller = new_caller(own, "bucket")
    with receiving() as bucket:
        form = {"image_base64": base64.b64encode(photo(1)).decode(), "upload_url": f"{bucket.url}/cut.png?sig=5ecret"}
        headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
        sent = caller.ask("POST", "/v1/remove-bg/universal", json.dumps(form).encode(), headers).json["data"]

        path = f"/v1/jobs/{sent['jobId']}"
        assert wait_until(lambda: caller.ask("GET", path).json["data"]["delivery"]["status"] != "pending")
        job = caller.ask("GET", path).json["data"]

    (put,) = bucket.sent
    assert (put.method, put.headers["content-type"], job["delivery"]["attempts"]) == ("PUT", "image/png", 1)
    assert hashlib.sha256(put.body).hexdigest() == job["result"]["image"]["sha256"]
    assert not [
        log for log in own.var.log_file("io").parent.glob("*.log") if "5ecret" in log.read_text(errors="replace")
    ]


def test_receivers_that_hang_flood_or_move_do_not_delay_others(own: Stack, books: Books, tmp_path: Path) -> None:
    identity = make_identity(tmp_path / "own", None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    slow, quick = new_caller(own, "slow"), new_caller(own, "quick")
    with receiving() as bad, receiving(context) as untrusted, receiving() as good:
        bad.answers |= {"/hang": HANG, "/hang2": HANG, "/flood": FLOOD, "/moved": REDIRECT, "/gone": 410}
        hooks = {path: register(slow, bad.url + path) for path in bad.answers}
        hooks["tls"] = register(slow, untrusted.url)
        good.secret = register(quick, good.url)["secret"]

        jobs: list[str] = []
        for number in range(JOBS):
            submit(slow, number)
            jobs.append(submit(quick, number))

        assert wait_until(lambda: set(told(good)) == set(jobs))
        late_s = lateness(good, books)
        print(
            f"\nothers' deliveries: median {statistics.median(late_s):.2f} s, p95 {p95(late_s):.2f} s, of {len(late_s)}"
        )
        assert p95(late_s) < QUICK_S
        outcomes = {path: outcome_of(slow, hook) for path, hook in hooks.items()}
    assert outcomes["/gone"] == ("disabled", {410})
    assert outcomes["/moved"] == ("active", {301})
    assert outcomes["/flood"] == ("active", {200})
    assert outcomes["tls"] == ("active", {None})
    assert bad.to("/hang")


def lateness(receiver: Receiver, books: Books) -> list[float]:
    """Seconds from each job's end to its event's arrival."""
    offset = time.time() - time.monotonic()
    rows = books.rows("SELECT id::text, finished_at FROM core_job WHERE finished_at IS NOT NULL")
    ended: dict[str, datetime] = dict(rows)
    return [each[0][2] + offset - ended[job_id].timestamp() for job_id, each in told(receiver).items()]


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def outcome_of(caller: Caller, webhook: dict[str, Any]) -> tuple[str, set[int | None]]:
    """(the webhook's status, the statuses of all its tries)."""
    path = f"/v1/webhooks/{webhook['webhookId']}"
    deliveries = caller.ask("GET", f"{path}/deliveries?limit=100").json["data"]["deliveries"]
    tried = {each["httpStatus"] for delivery in deliveries for each in delivery["attempts"]}
    return caller.ask("GET", path).json["data"]["status"], tried


def test_no_event_is_lost_though_workers_are_killed(own: Stack, books: Books) -> None:
    """The network is taken out: processes that only end jobs, as a worker ends them, beside the io worker; both are killed."""
    dice, caller = random.Random(7), new_caller(own, "killed")
    with receiving() as receiver, frozen(own.pid("worker")), Enders(own, 2) as enders:
        receiver.answers["/hook"] = lambda handler, _: answer_late(handler)
        webhook = register(caller, f"{receiver.url}/hook")
        receiver.secret = webhook["secret"]
        submitting = threading.Thread(target=submit_all, args=(caller, books))
        submitting.start()
        for number in range(KILLS):
            if number % 10 == 9:
                kill_when_busy(own, dice, lambda: len(receiver.sent))
            else:
                enders.kill_one(dice, lambda: ended_jobs(books, caller))
        submitting.join()
        assert wait_until(lambda: open_jobs(books, caller) == 0)
        jobs = [row[0] for row in books.rows(_JOBS_OF, caller.account)]
        assert wait_until(lambda: set(told(receiver)) == set(jobs))
        pending = "SELECT count(*) FROM webhooks_delivery WHERE status = 'pending' AND webhook_id = %s"
        assert wait_until(lambda: books.one(pending, webhook["webhookId"]) == 0)
        found = told(receiver)

    rows = books.rows(
        "SELECT subject_id, type, count(*) FROM webhooks_event e JOIN accounts_account a ON a.id = e.account_id "
        "WHERE a.name = 'killed' GROUP BY 1, 2"
    )
    assert len(jobs) == JOBS
    assert Counter(subject for subject, _, _ in rows) == Counter(jobs), "one event a job, and none without its row"
    assert {count for _, _, count in rows} == {1}
    assert all(len({event for _, event, _ in each}) == 1 for each in found.values())
    again = sum(len(each) - 1 for each in found.values())
    print(f"\n{len(jobs)} jobs, {KILLS} kills: every event delivered, {again} of them more than once")


_JOBS_OF = "SELECT j.id::text FROM core_job j JOIN accounts_account a ON a.id = j.account_id WHERE a.name = %s"
_ENDER = """
import time, django
django.setup()
from apps.core import lifecycle
from apps.core.models import State
from apps.core.outcome import Artifact, Outcome
image = Artifact("results/none", "image/png", width=1, height=1, bytes=1, sha256="0" * 64)
facts = {"subject": {"bbox": [0, 0, 1, 1], "areaRatio": 1.0, "confidence": 1.0}}
kept = Outcome({"image": image}, facts, model="none").to_json()
while True:
    job = lifecycle.claim("ender")
    if job is None:
        time.sleep(0.02)
    elif lifecycle._move(job, State.RUNNING, State.SETTLING, outcome=kept):
        lifecycle.settle(job)
"""


class Enders:
    """Processes that end jobs, until they are killed."""

    def __init__(self, stack: Stack, count: int) -> None:
        self._environ = {**stack.environ, **stack.env, "DJANGO_SETTINGS_MODULE": "config.settings.dev"}
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Enders:
        self._processes = [self._start() for _ in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def kill_one(self, dice: random.Random, done: Callable[[], int]) -> None:
        """After some more jobs have ended, at any point of the next one."""
        before = done()
        wait_until(lambda: done() > before or before >= JOBS, timeout_s=60)
        time.sleep(dice.uniform(0, 0.05))
        victim = self._processes.pop(0)
        victim.kill()
        victim.wait()
        self._processes.append(self._start())

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _ENDER],
            cwd=ROOT,
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def submit_all(caller: Caller, books: Books) -> None:
    for number in range(JOBS):
        submit(caller, number)
        if number % 20 == 0:
            wait_until(lambda: open_jobs(books, caller) < AT_ONCE)


def answer_late(handler: Any) -> None:
    """So that a kill finds deliveries on their way."""
    time.sleep(0.1)
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def kill_when_busy(stack: Stack, dice: random.Random, received: Callable[[], int]) -> None:
    """The io worker, while it delivers."""
    before, pid = received(), stack.pid("io")
    wait_until(lambda: received() > before, timeout_s=60)
    time.sleep(dice.uniform(0, 0.2))
    kill(pid)
    wait_until(lambda: stack.pid("io") not in {0, pid})


def ended_jobs(books: Books, caller: Caller) -> int:
    return int(books.one(_JOBS_OF.replace("j.id::text", "count(*)") + " AND finished_at IS NOT NULL", caller.account))


def open_jobs(books: Books, caller: Caller) -> int:
    return int(
        books.one(
            "SELECT count(*) FROM core_job j JOIN accounts_account a ON a.id = j.account_id "
            "WHERE a.name = %s AND state IN ('queued', 'running', 'settling')",
            caller.account,
        )
    )
