"""The measurements themselves, in an order that gives Keyline and the bare networks the same moments of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.bench.bare import Bare, Runs
from tests.bench.clients import Client, Load, keyline_call, send
from tests.bench.errors import BenchError
from tests.bench.others import Other
from tests.bench.processes import Cpu, MemoryWatch
from tests.bench.processor import Processor
from tests.bench.rembg import Rembg
from tests.bench.service import Service

MOST_CLIENTS = 16
_AFTERGLOW_S = 0.5  # inputs are deleted after the answer, and onnxruntime's threads spin for a moment after a run


@dataclass(frozen=True)
class Amounts:
    """How much of everything; at 4 and 16 clients blocks of requests, and bare runs before, between and after."""

    about: str
    seam_rounds: int
    around_rounds: int
    pairs: int
    four: tuple[int, int]
    sixteen: tuple[int, int]
    bare_runs: int
    other_rounds: int


QUICK = Amounts("4 minutes", 60, 20, pairs=8, four=(1, 12), sixteen=(2, 16), bare_runs=2, other_rounds=3)
FULL = Amounts("12 minutes", 300, 60, pairs=24, four=(2, 16), sixteen=(4, 50), bare_runs=4, other_rounds=7)


@dataclass
class Crowd:
    """Keyline under some clients, and between the same blocks its networks alone: in onnxruntime, and as it runs them."""

    clients: int
    load: Load = field(default_factory=Load)
    bare: Runs = field(default_factory=Runs)
    served: Runs = field(default_factory=Runs)
    cpu_s: Cpu = field(default_factory=dict)
    beside_networks_s: float = 0.0  # CPU of the worker's threads that do all but run networks
    watched_s: float = 0.0  # for how long CPU was counted
    worker_mb: list[float] = field(default_factory=list)
    peak_mb: float = 0.0  # all of Keyline's processes, each at its own highest
    total_mb: float = 0.0  # the most that all of them had at one moment, never less than peak_mb
    rembg: Load = field(default_factory=Load)
    rembg_mb: float = 0.0

    @property
    def cpu_s_each(self) -> float:
        return sum(self.cpu_s.values()) / self.load.count

    def beside_cpu_ms(self, idle_share: Cpu) -> dict[str, float]:
        """CPU-ms that a request takes outside of the networks; empty where no process is seen."""
        if not self.cpu_s:
            return {}
        others_s = sum(spent - idle_share.get(name, 0.0) * self.watched_s for name, spent in self.cpu_s.items())
        others_s -= self.cpu_s["worker"] - idle_share.get("worker", 0.0) * self.watched_s
        spent_s = {"web and servers": others_s, "worker": self.beside_networks_s}
        return {part: seconds * 1000 / self.load.count for part, seconds in spent_s.items()}

    @property
    def throughput_ratio(self) -> float:
        """Of the networks alone in the same precision."""
        return self.load.per_s / self.served.per_s


@dataclass(frozen=True)
class Subject:
    """What is measured: networks, quality, the machine, the JPEG that every request carries and a sentence about it."""

    model: str
    precision: str
    quality: str
    cores: int
    processor: Processor
    photo: bytes
    about_photo: str


class Measuring:
    """One whole measurement; `run()` fills it in."""

    def __init__(
        self,
        subject: Subject,
        service: Service,
        bare: Bare,
        served: Bare,
        amounts: Amounts,
        say: Callable[[str], None],
        *,
        rembg: Rembg | None = None,
    ) -> None:
        self.subject = subject
        self.rembg = rembg
        self._service, self._amounts, self._say = service, amounts, say
        self.bare, self.served = bare, served
        self._idle_cpu_s: Cpu = {}
        self._idle_s = 0.0
        self.overheads_ms: list[float] = []
        self.times_bare: list[float] = []
        self.crowds: list[Crowd] = []
        self.peak_mb: dict[str, float] = {}
        self.share_mb: dict[str, float] = {}
        self.seams: dict[str, Any] = {}
        self.around: dict[str, Any] = {}
        self.others: list[Other] = []
        self._rivals: list[Client] = []

    def run(self) -> None:
        """Everything: one client, 4 and 16."""
        call = keyline_call(self._service.api_key, quality=self.subject.quality)
        clients = [Client(self._service.url, call, self.subject.photo) for _ in range(MOST_CLIENTS)]
        if self.rembg:
            rivals = range(MOST_CLIENTS)
            self._rivals = [Client(self.rembg.url, self.rembg.call, self.subject.photo) for _ in rivals]
        try:
            send(clients[:1], 2)  # the first requests open connections and pools
            self._ask_rembg(Crowd(1), 2)  # and load rembg's network
            self._pairs(clients[0])
            self._crowd(clients[:4], *self._amounts.four)
            self._crowd(clients, *self._amounts.sixteen)
            self.peak_mb = self._service.processes.peak_mb()
            self.share_mb = self._service.processes.share_mb()
        finally:
            for client in (*clients, *self._rivals):
                client.close()

    def _pairs(self, client: Client) -> None:
        """One client: a bare run and a request in turns; the overhead is the difference of the two in a pair."""
        crowd = Crowd(1)
        for number in range(1, self._amounts.pairs + 1):
            if number % 2:  # which goes first changes, so that none always follows the others
                bare_ms, served_ms, request_ms = *self._bare_runs(crowd), self._request(client, crowd)
            else:
                request_ms, (bare_ms, served_ms) = self._request(client, crowd), self._bare_runs(crowd)
            self.overheads_ms.append(request_ms - served_ms)
            self.times_bare.append(request_ms / bare_ms)
            self._ask_rembg(crowd, 1)
            if number % 8 == 0 or number == self._amounts.pairs:
                middle = statistics.median(self.overheads_ms)
                self._say(f"1 client: {number} of {self._amounts.pairs} pairs, overhead p50 {middle:+.0f} ms")
        self._finish(crowd)

    def _bare_runs(self, crowd: Crowd) -> tuple[float, float]:
        """One in onnxruntime and one as served, ms."""
        bare = self.bare.run(1)
        time.sleep(_AFTERGLOW_S / 5)
        served = self.served.run(1)
        time.sleep(_AFTERGLOW_S / 5)
        crowd.bare += bare
        crowd.served += served
        return bare.latencies_ms[0], served.latencies_ms[0]

    def _request(self, client: Client, crowd: Crowd) -> float:
        before = self._look()
        one = client.cut_out()
        time.sleep(_AFTERGLOW_S)
        self._count_cpu(crowd, before)
        crowd.load += one
        return one.latencies_ms[0]

    def _crowd(self, clients: list[Client], blocks: int, requests: int) -> None:
        """Blocks of requests with bare runs before, between and after."""
        crowd = Crowd(len(clients))
        self._bare_block(crowd)
        for number in range(1, blocks + 1):
            before = self._look()
            with MemoryWatch(self._service.processes) as memory:
                load = send(clients, requests)
            crowd.total_mb = max(crowd.total_mb, memory.peak_mb)
            time.sleep(_AFTERGLOW_S)
            self._count_cpu(crowd, before)
            crowd.worker_mb.append(memory.worker_mb)
            crowd.load += load
            self._ask_rembg(crowd, -(-requests // 2 // len(clients)) * len(clients))
            self._bare_block(crowd)
            rival = f", rembg {crowd.rembg.per_s:.2f}" if crowd.rembg.count else ""
            self._say(
                f"{len(clients)} clients: {number * requests} of {blocks * requests} requests, "
                f"{crowd.load.per_s:.2f} images/s, {self.served.name} {crowd.served.per_s:.2f}{rival}"
            )
        self._finish(crowd)

    def _ask_rembg(self, crowd: Crowd, requests: int) -> None:
        """As many clients as Keyline has just had; whole rounds of them. One that breaks is left out from then on."""
        if not self.rembg or not self._rivals:
            return
        try:
            with MemoryWatch(self.rembg.processes) as memory:
                crowd.rembg += send(self._rivals[: crowd.clients], requests)
        except BenchError as error:
            self._say(f"rembg is left out from here on: {error}")
            for client in self._rivals:
                client.close()
            self._rivals, crowd.rembg = [], Load()
            return
        crowd.rembg_mb = max(crowd.rembg_mb, memory.peak_mb, self.rembg.processes.peak_mb()["rembg"])
        time.sleep(_AFTERGLOW_S)

    def _finish(self, crowd: Crowd) -> None:
        crowd.peak_mb = sum(self._service.processes.peak_mb().values())
        crowd.total_mb = max(crowd.total_mb, crowd.peak_mb)
        self.crowds.append(crowd)

    def _bare_block(self, crowd: Crowd) -> None:
        """Both kinds in turns; Keyline has nothing to do meanwhile, so its idle CPU is looked at too."""
        before, began = self._service.processes.cpu_s(), time.monotonic()
        crowd.bare += self.bare.run(self._amounts.bare_runs)
        crowd.served += self.served.run(self._amounts.bare_runs)
        self._idle_s += time.monotonic() - began
        for name, spent in self._service.processes.cpu_since(before).items():
            self._idle_cpu_s[name] = self._idle_cpu_s.get(name, 0.0) + spent

    @property
    def second_start_s(self) -> float | None:
        """How long the service took to start where it had run before."""
        return self._service.second_start_s

    @property
    def idle_share(self) -> Cpu:
        """What each process takes of a core while there is nothing to do."""
        return {name: spent / self._idle_s for name, spent in self._idle_cpu_s.items()}

    def _look(self) -> tuple[float, float, Cpu]:
        """Now, the CPU of the worker's threads that give way so far, and that of all processes."""
        processes = self._service.processes
        return time.monotonic(), processes.giving_way_s("worker"), processes.cpu_s()

    def _count_cpu(self, crowd: Crowd, before: tuple[float, float, Cpu]) -> None:
        began, giving_way_s, cpu_s = before
        crowd.watched_s += time.monotonic() - began
        crowd.beside_networks_s += self._service.processes.giving_way_s("worker") - giving_way_s
        for name, spent in self._service.processes.cpu_since(cpu_s).items():
            crowd.cpu_s[name] = crowd.cpu_s.get(name, 0.0) + spent
