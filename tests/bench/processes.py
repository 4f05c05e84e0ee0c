"""CPU time and memory of processes with all their children, read from /proc."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

NICENESS_BESIDE_NETWORKS = 10  # as apps.core.work.worker says, which would bring Django along
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
Cpu = dict[str, float]


class Processes:
    """The processes of one stack by name; an empty one for a service whose processes are out of sight."""

    def __init__(self, heads: Mapping[str, int]) -> None:
        self._heads = dict(heads)

    def __bool__(self) -> bool:
        return bool(self._heads)

    def cpu_s(self) -> Cpu:
        """CPU seconds of each family so far: user and system, children that have ended included."""
        families = _families(self._heads)
        return {name: sum(map(_cpu_s, pids)) for name, pids in families.items()}

    def cpu_since(self, before: Cpu) -> Cpu:
        """CPU seconds of each family since `before` was taken."""
        return {name: now - before.get(name, 0.0) for name, now in self.cpu_s().items()}

    def giving_way_s(self, name: str) -> float:
        """CPU seconds of those of a family's threads that give way to others: in a worker all but the networks' runs."""
        return sum(map(_giving_way_s, _families(self._heads).get(name, [])))

    def peak_mb(self) -> dict[str, float]:
        """The highest resident memory that each family's largest process ever had."""
        families = _families(self._heads)
        return {name: max((_status_mb(pid, "VmHWM") for pid in pids), default=0.0) for name, pids in families.items()}

    def resident_mb(self, name: str) -> float:
        """Resident memory of one family's largest process now."""
        return max((_status_mb(pid, "VmRSS") for pid in _families(self._heads).get(name, [])), default=0.0)

    def total_mb(self) -> float:
        """
        Resident memory of all processes now, from counters that cost nothing to read.

        What a family's processes share with a file or with each other counts once, as much as the one that has most of
        it; the rest counts for each of them, so pages that a fork still shares count twice: never too little.
        """
        return sum(_family_mb(pids) for pids in _families(self._heads).values())

    def share_mb(self) -> dict[str, float]:
        """Each family's memory now, with what several processes share counted once (PSS)."""
        return {name: sum(map(_pss_mb, pids)) for name, pids in _families(self._heads).items()}


class MemoryWatch:
    """
    While it is entered, looks at some processes' memory again and again.

    `peak_mb` is the most that it saw of all together, `worker_mb` of the worker: what it holds between requests depends
    on whether its last one ran alone.
    """

    _EVERY_S = 0.25

    def __init__(self, processes: Processes) -> None:
        self.peak_mb = self.worker_mb = 0.0
        self._processes = processes
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> MemoryWatch:
        if self._processes:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._processes:
            self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, self._processes.total_mb())
            self.worker_mb = max(self.worker_mb, self._processes.resident_mb("worker"))
            if self._done.wait(self._EVERY_S):
                return


def available_gb() -> float:
    """Memory that new processes may take without anybody else's being pushed out."""
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable") / 1e6


def _family_mb(pids: list[int]) -> float:
    own = sum(_status_mb(pid, "RssAnon") for pid in pids)
    shared = (_status_mb(pid, "RssFile") + _status_mb(pid, "RssShmem") for pid in pids)
    return own + max(shared, default=0.0)


def _families(heads: Mapping[str, int]) -> dict[str, list[int]]:
    """Every head with all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_fields(entry)[1]), []).append(int(entry.parent.name))
    families = {}
    for name, head in heads.items():
        family = [head]
        for pid in family:
            family += children.get(pid, [])
        families[name] = family
    return families


def _fields(stat: Path) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; a name may hold blanks and brackets."""
    return stat.read_text().rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        return sum(map(int, _fields(Path(f"/proc/{pid}/stat"))[11:15])) / _TICKS_PER_S
    return 0.0


def _giving_way_s(pid: int) -> float:
    spent_s = 0.0
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            fields = _fields(stat)
            if int(fields[16]) >= NICENESS_BESIDE_NETWORKS:
                spent_s += sum(map(int, fields[11:13])) / _TICKS_PER_S
    return spent_s


def _status_mb(pid: int, name: str) -> float:
    return _kilobytes(Path(f"/proc/{pid}/status"), name) / 1000


def _pss_mb(pid: int) -> float:
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1000


def _kilobytes(path: Path, name: str) -> float:
    """A line `Name:  123 kB` in thousands of bytes; 0 where the process has gone."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1.024
    return 0.0
