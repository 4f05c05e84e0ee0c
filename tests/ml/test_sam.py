"""SAM's adapter between the segment-anything package and two ONNX graphs, with drawn answers: no weights needed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import WeightsDamagedError, WeightsMissingError

torch = pytest.importorskip("torch", reason="torch is not installed; without it there is no pointing")

from ml.pointing import (  # noqa: E402
    sam,
    sam_checkpoint,
    torchvision_stand_in,
)
from ml.sessions.slots import InferenceSlots  # noqa: E402


class Encoder:
    """Its features tell the image's first pixel."""

    def __init__(self) -> None:
        self.seen: np.ndarray | None = None

    def run(self, tensor: np.ndarray) -> np.ndarray:
        self.seen = tensor
        return np.full((1, 256, 64, 64), tensor[0, 0, 0, 0], np.float32)


class Decoder:
    """Four masks: all in, left half, top half, nothing. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, np.ndarray] = {}

    def run(self, tensors: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        self.asked = dict(tensors)
        masks = np.full((1, 4, 256, 256), -4, np.float32)
        masks[0, 0] = 4
        masks[0, 1, :, :128] = 4
        masks[0, 2, :128] = 4
        level = float(tensors["image_embeddings"].ravel()[0])
        return [masks, np.array([[0.5, 0.6, 0.7, level]], np.float32)]


NO_POINTS: dict[str, Any] = {"points_xy": np.empty((0, 2), np.float32), "labels": np.empty(0, np.float32)}


@pytest.fixture
def parts() -> tuple[Encoder, Decoder, sam.SamNetwork]:
    encoder, decoder = Encoder(), Decoder()
    return encoder, decoder, sam.SamNetwork(sam.onnx_sam(encoder, decoder), threads=1)


def test_photo_is_normalised_then_padded_right_and_below(parts: Any) -> None:
    encoder, _, network = parts

    embedding = network.embed(np.full((500, 1000, 3), (124, 116, 104), np.uint8))

    assert encoder.seen.shape == (1, 3, 1024, 1024)
    assert np.abs(encoder.seen[0, :, :512]).max() < 0.02
    assert not encoder.seen[0, :, 512:].any()
    assert embedding.shape_hw == (500, 1000)
    assert embedding.input_shape_hw == (512, 1024)


def test_large_photo_is_answered_at_the_encoders_size(parts: Any) -> None:
    _, _, network = parts

    embedding = network.embed(np.zeros((3000, 1500, 3), np.uint8))
    masks, _ = network.segment(embedding, **NO_POINTS, box_xyxy=np.array([1, 2, 3, 4], np.float32), is_ambiguous=False)

    assert embedding.shape_hw == (1024, 512)
    assert masks.shape == (1, 1024, 512)


def test_prompts_reach_the_decoder_in_the_squares_pixels_with_sams_labels(parts: Any) -> None:
    _, decoder, network = parts
    embedding = network.embed(np.zeros((256, 512, 3), np.uint8))
    points, labels = np.array([[10, 20], [30, 40]], np.float32), np.array([1, 0], np.float32)

    network.segment(embedding, points_xy=points, labels=labels, box_xyxy=None, is_ambiguous=False)
    assert decoder.asked["point_coords"].tolist() == [[[20, 40], [60, 80], [0, 0]]]
    assert decoder.asked["point_labels"].tolist() == [[1, 0, -1]]

    box = np.array([1, 2, 100, 200], np.float32)
    network.segment(embedding, points_xy=points, labels=labels, box_xyxy=box, is_ambiguous=False)
    assert decoder.asked["point_coords"].tolist() == [[[20, 40], [60, 80], [2, 4], [200, 400]]]
    assert decoder.asked["point_labels"].tolist() == [[1, 0, 2, 3]]
    assert decoder.asked["has_mask_input"].tolist() == [0]
    assert {array.dtype for array in decoder.asked.values()} == {np.dtype(np.float32)}


def test_three_masks_where_it_is_ambiguous_and_the_single_one_elsewhere(parts: Any) -> None:
    _, _, network = parts
    embedding = network.embed(np.zeros((1024, 1024, 3), np.uint8))
    ask = partial(network.segment, embedding, **NO_POINTS, box_xyxy=np.array([1, 2, 3, 4], np.float32))

    single, single_iou = ask(is_ambiguous=False)
    three, ious = ask(is_ambiguous=True)

    assert single.shape == (1, 1024, 1024)
    assert (single > 0).all()
    assert single_iou.tolist() == [0.5]
    assert three.shape == (3, 1024, 1024)
    assert [(mask > 0).mean() for mask in three] == pytest.approx([0.5, 0.5, 0], abs=0.01)
    assert ious[:2].tolist() == pytest.approx([0.6, 0.7])


def test_many_threads_never_mix_their_photos(parts: Any) -> None:
    _, _, network = parts
    wrong: list[tuple[int, float]] = []

    def work(level: int) -> None:
        for _ in range(4):
            embedding = network.embed(np.full((40, 40, 3), level, np.uint8))
            _, ious = network.segment(
                embedding, **NO_POINTS, box_xyxy=np.array([1, 2, 3, 4], np.float32), is_ambiguous=True
            )
            expected = (level - 123.675) / 58.395
            wrong.extend([(level, float(ious[2]))] if abs(ious[2] - expected) > 1e-3 else [])

    threads = [threading.Thread(target=work, args=(level,)) for level in (0, 90, 170, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


# Official checkpoints: the published class with a single block, so that it is small.


@pytest.fixture
def small_vit_b(monkeypatch: pytest.MonkeyPatch) -> Any:
    make = partial(
        import_module("segment_anything.build_sam")._build_sam,
        encoder_embed_dim=768,
        encoder_depth=1,
        encoder_num_heads=12,
        encoder_global_attn_indexes=[],
    )
    monkeypatch.setitem(sam_checkpoint.sam_model_registry, "vit_b", make)
    return make


def test_checkpoint_is_loaded_by_its_own_type_and_its_encoder_takes_a_slot(small_vit_b: Any, tmp_path: Path) -> None:
    published, entered = small_vit_b(), []
    torch.save(published.state_dict(), tmp_path / "sam.pth")
    slots = InferenceSlots(1)
    run = slots.run
    slots.run = lambda network: (entered.append(1), run(network))[1]

    model = sam_checkpoint.load_checkpoint(tmp_path / "sam.pth", model_type=None, slots=slots)
    sam.SamNetwork(model, threads=1).embed(np.zeros((16, 32, 3), np.uint8))

    expected, found = published.state_dict(), model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert entered == [1]


def test_checkpoint_that_runs_code_when_it_is_read_is_refused(tmp_path: Path) -> None:
    torch.save({"image_encoder.pos_embed": partial(print, "code ran")}, tmp_path / "evil.pth")

    with pytest.raises(WeightsDamagedError, match="no checkpoint"):
        sam_checkpoint.load_checkpoint(tmp_path / "evil.pth", model_type=None, slots=InferenceSlots(1))


def test_wrong_checkpoints_are_named(small_vit_b: Any, tmp_path: Path) -> None:
    slots = InferenceSlots(1)
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 64, 64, 768)}, tmp_path / "part.pth")
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 64, 64, 7)}, tmp_path / "odd.pth")

    for name, said in {
        "text": "no checkpoint",
        "other": "no SAM",
        "part": "does not fit",
        "odd": "SAM_MODEL_TYPE",
    }.items():
        with pytest.raises(WeightsDamagedError, match=said):
            sam_checkpoint.load_checkpoint(tmp_path / f"{name}.pth", model_type=None, slots=slots)
    with pytest.raises(WeightsMissingError, match="SAM_CHECKPOINT"):
        sam_checkpoint.load_checkpoint(tmp_path / "nowhere.pth", model_type=None, slots=slots)


# Instead of torchvision.


def test_nothing_called_torchvision_is_left_behind() -> None:
    assert "torchvision" not in sys.modules or hasattr(sys.modules["torchvision"], "__version__")


def test_resize_takes_height_first_and_smooths() -> None:
    stripes = np.zeros((40, 60, 3), np.uint8)
    stripes[:, ::2] = 255

    small = torchvision_stand_in.resize(torchvision_stand_in.to_pil_image(stripes), (20, 15))

    assert small.size == (15, 20)
    assert np.abs(np.asarray(small).astype(int) - 127).max() < 12


def test_boxes_that_overlap_a_better_one_of_their_group_go() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 10, 10]], dtype=torch.float32)
    scores = torch.tensor([0.8, 0.9, 0.5, 0.7])

    kept = torchvision_stand_in.batched_nms(boxes, scores, torch.tensor([0, 0, 0, 1]), 0.5)

    assert torchvision_stand_in.box_area(boxes).tolist() == [100, 100, 100, 100]
    assert kept.tolist() == [1, 3, 2]
    assert torchvision_stand_in.batched_nms(boxes[:0], scores[:0], scores[:0], 0.5).tolist() == []
