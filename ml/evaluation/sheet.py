"""A contact sheet: photo, truth and every recipe's cut-out over a checkerboard, the worst first, then a random sample."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from ml.evaluation.errors import EvaluationError
from ml.evaluation.measuring import Judged
from ml.evaluation.recipes import PLAIN, Cut
from ml.evaluation.sets import Photo
from ml.picture.foreground import estimate_foreground
from ml.picture.transforms import shrink_or_grow, to_alpha
from ml.picture.types import Matte, RgbImage

WORST = 16
RANDOM = 16
_TILE_PX = 240
_SQUARE_PX = 12
_LINE_PX = 18
_SEED = 7
Line = tuple[str, list[RgbImage]]


class Sheet:
    """Keeps small copies of the worst photos (by the last recipe's IoU) and of a random sample, and draws them."""

    def __init__(self, *, worst: int = WORST, at_random: int = RANDOM) -> None:
        self._worst: list[tuple[float, int, Line]] = []  # a heap whose first is the best of them
        self._sample: list[Line] = []
        self._sizes = worst, at_random
        self._numbers = itertools.count()
        self._random = random.Random(_SEED)  # noqa: S311  a choice of photos, no secret

    def see(self, photo: Photo, cuts: Mapping[str, Cut], judged: Mapping[str, Judged]) -> None:
        """Keep the photo if it is among the worst so far, or by chance."""
        number = next(self._numbers)
        last = list(judged.values())[-1]
        worst, at_random = self._sizes
        is_worst = len(self._worst) < worst or -last.iou > self._worst[0][0]
        place = number if number < at_random else self._random.randrange(number + 1)  # reservoir sampling
        if not is_worst and place >= at_random:
            return
        line = _line(photo, cuts, judged)
        if is_worst:
            keep = heapq.heappush if len(self._worst) < worst else heapq.heapreplace
            keep(self._worst, (-last.iou, number, line))
        if place < at_random:
            self._sample[place : place + 1] = [line]

    def save(self, path: Path) -> None:
        """
        Write the sheet.

        Raises:
            EvaluationError: no photo was seen, or the file can't be written.
        """
        lines = [line for _, _, line in sorted(self._worst, reverse=True)]
        pictures = [*_section("The worst first", lines), *_section("A random sample", self._sample)]
        if not pictures:
            raise EvaluationError("There is nothing to draw a sheet of: no photo was measured.")
        width = max(picture.shape[1] for picture in pictures)
        whole = np.concatenate([_widen(picture, width) for picture in pictures])
        try:
            written = cv2.imwrite(str(path), cv2.cvtColor(whole, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise EvaluationError(f"{path} can't be written: {error.err}.") from error
        if not written:
            raise EvaluationError(f"{path} can't be written.")


def _line(photo: Photo, cuts: Mapping[str, Cut], judged: Mapping[str, Judged]) -> Line:
    """A title and its tiles."""
    first = next(iter(judged.values()))
    figures = ", ".join(f"{name} {one.iou:.2f}" for name, one in judged.items())
    title = f"{first.set_name} {photo.stem}: IoU {figures}"
    height, width = photo.truth.shape
    scale = _TILE_PX / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    truth = np.repeat(to_alpha(photo.truth)[..., None], 3, axis=2)
    tiles = [photo.image, truth]
    for name, cut in cuts.items():
        tiles.append(_on_squares(photo.image, cut.matte, has_own_colours=name == PLAIN))
    return title, [shrink_or_grow(tile, size_wh) for tile in tiles]


def _on_squares(image: RgbImage, matte: Matte, *, has_own_colours: bool) -> RgbImage:
    """Lay the cut-out over a checkerboard whose squares will be `_SQUARE_PX` on the tile."""
    colours = image if has_own_colours else estimate_foreground(image, to_alpha(matte))
    height, width = matte.shape
    side = max(1, round(_SQUARE_PX * max(height, width) / _TILE_PX))
    rows, columns = np.arange(height)[:, None] // side, np.arange(width)[None] // side
    squares = np.where((rows + columns) % 2, 235, 190).astype(np.float32)[..., None]
    mixed = colours * matte[..., None] + squares * (1 - matte[..., None])
    return (mixed + np.float32(0.5)).astype(np.uint8)


def _section(title: str, lines: list[Line]) -> list[RgbImage]:
    pictures = [_caption(title, 2 * _TILE_PX)] if lines else []
    for caption, tiles in lines:
        row = np.concatenate([_widen(tile, _TILE_PX) for tile in tiles], axis=1)
        pictures += [_caption(caption, row.shape[1]), row]
    return pictures


def _caption(words: str, width: int) -> RgbImage:
    strip = np.full((_LINE_PX, width, 3), 255, np.uint8)
    cv2.putText(strip, words, (4, _LINE_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def _widen(picture: RgbImage, width: int) -> RgbImage:
    return np.pad(picture, ((0, 0), (0, max(0, width - picture.shape[1])), (0, 0)), constant_values=255)
