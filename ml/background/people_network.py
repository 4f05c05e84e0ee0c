"""
Robust Video Matting (S. Lin et al., WACV 2022, arXiv 2108.11515): a matte of all the people in a picture.

It was made for films and remembers earlier frames; a photo is the first frame of a film.
"""

from __future__ import annotations

import numpy as np

from ml.picture.transforms import require_rgb, shrink_or_grow
from ml.picture.types import Matte, RgbImage
from ml.sessions.session import Graph

OUTPUTS = ("pha",)
"""Of the graph: the matte alone, not the foreground's colours or what it remembers."""

LEAST_SIDE_PX = 32
INNER_SHARE = 0.75
"""It looks at a copy of that share, and sharpens what it found on the picture as given."""


class PeopleNetwork:
    """
    Holds no state between calls.

    The graph: run `src` (1, 3, H, W), 0..1, what it remembers, and `downsample_ratio`; gives the matte (1, 1, H, W), 0..1.
    """

    def __init__(self, graph: Graph, *, side_px: int) -> None:
        """
        Args:
            graph: runs the network.
            side_px: the long side of what it sees.
        """
        self._graph = graph
        self._side_px = side_px

    def see_people(self, image: RgbImage) -> Matte:
        """
        Find all the people in a picture.

        Args:
            image: (H, W, 3) uint8, sRGB, 0..255.

        Returns:
            (h, w) float32, 0..1, in the picture's proportions, with a long side of `side_px`.

        Raises:
            ShapeError: `image` is not (H, W, 3) uint8 with at least one pixel.
        """
        height, width = require_rgb(image).shape[:2]
        scale = self._side_px / max(height, width)
        seen = shrink_or_grow(
            image, (max(LEAST_SIDE_PX, round(width * scale)), max(LEAST_SIDE_PX, round(height * scale)))
        )
        nothing = np.zeros((1, 1, 1, 1), np.float32)
        tensors = dict.fromkeys(("r1i", "r2i", "r3i", "r4i"), nothing)
        tensors["downsample_ratio"] = np.array([INNER_SHARE], np.float32)
        tensors["src"] = np.ascontiguousarray(seen.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))
        matte: Matte = np.clip(self._graph.run(tensors)[0][0, 0], 0, 1)
        return matte
