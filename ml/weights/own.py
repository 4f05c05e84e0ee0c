"""
Weights that were made here and are part of this repository.

As `ml/registry.py`, it imports no runtime before a function is called.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import WeightsMissingError

if TYPE_CHECKING:
    from ml.sessions.onnx import OnnxSession
    from ml.sessions.slots import InferenceSlots


def open_own(file: Path, command: str, slots: InferenceSlots | None) -> OnnxSession:
    """Open a file of `ml/weights`. Raises WeightsMissingError with the `command` that makes it when it is not there."""
    from ml.sessions.onnx import OnnxSession
    from ml.sessions.slots import InferenceSlots

    if not file.is_file():
        raise WeightsMissingError(
            f"{file.name} is missing from ml/weights. Restore it, or run `{command}`; then restart the worker."
        )
    return OnnxSession(file, slots=slots or InferenceSlots())


def content_version(file: Path) -> str:
    """The version of weights made here: the first eight digits of their SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:8]
