"""
Inference slots: where networks run on the CPU, and how many at once.

Measured with IS-Net on two cores (docs/models.md): a run on both takes half the time of a run on one, but 12 % more CPU,
because its threads wait for each other. So a slot can be shared: a lone request gets all of it, and requests that wait
for each other run narrow, beside each other. That costs memory; `share` says whether (docs/adr/0015).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ml.sessions.gpu import Gpu

Output = TypeVar("Output")

CORES_PER_SLOT = 4
"""Convolutions of these sizes stop gaining much beyond four threads; more runs at once gain more."""

PARTS = 2
"""Narrow runs that share the one slot of a small machine."""


class InferenceSlots:
    """
    Bounds the runs at once. Sessions of one process share one object.

    Runs have threads of their own, made here and now: a caller that lowers its own priority to let networks go first
    (a run on several cores stands still while one of its threads waits for a core) doesn't lower theirs.
    Who comes first is served first, so a run that needs a whole slot never starves.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        threads_per_run: int | None = None,
        gpu: Gpu | None = None,
        share: bool = False,
    ) -> None:
        """
        Args:
            count: slots; each keeps up to 1 GB of working memory with IS-Net. By default one for each `CORES_PER_SLOT`
                cores that this process may use.
            threads_per_run: CPU threads of a run that has a whole slot; by default the cores divided by `count`.
            gpu: takes the networks that are built in torch; the others stay on the CPU.
            share: let runs that wait for each other share the slot, where there is one alone and it has several cores.

        Raises:
            ValueError: `count` or `threads_per_run` is below 1.
        """
        cores = len(os.sched_getaffinity(0))
        self.count = max(1, cores // CORES_PER_SLOT) if count is None else count
        self.threads_per_run = max(1, cores // max(1, self.count)) if threads_per_run is None else threads_per_run
        if self.count < 1 or self.threads_per_run < 1:
            raise ValueError("count and threads_per_run are at least 1")
        self.gpu = gpu
        is_shared = share and gpu is None and self.count == 1 and self.threads_per_run >= PARTS
        self.parts = PARTS if is_shared else 1
        self._free_parts = self.count * self.parts
        self._turns: deque[object] = deque()
        self._changed = threading.Condition()
        self._runs = ThreadPoolExecutor(self._free_parts, thread_name_prefix="network")
        all_there = threading.Barrier(self._free_parts + 1)
        for _ in range(self._free_parts):
            self._runs.submit(all_there.wait)
        all_there.wait()

    @property
    def jobs(self) -> int:
        """Jobs that the device works on at once; more in hand only wait."""
        return self.count * self.parts if self.gpu is None else self.gpu.jobs

    def run(self, network: Callable[[], Output]) -> Output:
        """Wait for a whole slot, run `network` there, and give what it gives or raise what it raises."""
        return self.run_either(network, None)

    def run_either(self, wide: Callable[[], Output], narrow: Callable[[], Output] | None) -> Output:
        """
        Run `wide` in a whole slot where nobody else wants it, `narrow` in a part of one else.

        Args:
            wide: uses `threads_per_run` threads.
            narrow: uses a share of them; None where the network needs a whole slot.
        """
        taken = self._take(1 if narrow else self.parts)
        try:
            return self._runs.submit(narrow if narrow and taken < self.parts else wide).result()
        finally:
            with self._changed:
                self._free_parts += taken
                self._changed.notify_all()

    def _take(self, least: int) -> int:
        """Wait for the first place in the line and for `least` free parts; take them, or a whole slot if nobody waits."""
        turn = object()
        with self._changed:
            self._turns.append(turn)
            self._changed.wait_for(lambda: self._turns[0] is turn and self._free_parts >= least)
            self._turns.popleft()
            is_alone = not self._turns and self._free_parts >= self.parts
            taken = self.parts if is_alone else least
            self._free_parts -= taken
            self._changed.notify_all()
            return taken
