"""
What authentication, limits, hold and capture cost together: whole requests in one process, with and without them.

As a program (`python -m tests.bench.seams ROUNDS`) it prints one line of JSON. The servers are real and their commits are
on disk; the network is the tests' stand-in and the worker is called in place, so that nothing else takes long.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import plan
from tests.bench.errors import BenchError
from tests.bench.service import environment

_PATH = "/v1/remove-bg/universal"
_WARM_UP = 10


def measure(rounds: int) -> dict[str, Any]:
    """Run it in a fresh process. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="keyline-bench-seams-", ignore_cleanup_errors=True) as folder:
        argv = [sys.executable, "-m", __name__, str(rounds)]
        done = subprocess.run(
            argv, cwd=ROOT, env=environment(Path(folder)), stdout=subprocess.PIPE, text=True, check=False
        )
    if done.returncode != 0:
        raise BenchError("The requests in one process failed; the lines above say why.")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


# --- the program ------------------------------------------------------------------------------------------


def main(rounds: int) -> None:
    """Alternate requests with and without the seams."""
    from apps.stack.servers import embedded_servers

    env = plan(os.environ, {}).env
    os.environ.update(env | {"DJANGO_SETTINGS_MODULE": "config.settings.dev", "LOG_LEVEL": "WARNING"})
    with embedded_servers(env, VarDir.from_environment()):
        ask, bare = _prepare()
        for _ in range(_WARM_UP):
            ask()
            with bare():
                ask()
        full_ms: list[float] = []
        bare_ms: list[float] = []
        for number in range(rounds):  # which goes first changes, so that neither always follows the other
            for is_full in (True, False) if number % 2 else (False, True):
                with contextlib.nullcontext() if is_full else bare():
                    began = time.perf_counter()
                    ask()
                    (full_ms if is_full else bare_ms).append((time.perf_counter() - began) * 1000)
        _close()
    facts = {
        "rounds": rounds,
        "full_p50_ms": statistics.median(full_ms),
        "bare_p50_ms": statistics.median(bare_ms),
        "difference_p50_ms": statistics.median(full_ms) - statistics.median(bare_ms),
    }
    print(json.dumps(facts))


def _prepare() -> tuple[Callable[[], None], Callable[[], contextlib.AbstractContextManager[None]]]:
    """Set Django up with an account that has credits. Returns the request, and what takes the seams away."""
    import django

    django.setup()
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.core.management import call_command
    from django.test import Client

    from apps.accounts.models import Account, ApiKey
    from apps.billing.ledger import grant
    from apps.core.storage import result_store
    from config.celery import app
    from tests.drawing import photo_png

    app.conf.task_always_eager = True
    call_command("migrate", verbosity=0)
    result_store().ensure_bucket()
    _adopt_stand_in_worker()
    account = Account.objects.create(name="bench", plan="CUSTOM")
    grant(account.id, 1_000_000, actor="bench", reason="bench")
    _, secret = ApiKey.issue(account)
    client, photo = Client(headers={"X-Api-Key": secret, "Host": "127.0.0.1"}), photo_png()

    def ask() -> None:
        image = SimpleUploadedFile("photo.png", photo, content_type="image/png")
        answer = client.post(_PATH, {"image": image})
        if answer.status_code != 200:
            raise BenchError(f"The service answers {answer.status_code}: {answer.content[:500]!r}")

    return ask, lambda: _without_seams(account)


def _adopt_stand_in_worker() -> None:
    """Make this process a worker whose network is the tests' stand-in."""
    from apps.background.runner import BackgroundRunner
    from apps.core.work.engine import Engine
    from apps.core.work.worker import Worker, adopt_worker
    from tests.stand_ins import StandInModels

    runner = BackgroundRunner(Engine(StandInModels()))
    adopt_worker(Worker(name="bench", runners={"remove-bg": runner}, facts={}))


@contextlib.contextmanager
def _without_seams(account: Any) -> Iterator[None]:
    """Everybody is known and may do everything at no price."""
    from apps.accounts.authentication import CredentialAuthentication
    from apps.accounts.plans import LIMITS
    from apps.core import jobs
    from apps.core.api.throttles import RequestThrottle
    from apps.core.funding import register_funding
    from apps.core.identity import Identity

    register_funding(NoFunding())
    identity = Identity(
        account_id=account.id,
        account_name=account.name,
        plan=account.plan,
        limits=LIMITS[account.plan],
        funding=NoFunding.slug,
        rate_key="nobody",
    )
    with (
        mock.patch.object(CredentialAuthentication, "authenticate", return_value=(account, identity)),
        mock.patch.object(RequestThrottle, "allow_request", return_value=True),
        mock.patch.object(jobs, "refuse_too_many_jobs"),
        mock.patch.object(jobs, "_line_up"),
    ):
        yield


class NoFunding:
    """Nobody pays and nobody counts."""

    slug = "none"

    def price(self, operation: Any) -> int:
        return operation.price_credits

    def hold(self, job: Any) -> None:
        """Nothing."""

    def capture(self, job: Any) -> int:
        return 0

    def release(self, job: Any, *, ended_as: Any) -> None:
        """Nothing."""

    def bill(self, job: Any) -> int:
        return 0

    def credits(self, account_id: int) -> None:
        return None


def _close() -> None:
    from django.db import connection

    connection.close()
    connection.close_pool()


if __name__ == "__main__":
    main(int(sys.argv[1]))
