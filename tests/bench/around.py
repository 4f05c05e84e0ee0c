"""
What a request costs around its networks, stage by stage, in CPU-ms.

As a program (`python -m tests.bench.around ROUNDS PHOTO`) it prints one line of JSON. It is one process with real servers,
whose commits are on disk, and with the real pipeline; only the networks answer at once, with what they said of the photo
the first time. So nothing else takes CPU, and a stage is what this process spent in it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from apps.stack.commands import standing_alone
from apps.stack.paths import ROOT, VarDir
from apps.stack.plan import plan
from tests.bench.errors import BenchError
from tests.bench.processes import Processes
from tests.bench.service import environment, weights_dir

PATH = "/v1/remove-bg/universal"
SERVERS = ("valkey", "s3", "postgres")
REST = "all else"
_WARM_UP = 5
# (where, stage): what a stage calls in another stage counts there.
WEB_STAGES = (
    ("apps.core.api.parsers:FormParser.parse", "form"),
    ("apps.accounts.authentication:CredentialAuthentication.authenticate", "key"),
    ("apps.core.api.throttles:RequestThrottle.allow_request", "limits"),
    ("apps.core.api.views:open_uploads", "header"),
    ("apps.core.jobs:_refuse_if_too_many_wait", "admission"),
    ("apps.core.jobs:_store_inputs", "store upload"),
    ("apps.core.jobs:submit", "submit"),
    ("apps.core.tasks:wake_worker", "wake"),
    ("apps.core.jobs:wait", "wait"),
    ("apps.core.dialects.base:picture_response", "fetch result"),
    ("apps.core.api.access:_tell", "log"),
)
WORKER_STAGES = (
    ("apps.core.lifecycle:claim", "claim"),
    ("apps.core.work.execution:Work.input", "load"),
    ("apps.core.work.execution:Work.photo", "decode"),
    ("apps.core.lifecycle:report", "report"),
    ("ml.background.pipeline:BackgroundPipeline.run", "maps"),
    ("ml.background.pipeline:fuse", "fuse"),
    ("ml.background.pipeline:remove_specks", "specks"),
    ("ml.background.pipeline:refine_edges", "edges"),
    ("apps.background.runner:estimate_foreground", "colours"),
    ("ml.picture.compositing:cut_out", "cut out"),
    ("apps.core.work.execution:Work.encode", "encode"),
    ("apps.core.work.execution:Work.store", "store result"),
    ("apps.core.lifecycle:settle", "settle"),
    ("apps.core.broker:ring_bell", "bell"),
    ("apps.core.broker:note_pace", "pace"),
    ("apps.core.work.worker:Worker.clear_inputs", "clear input"),
    ("apps.core.tasks:run_next.run", "worker's rest"),
)


def measure(rounds: int, photo: Path) -> dict[str, Any]:
    """Run it in a fresh process. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="keyline-bench-around-", ignore_cleanup_errors=True) as folder:
        argv, (_, memory) = [sys.executable, "-m", __name__, str(rounds), str(photo)], standing_alone("worker")
        done = subprocess.run(
            argv, cwd=ROOT, env=environment(Path(folder)) | memory, stdout=subprocess.PIPE, text=True, check=False
        )
    if done.returncode != 0:
        raise BenchError("The requests in one process failed; the lines above say why.")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


# --- the program ------------------------------------------------------------------------------------------


class Stopwatch:
    """CPU time of this process by stage; a stage within another counts for itself alone."""

    def __init__(self) -> None:
        self.spent_ns: Counter[str] = Counter()
        self._inner_ns: list[int] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.process_time_ns()
        self._inner_ns.append(0)
        try:
            yield
        finally:
            took = time.process_time_ns() - began
            self.spent_ns[name] += took - self._inner_ns.pop()
            if self._inner_ns:
                self._inner_ns[-1] += took

    def around(self, target: str, name: str) -> contextlib.AbstractContextManager[Any]:
        """Inside the `with` every call of `module:attribute.path` is that stage."""
        module, _, path = target.partition(":")
        *owners, attribute = path.split(".")
        owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
        real: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(real)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return real(*args, **kwargs)

        return mock.patch.object(owner, attribute, timed)


