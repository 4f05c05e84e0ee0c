"""
The whole service as processes, paid on real chains, while processes are killed and chains go away.

Each step between two others is held open from outside: a frozen chain holds the check, a frozen worker the work, a chain that
mines nothing the settlement. Then the web process is killed in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from apps.stack import env_file
from apps.stack.paths import VarDir
from tests.payments.asking import OPEN, PATIENCE_S, ask, chain_of, frozen, insist, no_mining, payment
from tests.payments.paying import Rig
from tests.payments.rig.__main__ import settings_for
from tests.payments.rig.chains import ADDRESSES, MERCHANT, Chain
from tests.payments.wallet import PRICE
from tests.stack.service import Stack, outer_environment, wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def service(rig: Rig) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="keyline-payments-", ignore_cleanup_errors=True) as folder:
        environ = outer_environment(Path(folder)) | settings_for(rig.x402.url, rig.mpp.url)
        environ |= {"UNPAID_PER_MINUTE": "100000", "SYNC_LIMIT_S": os.environ.get("RIG_SYNC_LIMIT_S", "20")}
        running = Stack(var=VarDir(Path(folder)), environ=environ)
        try:
            started = running.launcher("start", "--no-demo", timeout_s=3 * PATIENCE_S)
            assert started.returncode == 0, started.stdout + started.stderr
            running.env = env_file.read(running.var.env_file)
            yield running
        finally:
            running.launcher("stop")


def rows(service: Stack, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(service.env["DATABASE_URL"], autocommit=True) as books:
        return books.execute(query).fetchall()


def newest(service: Stack) -> tuple[str, bool]:
    """State of the newest payment, and whether it has a transaction."""
    found = rows(
        service, "SELECT state, transaction IS NOT NULL FROM payments_payment ORDER BY created_at DESC LIMIT 1"
    )
    return found[0] if found else ("", False)


def open_rows(service: Stack) -> int:
    return rows(service, f"SELECT count(*) FROM payments_payment WHERE state IN {OPEN}")[0][0]


def kill(service: Stack, name: str) -> None:
    """kill -9 of the whole process group, and wait until the supervisor has it back."""
    pid = service.pid(name)
    os.killpg(pid, signal.SIGKILL)
    assert wait_until(lambda: service.pid(name) not in {0, pid}, timeout_s=PATIENCE_S / 2)


def kill_web_when(
    is_there: Callable[[], bool],
    held: contextlib.AbstractContextManager[None],
    service: Stack,
    headers: dict[str, str],
) -> None:
    """Ask, and kill the web process in the step that `held` keeps open, as soon as the row is there; wait until it is back."""
    with ThreadPoolExecutor(1) as pool:
        with held:
            waiting: Future[Any] = pool.submit(ask, service, headers)
            assert wait_until(is_there, timeout_s=PATIENCE_S / 2), newest(service)
            kill(service, "web")
        assert waiting.result()[0] == 0

    up(service)


def up(service: Stack) -> None:
    assert wait_until(lambda: _is_ready(service), timeout_s=PATIENCE_S)


def ready(rail: str, service: Stack, rig: Rig) -> tuple[Chain, int, dict[str, str]]:
    """Of a service that is up: the rail's chain, what the merchant has there, and a payment's headers."""
    up(service)
    chain = chain_of(rail, rig)
    return chain, chain.balance(ADDRESSES[MERCHANT]), payment(rail, service)


def _is_ready(service: Stack) -> bool:
    try:
        return requests.get(f"{service.url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def ends_well(service: Stack, rig: Rig, rail: str, headers: dict[str, str], before: int) -> None:
    """The same payment gives its picture, was taken once, and leaves no open row."""
    content, seen = insist(service, headers)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert chain_of(rail, rig).balance(ADDRESSES[MERCHANT]) - before == PRICE
    assert wait_until(lambda: open_rows(service) == 0, timeout_s=PATIENCE_S)
    assert newest(service)[0] == "settled"
    print(f"\n{rail}: answers {seen}")


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_quiet_payment(rail: str, service: Stack, rig: Rig) -> None:
    _, before, headers = ready(rail, service, rig)

    ends_well(service, rig, rail, headers, before)


@pytest.mark.parametrize("step", ["working", "settling"])
@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_web_killed_in_a_step(rail: str, step: str, service: Stack, rig: Rig) -> None:
    chain, before, headers = ready(rail, service, rig)
    held = no_mining(chain) if step == "settling" else frozen(-service.pid("worker"))
    is_there = lambda: newest(service) == (step, True) or (newest(service)[0] == step and rail == "x402")  # noqa: E731
    if step == "settling":
        is_there = lambda: newest(service) == ("settling", True)  # noqa: E731

    kill_web_when(is_there, held, service, headers)

    ends_well(service, rig, rail, headers, before)


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_web_killed_while_the_chain_is_asked(rail: str, service: Stack, rig: Rig) -> None:
    chain, before, headers = ready(rail, service, rig)
    step = "claimed" if rail == "x402" else "settling"

    kill_web_when(lambda: newest(service)[0] == step, frozen(chain.process.pid), service, headers)

    ends_well(service, rig, rail, headers, before)


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_worker_killed_at_work(rail: str, service: Stack, rig: Rig) -> None:
    _, before, headers = ready(rail, service, rig)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, service, headers)
        assert wait_until(lambda: newest(service)[0] == "working", timeout_s=PATIENCE_S / 2), newest(service)
        kill(service, "worker")
        waiting.result()

    ends_well(service, rig, rail, headers, before)


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_mining_paused_is_a_503_and_then_the_picture(rail: str, service: Stack, rig: Rig) -> None:
    chain, before, headers = ready(rail, service, rig)
    with no_mining(chain):
        status, _, told = ask(service, headers)
        again, _, _ = ask(service, headers)

    assert (status, again) == (503, 503)
    assert told["retry-after"]
    assert newest(service)[0] in {"unknown", "settled", "paid"}
    assert wait_until(
        lambda: newest(service)[0] in {"settled", "paid"}, timeout_s=PATIENCE_S / 2
    )  # by the sweeper, nobody asks
    ends_well(service, rig, rail, headers, before)


@pytest.mark.parametrize("rail", ["x402", "mpp"])
def test_chain_that_hangs_costs_a_503_at_worst(rail: str, service: Stack, rig: Rig) -> None:
    chain, before, headers = ready(rail, service, rig)
    with frozen(chain.process.pid):
        status, _, told = ask(service, headers)

    assert (status, bool(told["retry-after"])) == (503, True)
    ends_well(service, rig, rail, headers, before)


def family_rss_mb(service: Stack, name: str) -> float:
    """Resident memory of a process and its children, as the kernel counts it."""
    pids, total = [service.pid(name)], 0
    while pids:
        pid = pids.pop()
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += [int(child) for child in children.read_text().split()]
    return total / 1_048_576


def job_s(service: Stack, job_id: str) -> float:
    """How long a job took from its row to its end: the engine's share, which swings with whatever else is going on."""
    found = rows(service, f"SELECT extract(epoch FROM finished_at - created_at) FROM core_job WHERE id = '{job_id}'")
    return float(found[0][0])


