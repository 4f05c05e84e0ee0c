"""
What `ml` refuses.

MlError
├── ShapeError           an array is not of the shape or dtype that the function takes
└── WeightsError
    ├── WeightsMissingError   no usable weights file: run `python -m ml.weights fetch`
    └── WeightsDamagedError   a file's SHA-256 is not the pinned one
"""

from __future__ import annotations


class MlError(Exception):
    """Base of every error that `ml` raises on purpose."""


class ShapeError(MlError):
    """An array has the wrong shape or dtype."""


class WeightsError(MlError):
    """Weights cannot be used."""


class WeightsMissingError(WeightsError):
    """No usable weights file is there. Set-up fetches them; nothing is fetched at run time."""


class WeightsDamagedError(WeightsError):
    """A weights file is there, but its SHA-256 is not the pinned one."""
