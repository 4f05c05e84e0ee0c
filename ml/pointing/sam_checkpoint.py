"""The official SAM checkpoints (vit_b, vit_l, vit_h) in torch, for whoever has one: slower than the default, and sharper."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ml.errors import WeightsDamagedError, WeightsMissingError
from ml.pointing.torchvision_stand_in import torchvision_at_hand
from ml.sessions.slots import InferenceSlots

with torchvision_at_hand():
    from segment_anything import sam_model_registry
    from segment_anything.modeling import Sam

_TYPE_BY_WIDTH = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_WIDTH_KEY = "image_encoder.pos_embed"


def load_checkpoint(path: Path, *, model_type: str | None, slots: InferenceSlots) -> Sam:
    """
    Build the published network and load a checkpoint into it.

    Args:
        path: a `.pth` file as its authors publish it.
        model_type: `vit_b`, `vit_l` or `vit_h`; None to tell it from the weights.
        slots: where the image encoder runs.

    Raises:
        WeightsMissingError: there is no such file.
        WeightsDamagedError: it is no SAM checkpoint, or one of another type.
    """
    state = _read(path)
    kind = model_type or _TYPE_BY_WIDTH.get(state[_WIDTH_KEY].shape[-1])
    if kind not in sam_model_registry:
        raise WeightsDamagedError(f"{path.name} is of no known SAM type: set SAM_MODEL_TYPE to vit_b, vit_l or vit_h.")
    model: Sam = sam_model_registry[kind]()
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise WeightsDamagedError(f"{path.name} does not fit {kind}: check SAM_MODEL_TYPE.") from error
    model.requires_grad_(False)
    _encode_in(slots, model)
    return model


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsMissingError(f"{path} is not there: SAM_CHECKPOINT names it.") from error
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise WeightsDamagedError(f"{path} is no checkpoint that torch can read.") from error
    if not isinstance(state, dict) or not isinstance(state.get(_WIDTH_KEY), torch.Tensor):
        raise WeightsDamagedError(f"{path} holds no SAM: there is no {_WIDTH_KEY} in it.")
    return state


def _encode_in(slots: InferenceSlots, model: Sam) -> None:
    encode = model.image_encoder.forward

    def forward(image: torch.Tensor) -> torch.Tensor:
        return slots.run(lambda: encode(image))

    model.image_encoder.forward = forward
