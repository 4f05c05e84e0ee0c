"""
The second part of the network: strokes drawn to the pixel.

The first part knows what a mark is and where, but its strokes are soft. This one sees its answer beside the photo and
how each pixel differs from what is around it, and corrects the answer. It learns while the first part stays as it is.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ml.training.watermark.network import Refiner, WatermarkNetwork
from ml.training.watermark.photos import CleanPhoto
from ml.training.watermark.samples import draw_batch
from ml.training.watermark.strokes import Assets
from ml.training.watermark.train import Recipe, loss_of, one_cycle, running_mean

logger = logging.getLogger(__name__)

RATE, EMA, SIDE_PX, UNMARKED_OF_EIGHT = 5e-3, 0.99, 128, 1
SEED_OFFSET = 1_000_000
"""Its batches are none that the first part saw."""


class Refining:
    """A refiner on its way."""

    def __init__(self, network: WatermarkNetwork, photos: Sequence[CleanPhoto], assets: Assets, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.network, self.step = network.to(recipe.device).eval(), 0
        self._photos, self._assets, self._recipe = photos, assets, recipe
        self._refiner = Refiner().to(recipe.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = torch.optim.AdamW(self._refiner.parameters(), lr=0.0, weight_decay=recipe.weight_decay)
        self._average = AveragedModel(self._refiner, multi_avg_fn=running_mean(EMA))
        self._spent_s = 0.0
        self._losses: list[float] = []

    @property
    def progress(self) -> float:
        """How far it is, 0..1."""
        recipe = self._recipe
        return min(1.0, self.step / recipe.steps if recipe.steps else self._spent_s / recipe.seconds)

    @property
    def average(self) -> Refiner:
        """The running mean of the weights, ready to be asked."""
        average: Any = copy.deepcopy(self._average.module)
        return average.eval()

    def run(self, until: float = 1.0) -> Refiner:
        """Learn until so much of the whole is done, 0..1; gives the running mean of the weights."""
        while self.progress < until:
            began = time.monotonic()
            self._losses.append(self.one_step())
            self._spent_s += time.monotonic() - began
            if self.step % 100 == 0:
                logger.info("refiner, step %d: loss %.4f", self.step, float(np.mean(self._losses)))
                self._losses = []
        return self.average

    def one_step(self) -> float:
        """Learn from one batch."""
        recipe = self._recipe
        seen = draw_batch(
            self._photos,
            self._assets,
            np.random.default_rng([recipe.seed, SEED_OFFSET + self.step]),
            batch=recipe.batch,
            side_px=SIDE_PX,
            lowest_opacity=recipe.faintest[1],
            hardness=np.ones(len(self._photos), np.float32),
            unmarked_of_eight=UNMARKED_OF_EIGHT,
        )
        for group in self._optimiser.param_groups:
            group["lr"] = RATE * one_cycle(self.progress, recipe.warm_up)
        photo = torch.from_numpy(seen.photo).to(recipe.device, memory_format=torch.channels_last)
        with torch.no_grad():
            fine, gate = self.network(photo)
        loss: Tensor = loss_of(self._refiner.train()(photo, fine, gate), gate, seen)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._refiner.parameters(), 2.0)
        self._optimiser.step()
        self._average.update_parameters(self._refiner)
        self.step += 1
        return loss.item()
