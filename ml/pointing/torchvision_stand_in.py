"""
Four functions of torchvision, for segment-anything 1.0 where torchvision is not installed.

segment-anything imports `resize` and `to_pil_image` (`utils/transforms.py`), `batched_nms` and `box_area`
(`automatic_mask_generator.py`) from torchvision. PyPI's torchvision does not load beside a CPU build of torch, and nothing
else here needs it. So these stand in while segment-anything is imported, and for that long only: a module called
`torchvision` that stayed would mislead every library that asks whether torchvision is there.

The behaviour is torchvision's for what segment-anything passes in
(https://docs.pytorch.org/vision/stable/transforms.html, https://docs.pytorch.org/vision/stable/ops.html).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image


def resize(image: Image.Image, size_hw: tuple[int, int]) -> Image.Image:
    """Resize to height and width, bilinear with antialiasing, as torchvision does with a PIL image."""
    height, width = size_hw
    return image.resize((width, height), Image.Resampling.BILINEAR)


def to_pil_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Wrap an (H, W, 3) uint8 array."""
    return Image.fromarray(pixels)


def box_area(boxes_xyxy: torch.Tensor) -> torch.Tensor:
    """Give the (N,) areas of (N, 4) boxes, in square pixels."""
    return (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])


def batched_nms(
    boxes_xyxy: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """
    Drop boxes that overlap a better one of their own group.

    Args:
        boxes_xyxy: (N, 4) float32, in pixels.
        scores: (N,) float32; more is better.
        idxs: (N,) integers: each box's group.
        iou_threshold: 0..1; an overlap above it drops the worse box.

    Returns:
        (K,) int64: the positions of the kept boxes, best first.
    """
    areas = box_area(boxes_xyxy)
    order = scores.argsort(descending=True)
    kept: list[torch.Tensor] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        corner_0 = torch.maximum(boxes_xyxy[best, :2], boxes_xyxy[rest, :2])
        corner_1 = torch.minimum(boxes_xyxy[best, 2:], boxes_xyxy[rest, 2:])
        shared = (corner_1 - corner_0).clamp(min=0).prod(dim=1)
        overlap = shared / (areas[best] + areas[rest] - shared)
        order = rest[(overlap <= iou_threshold) | (idxs[rest] != idxs[best])]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


_FUNCTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "torchvision": (),
    "torchvision.ops": (),
    "torchvision.ops.boxes": (batched_nms, box_area),
    "torchvision.transforms": (),
    "torchvision.transforms.functional": (resize, to_pil_image),
}


@contextmanager
def torchvision_at_hand() -> Iterator[None]:
    """While inside, what segment-anything imports from torchvision is there: the real one where it loads, else this."""
    if _is_real_one_usable():
        yield
        return
    stand_ins = {name: ModuleType(name) for name in _FUNCTIONS}
    for name, functions in _FUNCTIONS.items():
        for function in functions:
            setattr(stand_ins[name], function.__name__, function)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _is_real_one_usable() -> bool:
    try:
        for name in _FUNCTIONS:
            import_module(name)
    except (ImportError, OSError, RuntimeError):  # not there, or built for another torch
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return False
    return True
