"""
Weights that were made here and are part of this repository; each has a card beside it.

As `ml.models`, it imports no runtime before a function is called.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ml.errors import WeightsMissingError

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class MadeHere:
    """A file of weights, and the command that makes it again."""

    name: str
    command: str

    def path_in(self, folder: Path) -> Path:
        """
        Where it lies.

        Raises:
            WeightsMissingError: it does not.
        """
        path = folder / self.name
        if not path.is_file():
            raise WeightsMissingError(
                f"{self.name} is missing from ml/weights. Restore it, or run `{self.command}`; then restart the worker."
            )
        return path

    def version(self, folder: Path) -> str:
        """The first eight digits of its SHA-256. Raises WeightsMissingError."""
        return hashlib.sha256(self.path_in(folder).read_bytes()).hexdigest()[:8]


JUDGE = MadeHere("judge.onnx", "make train-judge")
CLOTHING = MadeHere("clothing.onnx", "make train-clothing")
WATERMARK = MadeHere("watermark.onnx", "make train-watermark")
REPAIR = MadeHere("repair.onnx", "make train-watermark")

ALL = (JUDGE, CLOTHING, WATERMARK, REPAIR)
