"""
The judge: decides what to keep, from a photo and what two saliency networks say of it (`ml.training.judge`).

The two fail on different photos; which of them is right takes knowledge of what things are, and this network has that
from ImageNet. It answers for the three pipelines at once.
"""

from __future__ import annotations

import numpy as np

from ml.errors import ShapeError
from ml.picture.transforms import shrink_or_grow
from ml.picture.types import Matte, RgbImage
from ml.sessions.session import Session

SIDE_PX = 320
HEADS = ("universal", "human", "product")
_CENTRE, _SCALE = np.float32(127), np.float32(1 / 128)


class JudgeNetwork:
    """
    Holds no state between calls.

    The session: run a (1, 5, 320, 320) float32 tensor and give the (1, 3, 320, 320) float32 maps, 0..1.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def decide(self, square: RgbImage, main: Matte, second: Matte) -> dict[str, Matte]:
        """
        Say what each pipeline keeps.

        Args:
            square: (S, S, 3) uint8, sRGB: the whole photo squeezed to a square.
            main, second: (N, N) and (M, M) float32, 0..1: what the two networks say of that square. Where there is
                no second opinion, the main one again.

        Returns:
            (320, 320) float32, 0..1, for each of `HEADS`.

        Raises:
            ShapeError: something is not square.
        """
        tensor = np.empty((1, 5, SIDE_PX, SIDE_PX), np.float32)
        for plane in (square, main, second):
            if plane.shape[0] != plane.shape[1]:
                raise ShapeError(f"the judge sees squares, not {plane.shape}")
        photo = shrink_or_grow(square, (SIDE_PX, SIDE_PX)).transpose(2, 0, 1)
        np.multiply(photo - _CENTRE, _SCALE, out=tensor[0, :3])
        for channel, matte in enumerate((main, second), start=3):
            tensor[0, channel] = np.clip(shrink_or_grow(matte, (SIDE_PX, SIDE_PX)), 0, 1)
        maps = self._session.run(tensor)[0]
        return {head: np.clip(maps[channel], 0, 1) for channel, head in enumerate(HEADS)}