def test_figures(service: Stack, rig: Rig) -> None:
    """What payment costs beside the work: printed, and only the memory is held to its limit."""
    up(service)
    took: dict[str, list[float]] = {"key": [], "x402": [], "mpp": []}
    for turn in range(int(os.environ.get("RIG_TURNS", "7"))):
        for rail, spent in took.items():
            headers = {"X-Api-Key": service.api_key} if rail == "key" else payment(rail, service)
            began = time.monotonic()
            status, content, told = ask(service, headers)
            wall_s = time.monotonic() - began
            if status == 503:  # a machine that is busy with other things: not in time, and no figure
                insist(service, headers)
                continue
            assert status == 200, (rail, status, content)
            if turn:  # the first of each warms up
                spent.append((wall_s - job_s(service, told["x-job-id"])) * 1000)

    beside = {rail: sorted(spent)[len(spent) // 2] for rail, spent in took.items()}
    rss_mb = family_rss_mb(service, "web")
    print(
        f"\nmedian ms beside the job: key {beside['key']:.0f}, x402 {beside['x402']:.0f} "
        f"(+{beside['x402'] - beside['key']:.0f}), MPP {beside['mpp']:.0f} (+{beside['mpp'] - beside['key']:.0f}); "
        f"web {rss_mb:.0f} MB"
    )
    assert rss_mb <= 220
