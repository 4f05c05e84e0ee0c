"""What training of the clothing network promises: losses that name garments, and an exported file to go on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("efficientnet_lite_pytorch")

from efficientnet_lite_pytorch import EfficientNet  # noqa: E402

from ml.clothing.garments import GARMENTS  # noqa: E402
from ml.training.clothing.from_onnx import start_from_onnx  # noqa: E402
from ml.training.clothing.labels import BACKGROUND, CLASSES  # noqa: E402
from ml.training.clothing.losses import garment_loss, garments_in  # noqa: E402
from ml.training.clothing.network import ClothingNetwork, Served  # noqa: E402
from ml.training.onnx_file import write_onnx  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the tracer warns of what it cannot see
TOPS, COAT = GARMENTS.index("tops"), GARMENTS.index("coat")


def network(seed: int) -> ClothingNetwork:
    torch.manual_seed(seed)
    made = ClothingNetwork(EfficientNet.from_name("efficientnet-lite0"))
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.GroupNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.2)
    return made.eval()


def test_exported_network_can_be_trained_on(tmp_path: Path) -> None:
    exported, other = network(1), network(2)
    file = tmp_path / "clothing.onnx"
    photo = torch.rand(1, 3, 96, 64) * 2 - 1
    with torch.inference_mode():
        wanted, before = Served(exported)(photo), Served(other)(photo)
    write_onnx(Served(exported), torch.zeros(1, 3, 64, 64), file, any_sides=True)

    start_from_onnx(other, file)

    with torch.inference_mode():
        after = Served(other.eval())(photo)
    assert (before - wanted).abs().max() > 0.1
    assert (after - wanted).abs().max() < 0.01


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    write_onnx(torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 32, 32), file)

    with pytest.raises(ValueError, match="not a clothing network"):
        start_from_onnx(network(1), file)


def test_each_connected_garment_has_its_number_and_its_class() -> None:
    labels = np.full((2, 40, 40), BACKGROUND, np.uint8)
    labels[0, 5:15, 5:15], labels[0, 5:15, 25:35] = TOPS, TOPS
    labels[1, 5:15, 5:15], labels[1, 15:25, 5:15] = TOPS, COAT
    labels[1, 39, 39] = COAT

    numbers, kinds = garments_in(labels)

    assert sorted(kinds.tolist()) == [TOPS, TOPS, TOPS, COAT]
    assert len({numbers[0, 10, 10], numbers[0, 10, 30], numbers[1, 10, 10], numbers[1, 20, 10]} - {0}) == 4
    assert numbers[0, 0, 0] == 0
    assert numbers[1, 39, 39] == 0


def test_garment_with_a_wrong_name_costs_more_than_one_with_few_wrong_pixels() -> None:
    labels = np.full((1, 20, 20), BACKGROUND, np.uint8)
    labels[0, 4:16, 4:16] = TOPS
    numbers, kinds = (torch.from_numpy(found) for found in garments_in(labels))
    wrong = torch.zeros(1, CLASSES, 20, 20)
    wrong[:, COAT] = 4
    mostly_right = torch.zeros(1, CLASSES, 20, 20)
    mostly_right[:, TOPS] = 4
    mostly_right[:, :, 4:6] = wrong[:, :, 4:6]

    assert garment_loss(wrong, numbers, kinds) > 2 * garment_loss(mostly_right, numbers, kinds)


def test_photo_without_garments_costs_nothing() -> None:
    numbers, kinds = (torch.from_numpy(found) for found in garments_in(np.full((1, 8, 8), BACKGROUND, np.uint8)))

    assert garment_loss(torch.rand(1, CLASSES, 8, 8), numbers, kinds) == 0
