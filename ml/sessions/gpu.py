"""
Find the GPU that torch can run on, without importing torch where there is none.

Nothing here runs before a fork: a worker is one process with threads (docs/adr/0004), and CUDA does not survive one.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
from dataclasses import dataclass
from typing import Literal

from ml.errors import GpuMissingError

log = logging.getLogger(__name__)
Wish = Literal["auto", "cpu", "cuda"]
_MOST_JOBS = 24
"""Twice as many are in hand, each with a database connection and a decoded photo."""
_INSTALL = "`pip install --no-build-isolation -r requirements/worker-gpu.lock`"


@dataclass(frozen=True, slots=True)
class Gpu:
    """
    A device that torch runs networks on.

    Attributes:
        name: what the maker calls it; it stands in `meta.device` and `/readyz`.
        jobs: jobs that should infer at once, so that batches form while others decode and encode.
        max_batch: images in one run; 0 chooses from the free memory.
        torch_name: torch's name for it; `cpu` is for tests and for trying the benchmark.
    """

    name: str
    jobs: int
    max_batch: int = 0
    torch_name: str = "cuda"


def choose_gpu(wish: Wish, *, is_required: bool, jobs: int = 0, max_batch: int = 0) -> Gpu | None:
    """
    Decide where networks run.

    Args:
        wish: `auto` takes a GPU where there is one that works, `cuda` insists on it, `cpu` leaves it alone.
        is_required: refuse to go on without a GPU.
        jobs: jobs at once on a GPU; 0 is one for each core, at most 24.
        max_batch: images in one run; 0 chooses from the free memory.

    Returns:
        The GPU, or None for the CPU.

    Raises:
        GpuMissingError: it is required or wished for, and cannot be had; the message says what is missing.
    """
    if wish == "cpu":
        if is_required:
            raise GpuMissingError("REQUIRE_GPU=1 and DEVICE=cpu contradict each other: unset one of them.")
        return None
    try:
        name = _name_of_gpu()
    except GpuMissingError as error:
        if is_required or wish == "cuda":
            asked = "REQUIRE_GPU=1" if is_required else "DEVICE=cuda"
            raise GpuMissingError(f"{asked}, but {error}") from error
        if _has_driver():
            log.warning("the networks run on the CPU although a GPU's driver is here: %s", error)
        return None
    return Gpu(name=name, jobs=jobs or min(len(os.sched_getaffinity(0)), _MOST_JOBS), max_batch=max_batch)


def _name_of_gpu() -> str:
    """
    The name of the first GPU that torch can compute on; CUDA_VISIBLE_DEVICES chooses among several.

    Raises:
        GpuMissingError: says which part is missing, cheapest look first.
    """
    if importlib.util.find_spec("torch") is None:
        raise GpuMissingError(f"torch is not installed: {_INSTALL}.")
    if not _has_driver():
        raise GpuMissingError(
            "no NVIDIA driver is here (libcuda.so.1 cannot be loaded): install it, or start the container with its GPU."
        )
    import torch

    if torch.version.cuda is None:
        raise GpuMissingError(
            f"the installed torch {torch.__version__} is a build for CPUs: uninstall it, then {_INSTALL}."
        )
    try:
        torch.cuda.init()
        torch.ones(1, device="cuda").add(1).item()  # a card too old for this torch is found, but computes nothing
        return str(torch.cuda.get_device_name())
    except (RuntimeError, AssertionError) as error:
        raise GpuMissingError(f"torch finds no CUDA device that works: {error}") from error


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
