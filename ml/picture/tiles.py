"""Tiles of one picture beside each other: OpenCV lets other threads run while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Tile = TypeVar("Tile")

LARGE_PIXELS = 4_000_000
"""Smaller pictures take a few hundredths of a second, in which other requests may have the other cores."""

MOST_THREADS = 4
"""Of one picture: a machine of many cores works on many pictures."""


def for_each_tile(tiles: Iterable[Tile], work: Callable[[Tile], None], *, picture_pixels: int) -> None:
    """
    Do `work` for every tile, on several cores where the picture is large; the order does not matter to any.

    Raises:
        Whatever `work` raises, for one of the tiles.
    """
    cores = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    if picture_pixels < LARGE_PIXELS or cores == 1:
        for tile in tiles:
            work(tile)
        return
    with ThreadPoolExecutor(cores) as pool:  # its threads give way as the caller does: they inherit that
        for _ in pool.map(work, tiles):
            pass
