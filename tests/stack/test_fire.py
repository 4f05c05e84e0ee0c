"""
Nothing is lost and nothing is charged twice, whatever is killed, stopped or asked for at once: real processes, real clients.

    FIRE_ROUNDS=200 .venv/bin/pytest tests/stack/test_fire.py -k rounds -s     # the long run, about 20 minutes
"""

from __future__ import annotations

import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.config import Config

from apps.stack.local_http import LOCAL, get
from tests.stack.load import Books, Caller, Reply, at_once, family_of, frozen, kill, photo
from tests.stack.service import PATIENCE_S, Stack, quick_stack, wait_until

pytestmark = pytest.mark.stack

SYNC_LIMIT_S = 75  # three times what it is by default: for a machine that is three times slower
ROUNDS = int(os.environ.get("FIRE_ROUNDS", "6"))
SEED = int(os.environ.get("FIRE_SEED", "7"))
VICTIMS = ("web", "worker", "io", "sweeper", "web's child")
SERVERS = ("valkey", "s3", "postgres")
CLIENTS = 6
HANGS_S = 13.0
"""How long S3 hangs: longer than its two tries of 5 s."""
WORST_S = 40.0
"""How long a request may take that ends in a 503, on a machine that is three times slower."""


@pytest.fixture(scope="module")
def fire() -> Iterator[Stack]:
    with quick_stack("fire", SYNC_LIMIT_S=str(SYNC_LIMIT_S)) as running:
        yield running


@pytest.fixture(scope="module")
def books(fire: Stack) -> Books:
    return Books(fire.env["DATABASE_URL"])


_names = count()


def new_caller(stack: Stack, *, credits: int, plan: str = "CUSTOM") -> Caller:
    """A caller with an account of its own."""
    name = f"fire-{next(_names)}"
    made = stack.manage("create_api_key", "--account", name, "--plan", plan, "--credits", str(credits))
    assert made.returncode == 0, made.stderr
    return Caller(stack.url, made.stdout.strip(), account=name)


def is_ready(stack: Stack) -> bool:
    return get(f"{stack.url}/readyz", timeout_s=20)[0] == 200


def assert_all_has_ended(stack: Stack, books: Books) -> None:
    """No open job, no hold, and every account's ledger, wallet and jobs tell the same story."""
    no_job_is_open = "SELECT count(*) = 0 FROM core_job WHERE state IN ('queued', 'running', 'settling')"
    assert wait_until(lambda: books.one(no_job_is_open)), books.rows(
        "SELECT id, state, stage, worker, attempt, crashes, lease_until - now() FROM core_job "
        "WHERE state IN ('queued', 'running', 'settling')"
    )
    assert books.one("SELECT coalesce(sum(held), 0) FROM billing_wallet") == 0
    checked = stack.manage("ledger_check")
    assert checked.returncode == 0, checked.stdout


def jobs_of(books: Books, caller: Caller) -> list[tuple[Any, ...]]:
    """(id, state, attempt, crashes, charged) of every job of an account."""
    return books.rows(
        "SELECT j.id::text, state, attempt, crashes, charged_credits FROM core_job j "
        "JOIN accounts_account a ON a.id = account_id WHERE a.name = %s",
        caller.account,
    )


# --- everything at once -----------------------------------------------------------------------------------


def test_ten_credits_pay_for_ten_of_sixty_four_requests_at_once(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=10, plan="PRO")

    replies = at_once(64, lambda number: caller.remove(photo(number), prefer="respond-async"))

    assert Counter(reply.status for reply in replies) == {202: 10, 402: 54}
    assert {reply.code for reply in replies if reply.status == 402} == {"INSUFFICIENT_CREDITS"}
    assert_all_has_ended(fire, books)
    assert caller.credits() == {"balance": 0, "held": 0}
    assert Counter((state, charged) for _, state, _, _, charged in jobs_of(books, caller)) == {("succeeded", 1): 10}


