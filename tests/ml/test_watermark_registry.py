"""Without its weights, watermark removal says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml import registry
from ml.errors import WeightsMissingError


@pytest.mark.parametrize(("setting", "name"), [("WATERMARK_FILE", "watermark.onnx"), ("REPAIR_FILE", "repair.onnx")])
def test_missing_weights_are_named_with_the_command_that_makes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str, name: str
) -> None:
    monkeypatch.setattr(registry, "_watermark", {})
    monkeypatch.setattr(registry, setting, tmp_path / name)

    with pytest.raises(WeightsMissingError, match=rf"{name}.*make train-watermark"):
        registry.load_watermark()
