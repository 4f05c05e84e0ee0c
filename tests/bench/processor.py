"""What a processor can: what an image may cost at most depends on it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class Processor(StrEnum):
    """By its instructions for small numbers."""

    AMX = "AMX"
    VNNI = "AVX-512 VNNI"
    AVX2 = "AVX2"
    LESS = "without AVX2"


def this_processor() -> Processor:
    """By what the system says of the first core; one that says nothing counts as the least."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return Processor.LESS
    flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    kinds = {"amx_int8": Processor.AMX, "avx512_vnni": Processor.VNNI, "avx2": Processor.AVX2}
    return next((kind for flag, kind in kinds.items() if flag in flags), Processor.LESS)
