"""
Inference slots: where networks run on the CPU, and how many at once.

A slot has all the cores of a small machine: runs beside each other, of fewer threads each, are no faster together and cost
each request its latency and the process a second working memory (docs/adr/0029).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ml.sessions.gpu import Gpu

Output = TypeVar("Output")

CORES_PER_SLOT = 4
"""Convolutions of these sizes stop gaining much beyond four threads; more runs at once gain more."""


class InferenceSlots:
    """
    Bounds the runs at once. Sessions of one process share one object.

    Runs have threads of their own, made here and now: a caller that lowers its own priority to let networks go first
    (a run on several cores stands still while one of its threads waits for a core) doesn't lower theirs.
    Who comes first is served first.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        threads_per_run: int | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        """
        Args:
            count: slots; each keeps up to 1 GB of working memory with IS-Net. By default one for each `CORES_PER_SLOT`
                cores that this process may use.
            threads_per_run: CPU threads of a run; by default the cores divided by `count`.
            gpu: takes the networks that are built in torch; the others stay on the CPU.

        Raises:
            ValueError: `count` or `threads_per_run` is below 1.
        """
        cores = len(os.sched_getaffinity(0))
        self.count = max(1, cores // CORES_PER_SLOT) if count is None else count
        self.threads_per_run = max(1, cores // max(1, self.count)) if threads_per_run is None else threads_per_run
        if self.count < 1 or self.threads_per_run < 1:
            raise ValueError("count and threads_per_run are at least 1")
        self.gpu = gpu
        self._runs = ThreadPoolExecutor(self.count, thread_name_prefix="network")
        all_there = threading.Barrier(self.count + 1)
        for _ in range(self.count):
            self._runs.submit(all_there.wait)
        all_there.wait()

    @property
    def jobs(self) -> int:
        """Jobs that the device works on at once; more in hand only wait."""
        return self.count if self.gpu is None else self.gpu.jobs

    def run(self, network: Callable[[], Output]) -> Output:
        """Wait for a free slot, run `network` there, and give what it gives or raise what it raises."""
        return self._runs.submit(network).result()
