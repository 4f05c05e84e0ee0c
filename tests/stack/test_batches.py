"""
Batches on the real stack: real processes, real photos; whatever is killed, each photo is charged once and every archive is whole.

    BATCHES=20 BATCH_PHOTOS=100 BATCH_KILLS=20 .venv/bin/pytest tests/stack/test_batches.py -k kills -s     # the long run
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest

from apps.stack.paths import ROOT
from tests import drawing
from tests.stack.batch_load import (
    PATH,
    assert_archive_is_its_manifest,
    fetch_archive,
    follow,
    insist,
    send,
)
from tests.stack.load import Books, Caller, at_once, family_of, kill, photo
from tests.stack.service import Stack, quick_stack, wait_until

pytestmark = pytest.mark.stack

BATCHES = int(os.environ.get("BATCHES", "3"))
PHOTOS = int(os.environ.get("BATCH_PHOTOS", "12"))
KILLS = int(os.environ.get("BATCH_KILLS", "8"))
VICTIMS = ("worker", "web", "io", "sweeper")
_names = count()


@pytest.fixture(scope="module")
def night() -> Iterator[Stack]:
    with quick_stack("night") as running:
        yield running


@pytest.fixture(scope="module")
def books(night: Stack) -> Books:
    return Books(night.env["DATABASE_URL"])


def new_caller(stack: Stack, *, credits: int) -> Caller:
    """A caller with an account of its own."""
    name = f"night-{next(_names)}"
    made = stack.manage("create_api_key", "--account", name, "--plan", "CUSTOM", "--credits", str(credits))
    assert made.returncode == 0, made.stderr
    return Caller(stack.url, made.stdout.strip(), account=name)


def assert_books_are_right(stack: Stack, caller: Caller, *, credits: int) -> None:
    assert caller.credits() == {"balance": credits, "held": 0}
    checked = stack.manage("ledger_check")
    assert checked.returncode == 0, checked.stdout


def test_two_real_photos_come_back_in_one_archive(night: Stack) -> None:
    caller = new_caller(night, credits=2)
    picture = (ROOT / "docs" / "demo.jpg").read_bytes()

    accepted = send(caller, [picture, picture + b"2"])

    assert accepted.status == 202, accepted.body
    done = follow(caller, accepted.json["data"]["batchId"])
    assert (done["status"], done["creditsCharged"]) == ("finished", 2)
    manifest = assert_archive_is_its_manifest(fetch_archive(caller, done["batchId"]))
    assert [item["file"] for item in manifest["items"]] == ["photo-000.png", "photo-001.png"]


def test_of_a_hundred_photos_seven_bad_ones_of_seven_kinds_fail_alone(night: Stack) -> None:
    good = photo(0)
    bad = {
        5: b"",
        17: b"just text",
        29: good[: len(good) // 3],
        41: drawing.png_claiming(20_000, 20_000),
        53: bytes(11 * 1_048_576),
        71: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(500),
        99: b"\xff\xd8\xff\xe0" + b"no JPEG" * 50,
    }
    caller, images = new_caller(night, credits=100), [bad.get(number, photo(number)) for number in range(100)]
    answers = at_once(16, lambda _: send(caller, images, key="night"))
    while any(answer.status in {0, 409, 429, 503} for answer in answers):
        time.sleep(1)
        answers = [
            send(caller, images, key="night") if answer.status in {0, 409, 429, 503} else answer for answer in answers
        ]

    (batch_id,) = {answer.json["data"]["batchId"] for answer in answers}

    done = follow(caller, batch_id)
    assert (done["counts"]["succeeded"], done["counts"]["failed"], done["creditsCharged"]) == (93, 7, 93)
    failed = {item["index"]: item for item in done["items"] if item["status"] == "failed"}
    assert set(failed) == set(bad)
    assert {item["creditsCharged"] for item in failed.values()} == {0}
    assert {item["error"]["code"] for item in failed.values()} == {"VALIDATION_ERROR"}
    assert_archive_is_its_manifest(fetch_archive(caller, batch_id))
    assert_books_are_right(night, caller, credits=7)


class Album(BaseHTTPRequestHandler):
    """A shop's photos; every tenth request is slow."""

    seen = count()

    def do_GET(self) -> None:
        if next(self.seen) % 10 == 0:
            time.sleep(0.5)
        body = photo(int(self.path.rpartition("/")[2].removesuffix(".png")))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def album() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Album)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def by_address(caller: Caller, urls: list[str], *, key: str) -> str:
    """One batch by addresses, with its key until it is accepted. Returns its id."""
    body = json.dumps({"operation": "remove-bg", "image_urls": urls}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    while (reply := caller.ask("POST", PATH, body, headers)).status != 202:
        assert reply.status in {0, 409, 429, 503}, reply.body
        time.sleep(1)
    return str(reply.json["data"]["batchId"])


def test_batches_survive_kills_of_every_process(night: Stack, books: Books, album: str) -> None:
    total = BATCHES * PHOTOS
    caller, dice, killed, began = new_caller(night, credits=total), random.Random(7), Counter[str](), time.monotonic()

    def one(number: int) -> tuple[Any, dict[str, Any]]:
        key, first = f"batch-{number}", number * PHOTOS
        if number % 2:
            batch_id = by_address(caller, [f"{album}/{first + each}.png" for each in range(PHOTOS)], key=key)
        else:
            batch_id = insist(caller, [photo(first + each) for each in range(PHOTOS)], key=key)
        done = follow(caller, batch_id)
        return done, assert_archive_is_its_manifest(fetch_archive(caller, batch_id))

    with ThreadPoolExecutor(BATCHES) as pool:
        running = [pool.submit(one, number) for number in range(BATCHES)]
        for turn in range(KILLS):
            time.sleep(dice.uniform(0.5, 4.0))
            victim = VICTIMS[turn % len(VICTIMS)]
            if all(future.done() for future in running):
                break
            assert wait_until(lambda name=victim: night.pid(name) != 0), victim
            for pid in reversed(family_of(night.pid(victim))):
                kill(pid)
            killed[victim] += 1
        ended = [future.result() for future in running]

    assert [done["counts"]["succeeded"] for done, _ in ended] == [PHOTOS] * BATCHES, Counter(
        item["error"]["message"] for done, _ in ended for item in done["items"] if item["error"]
    )
    assert sum(len([item for item in manifest["items"] if item["file"]]) for _, manifest in ended) == total
    assert books.one("SELECT count(*) FROM billing_ledgerentry WHERE kind = 'capture' AND account_id = "
                     "(SELECT id FROM accounts_account WHERE name = %s)", caller.account) == total  # fmt: skip
    assert_books_are_right(night, caller, credits=0)
    took_s = time.monotonic() - began
    answers = dict(Counter(reply.status for reply in caller.seen))
    print(f"\n{BATCHES} x {PHOTOS} photos, {dict(killed)} killed, {took_s:.0f} s; answers {answers}")


def test_hundred_addresses_are_accepted_at_once_although_they_are_slow(night: Stack, album: str) -> None:
    caller = new_caller(night, credits=300)
    took: list[float] = []
    for turn in range(3):
        body = json.dumps({"operation": "remove-bg", "image_urls": [f"{album}/{each}.png" for each in range(100)]})
        reply = caller.ask("POST", PATH, body.encode(), {"Content-Type": "application/json"})
        assert reply.status == 202, reply.body
        took.append(reply.took_s)
        assert caller.ask("DELETE", f"{PATH}/{reply.json['data']['batchId']}").status == 204, turn

    print(f"\n100 addresses accepted in {', '.join(f'{each * 1000:.0f} ms' for each in took)}")
    assert min(took) < 0.5
    assert_books_are_right(night, caller, credits=300 - caller_charged(caller))


def caller_charged(caller: Caller) -> int:
    """What all of a caller's batches have cost."""
    listed = caller.ask("GET", f"{PATH}?limit=100").json["data"]["batches"]
    return sum(batch["creditsCharged"] for batch in listed)
