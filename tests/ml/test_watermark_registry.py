"""Without its weights, watermark removal says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml import registry
from ml.errors import WeightsMissingError


def test_missing_weights_are_named_with_the_command_that_makes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "WATERMARK_FILE", tmp_path / "watermark.onnx")

    with pytest.raises(WeightsMissingError, match=r"watermark\.onnx.*make train-watermark"):
        registry.load_watermark()
