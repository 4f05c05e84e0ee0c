"""What stops an evaluation, in a sentence for the person who asked for it."""

from __future__ import annotations

from ml.errors import MlError


class EvaluationError(MlError):
    """The labelled photos can't be read, or the question makes no sense."""
