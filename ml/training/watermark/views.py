"""Batches of views, drawn by processes beside the training where there are cores for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ml.evaluation.watermark.photos import CleanPhoto
from ml.evaluation.watermark.strokes import Assets
from ml.training.watermark.samples import Batch, draw_batch


@dataclass(frozen=True, slots=True)
class Wish:
    """What a batch shall be like: how many views, their side in pixels, the lowest opacity of a mark."""

    batch: int
    side_px: int
    lowest_opacity: float


class Seen(NamedTuple):
    """A batch as tensors that processes share: photo and clean (N, H, W, 3), the others (N, H, W), all uint8."""

    photo: Tensor
    clean: Tensor
    shape: Tensor
    alpha: Tensor
    weight: Tensor
    numbers: Tensor
    is_marked: Tensor


class Views(Dataset[Seen]):
    """
    The batch of each step, drawn from the step's own seed.

    `progress` (1,) and `hardness` (photos,) are float32 tensors in shared memory: the training writes, whoever draws reads.
    A batch drawn ahead may have read them a little earlier.
    """

    def __init__(
        self,
        photos: Sequence[CleanPhoto],
        assets: Assets,
        seed: int,
        wish: Callable[[float], Wish],
        *,
        hard: float = 0.1,
    ) -> None:
        self._photos, self._assets, self._seed, self._wish = photos, assets, seed, wish
        self.progress = torch.zeros(1).share_memory_()
        self.hardness = torch.full((len(photos),), hard).share_memory_()

    def __getitem__(self, step: int) -> Seen:
        wish = self._wish(self.progress.item())
        batch: Batch = draw_batch(
            self._photos,
            self._assets,
            np.random.default_rng([self._seed, step]),
            batch=wish.batch,
            side_px=wish.side_px,
            lowest_opacity=wish.lowest_opacity,
            hardness=self.hardness.numpy(),
        )
        return Seen(*(torch.from_numpy(getattr(batch, name)) for name in Seen._fields))


class _From(Sampler[int]):
    def __init__(self, step: int) -> None:
        self._step = step

    def __iter__(self) -> Iterator[int]:
        step = self._step
        while True:
            yield step
            step += 1


def batches(views: Views, *, first_step: int, workers: int, pinned: bool = False) -> Iterator[Seen]:
    """The batches from one step on, without end; with `workers` 0 they are drawn here, one when one is asked for."""
    loader = DataLoader(
        views,
        batch_size=None,
        sampler=_From(first_step),
        num_workers=workers,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_alone,
    )
    return iter(loader)


def _alone(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def on_device(part: Tensor, device: str) -> Tensor:
    """Bring (N, H, W) or (N, H, W, 3) uint8 over: (N, 1 or 3, H, W) float32, 0..1."""
    part = part.to(device, non_blocking=True)
    part = part[:, None] if part.ndim == 3 else part.permute(0, 3, 1, 2)
    return (part.float() / 255).contiguous(memory_format=torch.channels_last)
