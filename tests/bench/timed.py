"""What runs and requests have in common: each took its time, and all together took theirs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Timed:
    """
    Attributes:
        latencies_ms: of each.
        wall_s: of all together.
    """

    latencies_ms: list[float] = field(default_factory=list)
    wall_s: float = 0.0

    def add_times(self, more: Timed) -> None:
        """Take in those of others, which came after or before these."""
        self.latencies_ms += more.latencies_ms
        self.wall_s += more.wall_s

    @property
    def count(self) -> int:
        return len(self.latencies_ms)

    @property
    def per_s(self) -> float:
        return self.count / self.wall_s
