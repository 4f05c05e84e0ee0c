"""What a worker checks before it takes work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from celery.apps import worker as celery_worker

from apps.core.models import Job
from apps.core.operations import all_operations
from apps.core.work.worker import NICENESS_BESIDE_NETWORKS, Worker, give_way
from apps.stack.paths import ROOT
from config import celery
from ml.errors import DeviceLostError


def test_worker_that_requires_a_gpu_and_gets_none_ends_with_a_sentence() -> None:
    command = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "config.inference_worker",
        "worker",
        "--pool",
        "threads",
    ]
    environment = os.environ | {"REQUIRE_GPU": "1", "DEVICE": "cpu"}  # no machine can give both

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)

    assert done.returncode == 1
    assert "the worker does not start: REQUIRE_GPU=1 and DEVICE=cpu contradict each other" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert all(
        "event" in json.loads(line) for line in (done.stdout + done.stderr).splitlines()
    )  # Celery's own lines too


def test_what_celery_says_past_its_log_is_a_line_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        celery_worker.safe_say("worker: Warm shutdown (MainProcess)", None)

    assert caplog.messages == ["worker: Warm shutdown (MainProcess)"]


@pytest.mark.parametrize(("wanted", "threads"), [(6, 8), (52, 52)])
def test_every_job_in_hand_has_a_thread_and_a_connection(
    monkeypatch: pytest.MonkeyPatch, wanted: int, threads: int
) -> None:
    sizes: list[tuple[int, int]] = []
    pool = SimpleNamespace(min_size=1, max_size=24, resize=lambda *size: sizes.append(size))
    monkeypatch.setattr(celery, "connection", SimpleNamespace(pool=pool))
    worker = SimpleNamespace(concurrency=8)

    celery.make_room_for(wanted, worker)

    assert worker.concurrency == threads
    assert sizes == ([(1, 52)] if wanted == 52 else [])


@pytest.mark.parametrize("started", [0, NICENESS_BESIDE_NETWORKS + 5])
def test_a_thread_gives_way_but_never_takes_back_what_nice_gave(started: int) -> None:
    def before_and_after() -> tuple[int, int]:
        thread = threading.get_native_id()
        nicety = max(started, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, nicety)
        give_way()  # to take it back is root's right
        return nicety, os.getpriority(os.PRIO_PROCESS, thread)

    with ThreadPoolExecutor(1) as pool:
        before, after = pool.submit(before_and_after).result()

    assert after == max(before, NICENESS_BESIDE_NETWORKS)


def test_worker_whose_device_is_lost_ends_so_that_another_takes_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        """In place of the process's end."""

    def end(code: int) -> None:
        raise Ended(code)

    def lose(*_: Any) -> None:
        raise DeviceLostError("gone")

    operation = next(iter(all_operations()))
    worker = Worker(name="w", runners={operation.slug: SimpleNamespace(run=lose)}, facts={})
    monkeypatch.setattr("apps.core.work.worker.Work", lambda *_: None)
    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("logging.shutdown", lambda: None)

    with pytest.raises(Ended) as ended:
        worker.execute(Job(operation=operation.slug))

    assert ended.value.args == (70,)