def main(rounds: int, photo: Path) -> None:
    """Ask `rounds` times and print what it took."""
    from apps.stack.servers import embedded_servers

    env = plan(os.environ, {}).env
    os.environ.update(env | {"DJANGO_SETTINGS_MODULE": "config.settings.dev", "LOG_LEVEL": "WARNING"})
    var = VarDir.from_environment()
    with embedded_servers(env, var), contextlib.ExitStack() as patches:
        ask = _prepare(photo.read_bytes(), patches)
        for _ in range(_WARM_UP):
            ask()
        watch = Stopwatch()
        for target, name in (*WEB_STAGES, *WORKER_STAGES):
            patches.enter_context(watch.around(target, name))
        servers = Processes({name: int(var.pid_file(name).read_text()) for name in SERVERS})
        before = servers.cpu_s()
        for _ in range(rounds):
            with watch.stage(REST):
                ask()
        spent = {name: seconds * 1000 / rounds for name, seconds in servers.cpu_since(before).items()}
        _close()
    stages = {name: nanoseconds / 1e6 / rounds for name, nanoseconds in watch.spent_ns.items()}
    print(json.dumps({"rounds": rounds, "stages_cpu_ms": stages, "servers_cpu_ms": spent}))


def _prepare(photo: bytes, patches: contextlib.ExitStack) -> Callable[[], None]:
    """Set Django and the worker up. Returns the request."""
    import django

    django.setup()
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.core.management import call_command
    from django.test import Client

    from apps.accounts.models import Account, ApiKey
    from apps.billing.ledger import grant
    from apps.core.storage import result_store

    call_command("migrate", verbosity=0)
    result_store().ensure_bucket()
    _adopt_worker(patches)
    account = Account.objects.create(name="bench", plan="CUSTOM")
    grant(account.id, 1_000_000, actor="bench", reason="bench")
    _, secret = ApiKey.issue(account)
    client = Client(headers={"X-Api-Key": secret, "Host": "127.0.0.1"})

    def ask() -> None:
        image = SimpleUploadedFile("photo.jpg", photo, content_type="image/jpeg")
        answer = client.post(PATH, {"image": image})
        if answer.status_code != 200:
            raise BenchError(f"The service answers {answer.status_code}: {answer.content[:500]!r}")

    return ask


def _adopt_worker(patches: contextlib.ExitStack) -> None:
    """Make this process a worker that does a job when its wake-up has gone out, in place of one that hears it."""
    import cv2

    from apps.background.runner import BackgroundRunner
    from apps.core import tasks
    from apps.core.work.engine import Engine
    from apps.core.work.worker import Worker, adopt_worker
    from ml.models import Models
    from ml.sessions.openvino import OpenVinoSession
    from ml.sessions.slots import InferenceSlots

    cv2.setNumThreads(1)  # as a worker does
    runner = BackgroundRunner(Engine(Models(weights_dir(), slots=InferenceSlots())))
    adopt_worker(Worker(name="bench", runners={"remove-bg": runner}, facts={}))
    patches.enter_context(mock.patch.object(OpenVinoSession, "run", _once(OpenVinoSession.run)))
    publish, is_at_work = tasks.run_next.apply_async, [False]

    def publish_and_run(*args: Any, **kwargs: Any) -> None:
        publish(*args, **kwargs)
        if not is_at_work[0]:  # else it is the worker's own, for the next job
            is_at_work[0] = True
            tasks.run_next.run()
            is_at_work[0] = False

    patches.enter_context(mock.patch.object(tasks.run_next, "apply_async", publish_and_run))


def _once(run: Callable[..., Any]) -> Callable[..., Any]:
    """Let each network run once, and say the same from then on."""
    said: dict[int, Any] = {}

    def answer(network: Any, tensor: Any) -> Any:
        if id(network) not in said:
            said[id(network)] = run(network, tensor)
        return said[id(network)].copy()

    return answer


def _close() -> None:
    from django.db import connection

    connection.close()
    connection.close_pool()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
