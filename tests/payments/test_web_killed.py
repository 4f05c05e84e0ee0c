"""
The web process alone is real here, and killed between any two steps; worker and reconciler run in this process.

What `test_processes.py` does with the whole service, in a tenth of the time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connections

from apps.core import tasks
from apps.payments import reconciler
from apps.payments.models import Payment
from apps.stack.paths import ROOT
from apps.stack.ports import free_ports
from tests.api import Api
from tests.payments.asking import OPEN, PATIENCE_S, ask, chain_of, frozen, insist, no_mining, payment
from tests.payments.paying import Rig
from tests.payments.rig.__main__ import settings_for
from tests.payments.rig.chains import ADDRESSES, MERCHANT
from tests.payments.wallet import PRICE
from tests.stack.service import wait_until

BIN = Path(sys.executable).parent


@dataclass
class Web:
    """One granian that can be killed and started again."""

    port: int
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = ["--interface", "rsgi", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--no-ws"]
        command = [str(BIN / "granian"), *options, "--http1-buffer-size", "65536", "config.rsgi:application"]
        log = (ROOT / "var" / "log" / "rig-web.log").open("ab")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environ, stdout=log, stderr=log, start_new_session=True
        )
        assert wait_until(self.answers, timeout_s=PATIENCE_S)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def rss_mb(self) -> float:
        """Of granian and its one worker."""
        assert self.process is not None
        pids, total = [self.process.pid], 0
        while pids:
            pid = pids.pop()
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += [int(child) for child in children.read_text().split()]
        return total / 1_048_576


class Loop:
    """Calls something again and again in a thread of its own; `paused` holds it up."""

    def __init__(self, run: Any, *, every_s: float) -> None:
        self._run, self._every_s = run, every_s
        self.paused, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._repeat)
        self._thread.start()

    def _repeat(self) -> None:
        while not self._over.wait(self._every_s):
            if not self.paused.is_set():
                self._run()
                connections.close_all()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@dataclass
class Service:
    """What the tests need of it."""

    web: Web
    worker: Loop
    reconciler: Loop
    api_key: str

    @property
    def url(self) -> str:
        return self.web.url


@pytest.fixture
def service(paid: Api, rig: Rig, settings: Any) -> Iterator[Service]:
    books = settings.DATABASES["default"]
    url = f"postgresql://{books['USER']}:{books['PASSWORD']}@{books['HOST']}:{books['PORT']}/{books['NAME']}"
    environ = {**os.environ, **settings_for(rig.x402.url, rig.mpp.url), "DATABASE_URL": url}
    environ |= {"DJANGO_SETTINGS_MODULE": "config.settings.dev", "SYNC_LIMIT_S": "10", "UNPAID_PER_MINUTE": "100000"}
    environ |= {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144"}
    web = Web(free_ports(1)[0], environ)
    running = Service(web, Loop(tasks.run_next, every_s=0.02), Loop(reconciler.reconcile, every_s=1.0), paid.key)
    try:
        web.start()
        yield running
    finally:
        web.kill()
        running.worker.end()
        running.reconciler.end()


def held_in(step: str, rail: str, service: Service, rig: Rig) -> Any:
    """What keeps a payment in a step, from outside."""
    if step == "working":
        service.worker.paused.set()
        return frozen_nothing(service)
    if step == "settling":
        return no_mining(chain_of(rail, rig))
    return frozen(chain_of(rail, rig).process.pid)


class frozen_nothing:  # noqa: N801 - reads as the context managers beside it
    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> None:
        """The worker is paused already."""

    def __exit__(self, *_: object) -> None:
        self._service.worker.paused.clear()


def may_still_be_sent(service: Service, headers: dict[str, str]) -> bool:
    """Repeat until the answer is final; False for the 402 that says that nothing was paid."""
    status = 409
    while status in {0, 409, 503}:
        status, _, _ = ask(service, headers)
        time.sleep(1)
    assert status in {200, 402}
    return status == 200


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_killed_in_each_step_nobody_pays_for_nothing(rail: str, service: Service, rig: Rig) -> None:
    asking = "claimed" if rail == "x402" else "settling"
    for step, state in (("asking", asking), ("working", "working"), ("settling", "settling")):
        before, headers = chain_of(rail, rig).balance(ADDRESSES[MERCHANT]), payment(rail, service)
        with ThreadPoolExecutor(1) as pool:
            with held_in(step, rail, service, rig):
                waiting = pool.submit(ask, service, headers)
                assert wait_until(partial(_is_in, step, state), timeout_s=PATIENCE_S), (step, _newest().state)
                service.web.kill()
                assert waiting.result()[0] == 0
            service.web.start()
            began = time.monotonic()
            if (rail, step) == ("mpp", "asking") and not may_still_be_sent(service, headers):
                # The chain was never reached and the transaction has died of age: it is certain that nothing was paid.
                assert chain_of(rail, rig).balance(ADDRESSES[MERCHANT]) == before
                assert _newest().state == "failed"
                print("\nmpp, killed while asking: the transaction died unsent; nothing was paid")
                continue
            _, seen = insist(service, headers)

        assert chain_of(rail, rig).balance(ADDRESSES[MERCHANT]) - before == PRICE, step
        assert _newest().state == "settled"
        print(f"\n{rail}, killed while {step}: answers {seen}, picture after {time.monotonic() - began:.1f} s")
    assert not Payment.objects.filter(state__in=OPEN).exists()


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_chain_that_does_not_mine_or_hangs(rail: str, service: Service, rig: Rig) -> None:
    chain = chain_of(rail, rig)
    for hold in (lambda: no_mining(chain), lambda: frozen(chain.process.pid)):
        before, headers = chain.balance(ADDRESSES[MERCHANT]), payment(rail, service)
        with hold():
            status, _, told = ask(service, headers)
        _, seen = insist(service, headers)

        assert (status, bool(told["retry-after"])) == (503, True)
        assert chain.balance(ADDRESSES[MERCHANT]) - before == PRICE
        print(f"\n{rail}: 503, then {seen}")


def test_figures(service: Service, rig: Rig) -> None:
    took: dict[str, list[float]] = {"key": [], "x402": [], "mpp": []}
    for turn in range(int(os.environ.get("RIG_TURNS", "8"))):
        for rail, spent in took.items():
            headers = {"X-Api-Key": service.api_key} if rail == "key" else payment(rail, service)
            began = time.monotonic()
            status, content, _ = ask(service, headers)
            assert status == 200, (rail, status, content)
            if turn:
                spent.append((time.monotonic() - began) * 1000)
    medians = {rail: sorted(spent)[len(spent) // 2] for rail, spent in took.items()}
    over = {rail: round(ms - medians["key"]) for rail, ms in medians.items() if rail != "key"}
    print(f"\nmedian ms with a key {medians['key']:.0f}, over it {over}; web {service.web.rss_mb():.0f} MB")
    assert service.web.rss_mb() <= 220


def _newest() -> Payment:
    return Payment.objects.order_by("-created_at").first() or Payment()


def _is_in(step: str, state: str) -> bool:
    """In its state; and if it is the settlement that is to be interrupted, with its transaction written down."""
    row = _newest()
    return row.state == state and (step != "settling" or row.transaction is not None)
