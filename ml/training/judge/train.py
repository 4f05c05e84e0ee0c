"""Train the judge on prepared samples, for a budget of minutes; resumable, seeded, on a CPU or a GPU."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ml.training.encoder import trained_parameters
from ml.training.judge.network import Judge
from ml.training.judge.samples import SIDE_PX, Samples, draw

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What training depends on: `epochs` in one learning-rate cycle, the first `small_epochs` at a smaller side."""

    epochs: int = 9
    small_epochs: int = 7
    small_side_px: int = 256
    batch: int = 8
    encoder_rate: float = 4e-4
    decoder_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    ema: float = 0.98
    seed: int = 1
    device: str = "cpu"


def train(model: Judge, samples: Samples, recipe: Recipe, state_file: Path) -> Judge:
    """
    Returns the running mean of the weights. Goes on from `state_file` where it is there; writes it after every epoch.
    """
    torch.manual_seed(recipe.seed)
    model = model.to(recipe.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch takes it
    steps_per_epoch = len(samples) // recipe.batch
    encoder, decoder = trained_parameters(model, model.encoder)
    optimiser = torch.optim.AdamW(
        [{"params": encoder, "lr": recipe.encoder_rate}, {"params": decoder, "lr": recipe.decoder_rate}],
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=[recipe.encoder_rate, recipe.decoder_rate],
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=0.15,
    )
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    training = _Training(model, average, optimiser, schedule)
    for epoch in range(training.go_on_from(state_file, recipe.device), recipe.epochs):
        began = time.monotonic()
        rng = np.random.default_rng([recipe.seed, epoch])
        side_px = recipe.small_side_px if epoch < recipe.small_epochs else SIDE_PX
        loss = _epoch(training, samples, recipe, rng, side_px)
        logger.info("epoch %d of %d: loss %.4f, %.0f s", epoch + 1, recipe.epochs, loss, time.monotonic() - began)
        training.keep(state_file, epoch)
    return cast(Judge, average.module).eval()


@dataclass(frozen=True, slots=True)
class _Training:
    model: Judge
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def go_on_from(self, state_file: Path, device: str) -> int:
        """Takes up what was kept, where it is there. Returns the epoch to do next."""
        if not state_file.exists():
            return 0
        state = torch.load(state_file, map_location=device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        return int(state["epoch"]) + 1

    def keep(self, state_file: Path, epoch: int) -> None:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        torch.save({**parts, "epoch": epoch}, state_file)

    def _parts(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _epoch(state: _Training, samples: Samples, recipe: Recipe, rng: np.random.Generator, side_px: int) -> float:
    model = state.model
    model.train()
    model.encoder.eval()  # batches of eight are too few for the statistics that ImageNet left
    order = rng.permutation(len(samples))
    losses = []
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[start : start + recipe.batch]
        photo, maps, truth = _tensors(draw(samples, chosen, rng, side_px), recipe.device)
        loss = _loss(model(photo, maps), truth, torch.from_numpy(samples.weight[chosen]).to(recipe.device))
        state.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        state.optimiser.step()
        state.schedule.step()
        state.average.update_parameters(model)
        losses.append(loss.item())
    return float(np.mean(losses))


def _tensors(batch: dict[str, NDArray[np.float32]], device: str) -> tuple[Tensor, Tensor, Tensor]:
    photo = torch.from_numpy(batch["photo"]).to(device, memory_format=torch.channels_last)
    return photo, torch.from_numpy(batch["maps"]).to(device), torch.from_numpy(batch["truth"]).to(device)


def _loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy that counts edges fourfold, and one minus the soft intersection over union."""
    edge = functional.max_pool2d(truth, 9, 1, 4) + functional.max_pool2d(-truth, 9, 1, 4)
    cross = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    cross = (cross * (1 + 3 * edge)).mean((2, 3)) / (1 + 3 * edge).mean((2, 3))
    matte = logits.sigmoid()
    shared = (matte * truth).sum((2, 3))
    union = (matte + truth - matte * truth).sum((2, 3))
    apart = 1 - (shared + 50) / (union + 50)
    return ((cross + 0.7 * apart) * weight).sum() / weight.sum().clamp(min=1e-6)
