"""What training of the watermark networks promises: both learn from a batch, and go on from a state or from their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("efficientnet_lite_pytorch")

from efficientnet_lite_pytorch import EfficientNet  # noqa: E402

from ml.evaluation.watermark.photos import CleanPhoto  # noqa: E402
from ml.evaluation.watermark.strokes import read_assets  # noqa: E402
from ml.training.onnx_file import write_onnx  # noqa: E402
from ml.training.watermark import train  # noqa: E402
from ml.training.watermark.from_onnx import start_from_onnx  # noqa: E402
from ml.training.watermark.network import Served, WatermarkNetwork  # noqa: E402
from ml.training.watermark.repair import RepairNetwork  # noqa: E402
from tests.ml.marked import photo  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the tracer warns of what it cannot see


def networks() -> tuple[WatermarkNetwork, RepairNetwork]:
    torch.manual_seed(1)
    return WatermarkNetwork(EfficientNet.from_name("efficientnet-lite0")), RepairNetwork()


def training(tmp_path: Path, steps: int, *, repairs: bool = True) -> train.Training:
    try:
        assets = read_assets("train")
    except SystemExit:
        pytest.skip("the fonts of ml/evaluation/watermark/fonts.txt are not installed")
    photos = [CleanPhoto("drawn", str(i), photo(i)) for i in range(3)]
    recipe = train.Recipe(60, steps=steps, repairs=repairs)
    return train.Training(networks(), photos, assets, recipe, tmp_path / "state.pt")


def test_training_goes_on_from_its_state(tmp_path: Path) -> None:
    training(tmp_path, 2).run(None)
    second = training(tmp_path, 3)

    finder, repairer = second.run(None)

    assert second.step == 3
    assert all(torch.isfinite(p).all() for net in (finder, repairer) for p in net.parameters())


@pytest.mark.parametrize("repairs", [True, False])
def test_the_repairing_network_learns_only_where_it_shall(tmp_path: Path, repairs: bool) -> None:
    before = networks()[1].state_dict()

    finder, repairer = training(tmp_path, 2, repairs=repairs).run(None)

    assert repairs != all(torch.equal(before[name], now) for name, now in repairer.state_dict().items())
    assert not all(torch.equal(a, b) for a, b in zip(networks()[0].parameters(), finder.parameters(), strict=True))


def test_exported_networks_say_the_same_when_they_are_read_back(tmp_path: Path) -> None:
    finder = networks()[0].eval()
    for module in finder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    write_onnx(Served(finder), torch.zeros(1, 3, 64, 64), tmp_path / "finder.onnx", any_sides=True)
    seen = torch.randn(4, 3, 64, 64)
    again = networks()[0]

    start_from_onnx(again, tmp_path / "finder.onnx", [(seen,)])

    with torch.inference_mode():
        assert np.abs(again.eval()(seen)[0] - finder(seen)[0]).max() < 0.02  # 16-bit weights
        assert (
            np.abs(again.train()(seen)[0] - finder(seen)[0]).mean() < 0.2
        )  # the batch's own statistics are its norms'


def test_the_file_of_another_network_is_refused(tmp_path: Path) -> None:
    finder, repairer = networks()
    write_onnx(Served(finder.eval()), torch.zeros(1, 3, 64, 64), tmp_path / "finder.onnx", any_sides=True)
    given = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)

    with pytest.raises(ValueError, match="not RepairNetwork"):
        start_from_onnx(repairer, tmp_path / "finder.onnx", [given])
