"""The networks in torch give what they give on a CPU with the same weights. Needs torch, and `python -m ml.weights fetch`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from ml.background.saliency_network import SaliencyNetwork  # noqa: E402
from ml.background.saliency_torch_network import BUILDERS, build  # noqa: E402
from ml.sessions.onnx_weights import convolutions_of  # noqa: E402
from ml.sessions.openvino import OpenVinoSession  # noqa: E402
from ml.sessions.slots import InferenceSlots  # noqa: E402
from ml.sessions.torch import TorchSession  # noqa: E402
from ml.weights.catalogue import MODELS  # noqa: E402
from ml.weights.fetch import default_dir  # noqa: E402

pytestmark = pytest.mark.golden
PHOTO = Path(__file__).parent / "photos" / "denim-jacket.jpg"


@pytest.mark.parametrize("name", [name for name in BUILDERS if name in MODELS])
def test_torch_gives_the_map_of_the_cpu(name: str) -> None:
    spec = MODELS[name]
    path = default_dir() / spec.files[0].name
    if not path.is_file():
        pytest.skip(f"{path.name} is not there: run `python -m ml.weights fetch`")
    photo = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
    in_torch = TorchSession(build(name, convolutions_of(path.read_bytes())), device=torch.device("cpu"), name="cpu")

    maps = [
        SaliencyNetwork(
            session, side_px=spec.input_side_px, mean_rgb=spec.mean_rgb, std_rgb=spec.std_rgb
        ).predict_native(photo)
        for session in (OpenVinoSession(path, slots=InferenceSlots()), in_torch)
    ]

    in_torch.close()
    assert maps[0].max() > 0.9, "nothing is there to compare"
    assert np.abs(maps[0] - maps[1]).max() < 0.01
