"""Networks in int8: the real judge with ranges that calibration found; in the service it stays wide, it decides too much."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import openvino
import pytest

from ml.sessions.compiling import RANGES, Compiler
from ml.sessions.openvino import OpenVinoSession
from ml.sessions.precision import supported
from ml.sessions.ranges import Ranges
from ml.sessions.slots import InferenceSlots
from ml.weights import made_here

FOUND = Path(__file__).parent / "judge_ranges.json"
JUDGE = made_here.JUDGE.path_in(made_here.FOLDER)

pytestmark = pytest.mark.skipif("int8" not in supported(), reason="this processor has no int8")


def tensor() -> np.ndarray:
    """Something that looks like a photo and two maps: smooth."""
    y, x = np.mgrid[-1:1:320j, -1:1:320j].astype(np.float32)
    blob = np.exp(-3 * (x**2 + y**2))
    return np.stack([0.8 * blob - 0.2, x / 2, y / 2, blob, blob])[None].astype(np.float32)


def integer_convolutions(network: memoryview) -> int:
    imported = openvino.Core().import_model(
        openvino.Tensor(np.frombuffer(network, np.uint8), shared_memory=True), "CPU"
    )
    kinds = [node.get_rt_info() for node in imported.get_runtime_model().get_ops()]
    return sum(
        "Convolution" in str(kind["layerType"].value) and "8" in str(kind["runtimePrecision"].value) for kind in kinds
    )


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    """A folder of ranges."""
    folder = tmp_path / "ranges"
    folder.mkdir()
    (folder / "judge.json").write_bytes(FOUND.read_bytes())
    return folder


def test_int8_is_near_to_f32_and_computes_in_integers(ranges: Path) -> None:
    wide, narrow = Compiler("f32"), Compiler("int8", ranges=ranges)

    maps = [OpenVinoSession(JUDGE, slots=InferenceSlots(1), compiler=each).run(tensor()) for each in (wide, narrow)]

    assert maps[0].max() > 0.9, "nothing is there to compare"
    assert 0 < np.abs(maps[0] - maps[1]).mean() < 0.02
    assert integer_convolutions(narrow.compile(JUDGE)) > 40
    assert integer_convolutions(wide.compile(JUDGE)) == 0


def test_weights_that_were_not_calibrated_run_in_f32_and_it_is_said(
    ranges: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = json.loads(FOUND.read_text())
    (ranges / "judge.json").write_text(json.dumps(found | {"weights_sha256": "0" * 64}))

    with caplog.at_level(logging.WARNING):
        network = Compiler("int8", ranges=ranges).compile(JUDGE)

    assert integer_convolutions(network) == 0
    assert "judge.onnx runs in f32: it is not the file that was calibrated" in caplog.text


def test_ranges_of_another_network_are_refused() -> None:
    network = openvino.Core().read_model(JUDGE)

    with pytest.raises(ValueError, match="no node nowhere"):
        Ranges("", {"nowhere": (0, 1)}, frozenset()).lay_into(network)


@pytest.mark.parametrize("file", sorted(RANGES.glob("*.json")), ids=lambda path: path.stem)
def test_ranges_are_a_few_kilobytes_of_facts(file: Path) -> None:
    ranges = Ranges.read(file)

    assert all(low < high for low, high in ranges.values.values())
    assert file.stat().st_size < 32_000
