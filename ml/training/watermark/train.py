"""Train the watermark network for some minutes or steps; resumable, seeded, on a CPU or a GPU."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from ml.training.encoder import trained_parameters
from ml.training.watermark.network import GATE_STRIDE, WatermarkNetwork
from ml.training.watermark.photos import CleanPhoto
from ml.training.watermark.samples import Batch, draw_batch
from ml.training.watermark.strokes import Assets

logger = logging.getLogger(__name__)

HARDEST_PIXELS = 0.01
"""Of an unmarked view: the mean over so many of its highest pixels is how hard it is."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    What training depends on. How far it is, 0..1, is counted in seconds of work or, where `steps` is given, in steps.

    `sides` are (from which share on, crop side in pixels); the lowest opacity falls from `faintest[0]` to `faintest[1]`
    over the first `faintest_by`.
    """

    seconds: float
    steps: int | None = None
    batch: int = 8
    sides: tuple[tuple[float, int], ...] = ((0.0, 160), (0.7, 192), (0.93, 256))
    faintest: tuple[float, float] = (0.7, 0.1)
    faintest_by: float = 0.3
    encoder_rate: float = 5e-4
    decoder_rate: float = 1.5e-3
    warm_up: float = 0.08
    weight_decay: float = 1e-2
    ema: float = 0.998
    seed: int = 1
    device: str = "cpu"
    look_every_s: float = 900.0
    keep_every_s: float = 120.0


@dataclass(slots=True)
class Curves:
    """What is drawn: (step, loss) and (step, IoU on validation)."""

    loss: list[tuple[int, float]] = field(default_factory=list)
    iou: list[tuple[int, float]] = field(default_factory=list)


Tensors = tuple[Tensor, ...] | list[Tensor]

Look = Callable[[WatermarkNetwork], float]
"""Measures a network on validation: mean IoU, 0..1."""


class Training:
    """A network on its way. `run` goes on from `state_file` where it is there."""

    def __init__(
        self,
        network: WatermarkNetwork,
        photos: Sequence[CleanPhoto],
        assets: Assets,
        recipe: Recipe,
        state_file: Path,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.curves, self.step = recipe, Curves(), 0
        self._photos, self._assets, self._state_file = photos, assets, state_file
        self._network = network.to(recipe.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        encoder, decoder = trained_parameters(network, network.encoder)
        self._optimiser = torch.optim.AdamW(
            [{"params": encoder, "lr": 0.0}, {"params": decoder, "lr": 0.0}], weight_decay=recipe.weight_decay
        )
        self._average = AveragedModel(network, multi_avg_fn=running_mean(recipe.ema))
        self._hardness = np.full(len(photos), 0.1, np.float32)
        self._spent_s = 0.0

    @property
    def progress(self) -> float:
        """How far it is, 0..1."""
        done = self.step / self.recipe.steps if self.recipe.steps else self._spent_s / self.recipe.seconds
        return min(1.0, done)

    def run(self, look: Look) -> WatermarkNetwork:
        """Train to the end; gives the running mean of the weights."""
        self._resume()
        losses: list[float] = []
        looked_s = kept_s = self._spent_s
        while self.progress < 1:
            began = time.monotonic()
            losses.append(self.one_step())
            self._spent_s += time.monotonic() - began
            if self._spent_s - kept_s > self.recipe.keep_every_s:
                kept_s = self._spent_s
                self.curves.loss.append((self.step, float(np.mean(losses))))
                logger.info("step %d, %.1f min: loss %.4f", self.step, self._spent_s / 60, self.curves.loss[-1][1])
                losses = []
                self._keep()
            if self._spent_s - looked_s > self.recipe.look_every_s or self.progress >= 1:
                looked_s = self._spent_s
                began = time.monotonic()
                self.curves.iou.append((self.step, look(self.average)))
                self._spent_s += time.monotonic() - began
                self._keep()
        return self.average

    @property
    def average(self) -> WatermarkNetwork:
        """The running mean of the weights, ready to be asked."""
        return cast(WatermarkNetwork, self._average.module).eval()

    def one_step(self) -> float:
        """Learn from one batch; each step draws from its own seed."""
        recipe, progress = self.recipe, self.progress
        highest, lowest = recipe.faintest
        seen = draw_batch(
            self._photos,
            self._assets,
            np.random.default_rng([recipe.seed, self.step]),
            batch=recipe.batch,
            side_px=[side for since, side in recipe.sides if progress >= since][-1],
            lowest_opacity=highest + (lowest - highest) * min(1.0, progress / recipe.faintest_by),
            hardness=self._hardness,
        )
        for group, rate in zip(self._optimiser.param_groups, (recipe.encoder_rate, recipe.decoder_rate), strict=True):
            group["lr"] = rate * one_cycle(progress, recipe.warm_up)
        self._network.train()
        photo = torch.from_numpy(seen.photo).to(recipe.device, memory_format=torch.channels_last)
        with torch.autocast(recipe.device, torch.bfloat16, enabled=recipe.device == "cuda"):
            fine, gate = self._network(photo)
        loss = loss_of(fine.float(), gate.float(), seen)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 2.0)
        self._optimiser.step()
        self._average.update_parameters(self._network)
        self._note_hardness(seen, fine.detach())
        self.step += 1
        return loss.item()

    def _note_hardness(self, seen: Batch, fine: Tensor) -> None:
        found = torch.sigmoid(fine[:, 0].float()).flatten(1)
        hardest = found.topk(int(HARDEST_PIXELS * found.shape[1]), dim=1).values.mean(1).cpu().numpy()
        for number, is_marked, value in zip(seen.numbers, seen.is_marked, hardest, strict=True):
            if not is_marked:
                self._hardness[number] = 0.5 * (self._hardness[number] + value)

    def _keep(self) -> None:
        state = {
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "hardness": torch.from_numpy(self._hardness),
            "step": self.step,
            "spent_s": self._spent_s,
            "loss": self.curves.loss,
            "iou": self.curves.iou,
        }
        part = self._state_file.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._state_file)

    def _resume(self) -> None:
        if not self._state_file.exists():
            return
        state = torch.load(self._state_file, map_location=self.recipe.device, weights_only=True)
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._hardness = state["hardness"].cpu().numpy()
        self.step, self._spent_s = state["step"], state["spent_s"]
        self.curves = Curves([(s, v) for s, v in state["loss"]], [(s, v) for s, v in state["iou"]])


def averaged(network: WatermarkNetwork, state_file: Path) -> WatermarkNetwork:
    """Give a network the running mean of the weights that a training kept."""
    average = torch.load(state_file, map_location="cpu", weights_only=True)["average"]
    prefix = "module."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in average.items() if k.startswith(prefix)})
    return network.eval()


def running_mean(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """A mean that forgets slowly, and faster in the beginning: what was there at first must be gone soon."""

    def update(means: Tensors, current: Tensors, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, now in zip(means, current, strict=True):
            mean.lerp_(now, share)

    return torch.no_grad()(update)


def one_cycle(progress: float, warm_up: float) -> float:
    """The share of the highest rate: up along half a cosine, then down to a thousandth along another."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - float(np.cos(np.pi * progress / warm_up)))
    return 1e-3 + 0.5 * (1 + float(np.cos(np.pi * (progress - warm_up) / (1 - warm_up))))


def loss_of(fine: Tensor, gate: Tensor, seen: Batch) -> Tensor:
    """Cross-entropy and soft Dice of the strokes, the opacity's error inside them, cross-entropy of the gate."""
    shape, alpha, weight = (torch.from_numpy(part).to(fine.device) for part in (seen.shape, seen.alpha, seen.weight))
    strokes = fine[:, :1]
    cross = functional.binary_cross_entropy_with_logits(strokes, shape, weight)
    found = torch.sigmoid(strokes)
    shared = (weight * found * shape).sum((1, 2, 3))
    both = (weight * (found + shape)).sum((1, 2, 3))
    there = shape.amax((1, 2, 3)) > 0.5
    dice = (1 - (2 * shared + 1) / (both + 1))[there].mean() if there.any() else cross.new_zeros(())
    error = (torch.sigmoid(fine[:, 1:]) - alpha).abs()
    opacity = (error * shape).sum() / (shape.sum() + 1)
    cells = functional.max_pool2d(shape * (weight > 0.3), GATE_STRIDE)
    near = (functional.max_pool2d(cells, 3, 1, 1) > 0.4).float()
    return 2 * cross + dice + opacity + 0.5 * functional.binary_cross_entropy_with_logits(gate, near)
