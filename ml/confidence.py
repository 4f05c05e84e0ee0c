"""How far a matte can be trusted: the intersection over union that such maps have with the truth, on average."""

from __future__ import annotations

import numpy as np

from ml.transforms import shrink_or_grow
from ml.types import Matte

SIDE_PX = 160
"""The maps are compared at this size."""

WEIGHTS = (-0.05, 0.80, 0.13, 0.11)
"""Of a constant, the matte's own clearness, its agreement with the main network and with the second opinion."""

EMPTY_BELOW = 0.35
"""A map that is clear nowhere is a haze over everything (noise, plain texture)."""

LOW_BELOW = 0.7
"""The warning LOW_CONFIDENCE: on average, less than this much of the cut-out is right."""

MIN_SOLID_SHARE = 0.0005


def confidence_of(matte: Matte, main: Matte, second: Matte) -> float:
    """
    Estimate the intersection over union with the truth.

    Args:
        matte: (S, S) float32, 0..1: what will be cut out.
        main, second: (N, N), (M, M) float32, 0..1: what the two networks said.

    Returns:
        0..1.
    """
    size_wh = (SIDE_PX, SIDE_PX)
    decided, one, two = (np.clip(shrink_or_grow(m, size_wh), 0.0, 1.0) for m in (matte, main, second))
    parts = (1.0, clearness(decided), _overlap(decided, one), _overlap(decided, two))
    return float(np.clip(sum(w * p for w, p in zip(WEIGHTS, parts, strict=True)), 0.0, 1.0))


def clearness(matte: Matte) -> float:
    """Soft intersection over union of a map with its own 0.5 outline: 1 for a clear map, 0 where nothing passes 0.5."""
    inside = matte > 0.5
    return float(matte[inside].sum() / (np.count_nonzero(inside) + matte[~inside].sum() + 1e-6))


def looks_empty(matte: Matte) -> bool:
    """Is there nothing, or only a haze?"""
    return clearness(matte) < EMPTY_BELOW or float((matte > 0.5).mean()) < MIN_SOLID_SHARE


def _overlap(one: Matte, other: Matte) -> float:
    return float(np.minimum(one, other).sum() / (np.maximum(one, other).sum() + 1e-6))