def test_sixteen_at_once_with_one_key_are_one_job(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=100)

    replies = at_once(16, lambda _: caller.remove(photo(1), key="one"))
    conflicts = [reply for reply in replies if reply.status == 409]
    while any(reply.status == 409 for reply in replies):
        time.sleep(0.5)
        replies = [caller.remove(photo(1), key="one") if reply.status == 409 else reply for reply in replies]

    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert all(reply.retry_after_s for reply in conflicts)
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    assert_all_has_ended(fire, books)
    assert [job[1:] for job in jobs_of(books, caller)] == [("succeeded", 1, 0, 1)]
    assert caller.credits() == {"balance": 99, "held": 0}


# --- kill -9 ----------------------------------------------------------------------------------------------


def test_client_whose_worker_is_killed_has_its_cut_out_in_time(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=100)
    is_running = "SELECT count(*) FROM core_job WHERE state = 'running' AND stage = 'infer'"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.remove, photo(1))
        assert wait_until(lambda: books.one(is_running))

        kill(fire.pid("worker"))
        reply = waiting.result()

    assert (reply.status, reply.headers["x-credits-charged"]) == (200, "1")
    assert reply.took_s < SYNC_LIMIT_S
    assert [job[1:] for job in jobs_of(books, caller)] == [("succeeded", 2, 1, 1)]
    assert caller.credits() == {"balance": 99, "held": 0}
    assert_all_has_ended(fire, books)
    print(f"\nits worker killed in the middle, a client had its cut-out after {reply.took_s:.1f} s")


class Siege:
    """Clients that never give up, each photo with a key of its own, half of them asking for a 202."""

    def __init__(self, caller: Caller, *, patience_s: float) -> None:
        self._caller = caller
        self._patience_s = patience_s
        self._numbers = count()
        self._is_over = threading.Event()
        self.jobs: dict[str, str] = {}
        self.longest_s = 0.0

    @contextmanager
    def going_on(self, clients: int = CLIENTS) -> Iterator[None]:
        """Load inside the `with`; at its end every client gets its last answer."""
        with ThreadPoolExecutor(clients) as pool:
            running: list[Future[None]] = [pool.submit(self._keep_asking) for _ in range(clients)]
            try:
                yield
            finally:
                self._is_over.set()
            for client in running:
                client.result()

    def _keep_asking(self) -> None:
        while not self._is_over.is_set():
            number, began = next(self._numbers), time.monotonic()
            key, prefer = f"photo-{number}", "respond-async" if number % 2 else ""
            self.jobs[key] = self._caller.insist(photo(number), key=key, prefer=prefer, patience_s=self._patience_s)
            self.longest_s = max(self.longest_s, time.monotonic() - began)


def pid_of(stack: Stack, victim: str) -> int:
    """The pid of a process that lives; granian's own child is the one that serves."""
    if victim == "web's child":
        family = family_of(stack.pid("web")) if stack.pid("web") else []
        return family[-1] if len(family) > 1 else 0
    return stack.pid(victim)


def test_rounds_of_kill_9_lose_nothing_and_charge_nothing_twice(fire: Stack, books: Books) -> None:
    start, order = 1_000_000, list(VICTIMS)
    caller, dice, killed = new_caller(fire, credits=start), random.Random(SEED), Counter[str]()
    siege, began = Siege(caller, patience_s=PATIENCE_S), time.monotonic()

    with siege.going_on():
        for turn in range(ROUNDS):
            order = dice.sample(VICTIMS, len(VICTIMS)) if turn % len(VICTIMS) == 0 else order
            victim = order[turn % len(VICTIMS)]
            time.sleep(dice.uniform(0.3, 4.0))
            assert wait_until(lambda name=victim: pid_of(fire, name) != 0), victim
            kill(pid_of(fire, victim))
            killed[victim] += 1

    assert_all_has_ended(fire, books)
    successes, jobs = len(siege.jobs), jobs_of(books, caller)
    states = Counter(state for _, state, _, _, _ in jobs)
    succeeded = {job_id: charged for job_id, state, _, _, charged in jobs if state == "succeeded"}
    assert succeeded == dict.fromkeys(siege.jobs.values(), 1)
    assert len(succeeded) == successes
    assert sum(job[4] for job in jobs) == successes
    assert caller.credits() == {"balance": start - successes, "held": 0}
    print(
        f"\n{sum(killed.values())} kills ({dict(killed)}) in {time.monotonic() - began:.0f} s: {successes} photos, "
        f"jobs {dict(states)}, attempts {dict(Counter(job[2] for job in jobs))}, "
        f"answers {dict(Counter(reply.status for reply in caller.seen))}, longest wait {siege.longest_s:.1f} s"
    )


