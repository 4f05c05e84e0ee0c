"""The measurements themselves, in an order that gives bare onnxruntime and Keyline the same moments of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.bench.bare import Bare, Runs
from tests.bench.clients import Client, Load, send
from tests.bench.processes import Cpu
from tests.bench.service import Service

_AFTERGLOW_S = 0.5  # inputs are deleted after the answer, and onnxruntime's threads spin for a moment after a run


@dataclass(frozen=True)
class Amounts:
    """How much of everything. `blocks` of `requests` at 4 and 16 clients, bare runs before, between and after."""

    about: str
    seam_rounds: int
    shape_runs: int
    pairs: int
    four: tuple[int, int]
    sixteen: tuple[int, int]
    bare_runs: int


QUICK = Amounts("2 minutes", 60, 3, 8, four=(1, 12), sixteen=(2, 16), bare_runs=3)
FULL = Amounts("6 minutes", 300, 5, 24, four=(2, 16), sixteen=(4, 50), bare_runs=5)


@dataclass
class Crowd:
    """Keyline under some clients, and bare onnxruntime between the same blocks."""

    clients: int
    load: Load = field(default_factory=Load)
    bare: Runs = field(default_factory=Runs)
    cpu_s: Cpu = field(default_factory=dict)
    worker_mb: list[float] = field(default_factory=list)

    @property
    def cpu_s_each(self) -> float:
        return sum(self.cpu_s.values()) / self.load.count

    @property
    def throughput_ratio(self) -> float:
        return self.load.per_s / self.bare.per_s


@dataclass(frozen=True)
class Subject:
    """What is measured: the network, the cores, the JPEG that every request carries and a sentence about it."""

    model: str
    cores: int
    photo: bytes
    about_photo: str


class Measuring:
    """One whole measurement; `run()` fills it in."""

    def __init__(
        self, subject: Subject, service: Service, wide: Bare, narrow: Bare, amounts: Amounts, say: Callable[[str], None]
    ) -> None:
        self.subject = subject
        self._service, self._amounts, self._say = service, amounts, say
        self.wide, self.narrow = wide, narrow
        self.best = wide
        self.shapes: dict[str, Runs] = {}
        self.idle_share: dict[str, float] = {}
        self.overheads_ms: list[float] = []
        self.crowds: list[Crowd] = []
        self.peak_mb: dict[str, float] = {}
        self.share_mb: dict[str, float] = {}
        self.seams: dict[str, Any] = {}

    def run(self) -> None:
        """Everything, from the shapes of bare onnxruntime to 16 clients."""
        clients = [Client(self._service.url, self._service.api_key, self.subject.photo) for _ in range(16)]
        try:
            send(clients[:1], 2)  # the first requests open connections and pools
            self._compare_shapes()
            self._pairs(clients[0])
            self._crowd(clients[:4], *self._amounts.four)
            self._crowd(clients, *self._amounts.sixteen)
            self.peak_mb = self._service.processes.peak_mb()
            self.share_mb = self._service.processes.share_mb()
        finally:
            for client in clients:
                client.close()

    def _compare_shapes(self) -> None:
        """Find the better way to run bare onnxruntime; Keyline does nothing meanwhile and its idle CPU is looked at."""
        self._say("Bare onnxruntime: which shape has the better throughput ...")
        time.sleep(_AFTERGLOW_S)
        before, began = self._service.processes.cpu_s(), time.monotonic()
        for bare in (self.wide, self.narrow, self.narrow, self.wide):
            self.shapes.setdefault(bare.shape, Runs())
            self.shapes[bare.shape] += bare.run(self._amounts.shape_runs)
        wall_s = time.monotonic() - began
        self.idle_share = {name: cpu / wall_s for name, cpu in self._service.processes.cpu_since(before).items()}
        self.best = max((self.wide, self.narrow), key=lambda bare: self.shapes[bare.shape].per_s)
        if self.best is self.wide:
            self.narrow.close()
        self._say(", ".join(f"{shape}: {runs.per_s:.2f} images/s" for shape, runs in self.shapes.items()))

    def _pairs(self, client: Client) -> None:
        """One client: a bare run and a request in turns; the overhead is the difference of the two in a pair."""
        crowd = Crowd(1)
        for number in range(1, self._amounts.pairs + 1):
            if number % 2:  # which goes first changes, so that neither always follows the other
                bare_ms, request_ms = self._bare_run(crowd), self._request(client, crowd)
            else:
                request_ms, bare_ms = self._request(client, crowd), self._bare_run(crowd)
            self.overheads_ms.append(request_ms - bare_ms)
            if number % 8 == 0 or number == self._amounts.pairs:
                middle = statistics.median(self.overheads_ms)
                self._say(f"1 client: {number} of {self._amounts.pairs} pairs, overhead p50 {middle:+.0f} ms")
        self.crowds.append(crowd)

    def _bare_run(self, crowd: Crowd) -> float:
        runs = self.wide.run(1)
        crowd.bare += runs
        time.sleep(_AFTERGLOW_S / 5)
        return runs.latencies_ms[0]

    def _request(self, client: Client, crowd: Crowd) -> float:
        before = self._service.processes.cpu_s()
        one = client.cut_out()
        time.sleep(_AFTERGLOW_S)
        self._count_cpu(crowd, before)
        crowd.load += one
        return one.latencies_ms[0]

    def _crowd(self, clients: list[Client], blocks: int, requests: int) -> None:
        """Blocks of requests with bare runs before, between and after."""
        crowd = Crowd(len(clients))
        self.crowds.append(crowd)
        crowd.bare += self.best.run(self._amounts.bare_runs)
        for number in range(1, blocks + 1):
            before = self._service.processes.cpu_s()
            load = send(clients, requests)
            time.sleep(_AFTERGLOW_S)
            self._count_cpu(crowd, before)
            crowd.worker_mb.append(self._service.processes.resident_mb("worker"))
            crowd.load += load
            crowd.bare += self.best.run(self._amounts.bare_runs)
            self._say(
                f"{len(clients)} clients: {number * requests} of {blocks * requests} requests, "
                f"{crowd.load.per_s:.2f} images/s, bare {crowd.bare.per_s:.2f}"
            )

    def _count_cpu(self, crowd: Crowd, before: Cpu) -> None:
        for name, spent in self._service.processes.cpu_since(before).items():
            crowd.cpu_s[name] = crowd.cpu_s.get(name, 0.0) + spent
