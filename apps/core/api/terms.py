"""On what terms a body is taken: how slowly it may come, and beside how many others. Told by the headers alone."""

from __future__ import annotations

from dataclasses import dataclass

CROWDED = "keyline.crowded"
"""In the environ of a request whose body found no place: which Share was full. No header can have that name."""
QUOTA = "keyline.quota"
"""In the environ of a request that was counted by its headers: the Quota, so that it is not counted twice."""


@dataclass(frozen=True)
class Pace:
    """
    How slow a sender may be.

    Args:
        patience_s: for the whole body, beside the time that it takes at the least rate.
        least_bytes_a_s: the least rate.
        longest_pause_s: between two pieces.
        drain_limit_s: for the rest of a body that is thrown away.
        drain_pause_s: whoever sends nothing of that rest for so long waits for the answer.
    """

    patience_s: float
    least_bytes_a_s: float
    longest_pause_s: float
    drain_limit_s: float
    drain_pause_s: float


# A customer: 16 KB a second is a phone with one bar, less is no upload.
PATIENT = Pace(patience_s=30, least_bytes_a_s=16 * 1024, longest_pause_s=10, drain_limit_s=120, drain_pause_s=5)
# A stranger who may send a photo: a program on a server, as a rule.
BRISK = Pace(patience_s=8, least_bytes_a_s=256 * 1024, longest_pause_s=4, drain_limit_s=3.5, drain_pause_s=2)
# Anybody else: with the 64 KB that he may send, and with the rest of what is refused, his answer is there in 5 s.
SHORT = Pace(patience_s=3, least_bytes_a_s=64 * 1024, longest_pause_s=4, drain_limit_s=3.5, drain_pause_s=2)


@dataclass(frozen=True)
class Share:
    """
    Bodies that are counted together.

    Args:
        places: how many there may be at once.
        is_common: whether others fill it too, so that a full one is nobody's fault.
    """

    name: str
    places: int
    is_common: bool = False


@dataclass(frozen=True)
class Terms:
    """
    The terms for one body, which needs a place in each of `shares`.

    Args:
        until_answered: whether it keeps its places until the end of its request, or only while it arrives.
    """

    pace: Pace
    shares: tuple[Share, ...] = ()
    until_answered: bool = True