# --- servers that go away ---------------------------------------------------------------------------------


def assert_answers_are_fit_for_clients(replies: list[Reply]) -> None:
    """503 with Retry-After at worst, and in bounded time."""
    assert {reply.status for reply in replies} <= {200, 202, 409, 503}
    assert all(reply.retry_after_s for reply in replies if reply.status == 503)
    assert max([reply.took_s for reply in replies if reply.status == 503], default=0) < WORST_S
    assert max(reply.took_s for reply in replies) < SYNC_LIMIT_S + 10


@pytest.mark.parametrize("name", SERVERS)
def test_server_that_is_killed_and_then_hangs_costs_503s_at_worst(fire: Stack, books: Books, name: str) -> None:
    caller = new_caller(fire, credits=1000)
    siege = Siege(caller, patience_s=PATIENCE_S)

    with siege.going_on(4):
        kill(fire.pid(name))
        time.sleep(1)
        assert wait_until(lambda: is_ready(fire))
        with frozen(fire.pid(name)):
            time.sleep(HANGS_S if name == "s3" else 7)

    assert wait_until(lambda: is_ready(fire))
    assert_answers_are_fit_for_clients(caller.seen)
    assert_all_has_ended(fire, books)
    assert caller.credits() == {"balance": 1000 - len(siege.jobs), "held": 0}
    print(f"\n{name}: {Counter(reply.status for reply in caller.seen)}, longest wait {siege.longest_s:.1f} s")


def test_jobs_whose_wake_ups_died_with_valkey_are_done_all_the_same(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=10)
    with frozen(fire.pid("worker")):
        accepted = [caller.remove(photo(number), prefer="respond-async") for number in range(3)]
        kill(fire.pid("valkey"))

    ended = [caller.follow(reply.json["data"]["jobId"], deadline=time.monotonic() + PATIENCE_S) for reply in accepted]

    assert [job["status"] for job in ended] == ["succeeded"] * 3
    assert_all_has_ended(fire, books)


# --- many who wait ----------------------------------------------------------------------------------------


@contextmanager
def crowd(stack: Stack, books: Books, caller: Caller, *, jobs: int) -> Iterator[None]:
    """
    That many jobs of the caller's account in the queue, of its sandbox, so that they leave its live jobs at once alone; the
    first fifty have an input to work on.
    """
    assert caller.remove(photo(0)).status == 200  # a job to copy the parameters from
    books.rows(
        """
        INSERT INTO core_job (id, account_id, mode, operation, params, request_id, funding, price_credits,
                              charged_credits, state, stage, progress, attempt, crashes, worker, object_token, inputs_stored,
                              results_stored, retention_s, created_at, billed_early)
        SELECT gen_random_uuid(), a.id, 'sandbox', 'remove-bg', %s::jsonb, 'crowd', 'sandbox', 0, 0, 'queued', 'queued', 0, 0, 0,
               '', md5(a.name || n), true, false, 3600, now() - interval '1 hour' + n * interval '1 ms', false
        FROM accounts_account a, generate_series(1, %s) n WHERE a.name = %s
        """,
        books.one("SELECT params::text FROM core_job WHERE operation = 'remove-bg' ORDER BY created_at DESC LIMIT 1"),
        jobs,
        caller.account,
    )
    tokens = books.rows("SELECT object_token FROM core_job WHERE request_id = 'crowd' ORDER BY created_at LIMIT 50")
    for (token,) in tokens:
        bucket(stack).put_object(Bucket=stack.env["S3_BUCKET"], Key=f"inputs/{token}/image", Body=photo(0))
    try:
        yield
    finally:
        books.rows("DELETE FROM core_job WHERE request_id = 'crowd' AND state = 'queued'")
        for (token,) in tokens:
            bucket(stack).delete_object(Bucket=stack.env["S3_BUCKET"], Key=f"inputs/{token}/image")


def test_five_hundred_jobs_of_one_account_hold_up_nobody_else(fire: Stack, books: Books) -> None:
    greedy, other = new_caller(fire, credits=10), new_caller(fire, credits=10)
    in_work = "SELECT count(*) FROM core_job WHERE request_id = 'crowd' AND state = 'running'"
    with crowd(fire, books, greedy, jobs=500):
        assert wait_until(lambda: books.one(in_work) >= 2)

        reply = other.remove(photo(1))

    started_before = books.one(
        "SELECT count(*) FROM core_job c, core_job mine WHERE c.request_id = 'crowd' AND mine.id = %s::uuid "
        "AND c.started_at BETWEEN mine.created_at AND mine.started_at",
        reply.headers["x-job-id"],
    )
    assert (reply.status, started_before <= 2) == (200, True), started_before
    assert_all_has_ended(fire, books)
    print(f"\nbehind 500 jobs of another: served in {reply.took_s:.1f} s, after {started_before} further starts")


def test_client_that_would_wait_in_vain_is_refused_and_may_still_queue(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=10)
    with crowd(fire, books, caller, jobs=2000):
        refused, accepted = caller.remove(photo(1)), caller.remove(photo(2), prefer="respond-async")
        patient = caller.remove(photo(3), prefer="wait=1")

    assert (refused.status, refused.code, bool(refused.retry_after_s)) == (503, "OVERLOADED", True)
    assert refused.took_s < 2
    assert (accepted.status, patient.status) == (202, 202)
    assert_all_has_ended(fire, books)


def test_of_many_who_come_at_once_only_those_wait_whose_turn_comes_in_time(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=1000, plan="PRO")
    with ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(lambda number: caller.remove(photo(number)), range(64)))

    seen = Counter(reply.code or "served" for reply in replies)
    assert set(seen) <= {"served", "OVERLOADED", "PROCESSING_TIMEOUT"}, seen
    assert seen["PROCESSING_TIMEOUT"] <= 3, seen  # the pace is a guess, and may change meanwhile
    assert seen["served"] >= 4, seen  # thirty on an idle machine
    assert_all_has_ended(fire, books)
    assert caller.credits() == {"balance": 1000 - seen["served"], "held": 0}
    print(f"\n64 at once: {dict(seen)}, the longest waited {max(reply.took_s for reply in replies):.1f} s")


# --- retention --------------------------------------------------------------------------------------------


def bucket(stack: Stack) -> Any:
    """An S3 client of our own."""
    return boto3.client(
        "s3",
        endpoint_url=stack.env["S3_ENDPOINT_URL"],
        aws_access_key_id=stack.env["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.env["S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )


def objects(stack: Stack, prefix: str) -> list[str]:
    listing = bucket(stack).list_objects_v2(Bucket=stack.env["S3_BUCKET"], Prefix=prefix)
    return [item["Key"] for item in listing.get("Contents", [])]


def status_of(url: str) -> int:
    try:
        with LOCAL.open(urllib.request.Request(url), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_expired_result_is_gone_everywhere(fire: Stack, books: Books) -> None:
    caller = new_caller(fire, credits=10)
    reply = caller.remove(photo(1), key="k", accept="application/json")
    job_id, url = reply.json["data"]["jobId"], reply.json["data"]["image"]["url"]
    token = books.one("SELECT object_token FROM core_job WHERE id = %s::uuid", job_id)
    status_before, objects_before = status_of(url), objects(fire, f"results/{token}/")

    books.rows("UPDATE core_job SET expires_at = now() WHERE id = %s::uuid", job_id)
    was_deleted = wait_until(lambda: not objects(fire, f"results/{token}/"))

    assert (status_before, len(objects_before), was_deleted) == (200, 1, True)
    assert status_of(url) in {403, 404}
    assert caller.ask("GET", f"/v1/jobs/{job_id}").json["data"]["status"] == "expired"
    replay = caller.remove(photo(1), key="k", accept="application/json")
    assert (replay.status, replay.code) == (410, "GONE")
    assert wait_until(lambda: not objects(fire, f"inputs/{token}/"))
    kept = books.rows("SELECT state, results_stored, inputs_stored, outcome FROM core_job WHERE id = %s::uuid", job_id)
    assert kept == [("expired", False, False, None)]
    assert caller.credits() == {"balance": 9, "held": 0}
