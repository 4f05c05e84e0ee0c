"""
Train the two watermark networks together for some minutes or steps; resumable, seeded, on a CPU or a GPU.

The same views teach both: the first finds strokes, and what it finds is among the masks that the second, which repairs,
is given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from ml.evaluation.watermark.photos import CleanPhoto
from ml.evaluation.watermark.strokes import Assets
from ml.training.state import keep_state, kept_state, take_average
from ml.training.watermark.network import GATE_STRIDE, WatermarkNetwork
from ml.training.watermark.repair import RepairNetwork
from ml.training.watermark.repair_views import draw_repairs, repair_loss
from ml.training.watermark.views import Seen, Views, Wish, batches, on_device

logger = logging.getLogger(__name__)

AVERAGED_EVERY = 4
"""Steps between two looks at the weights that the running mean is of."""

HARDEST_PIXELS = 0.01
"""Of an unmarked view: the mean over so many of its highest pixels is how hard it is."""


@dataclass(frozen=True, slots=True)
class Stage:
    """From which share of the training on views have which side in pixels, and how many make a batch."""

    since: float
    side_px: int
    batch: int


STAGES = {
    "cpu": (Stage(0.0, 160, 8), Stage(0.7, 192, 8), Stage(0.93, 256, 8)),
    "cuda": (Stage(0.0, 256, 64), Stage(0.75, 384, 32)),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    What training depends on. How far it is, 0..1, is counted in seconds of work or, where `steps` is given, in steps.

    The lowest opacity falls from `faintest[0]` to `faintest[1]` over the first `faintest_by`. `workers` processes draw
    views beside the training. Without `repairs` the second network stays as it is.
    """

    seconds: float
    steps: int | None = None
    faintest: tuple[float, float] = (0.7, 0.1)
    faintest_by: float = 0.3
    encoder_rate: float = 5e-4
    decoder_rate: float = 1.5e-3
    repair_rate: float = 1e-3
    warm_up: float = 0.08
    weight_decay: float = 1e-2
    ema: float = 0.998
    repairs: bool = True
    seed: int = 1
    device: str = "cpu"
    workers: int = 0
    look_every_s: float = 900.0
    keep_every_s: float = 120.0

    def wish(self, progress: float) -> Wish:
        """What a batch shall be like."""
        stage = [stage for stage in STAGES[self.device] if progress >= stage.since][-1]
        highest, lowest = self.faintest
        return Wish(stage.batch, stage.side_px, highest + (lowest - highest) * min(1.0, progress / self.faintest_by))


@dataclass(slots=True)
class Curves:
    """What is drawn: (step, loss of finding), (step, loss of repairing) and (step, IoU on validation)."""

    loss: list[tuple[int, float]] = field(default_factory=list)
    repair: list[tuple[int, float]] = field(default_factory=list)
    iou: list[tuple[int, float]] = field(default_factory=list)


Tensors = tuple[Tensor, ...] | list[Tensor]

Measure = Callable[[WatermarkNetwork], float]
"""Measures a network on validation: mean IoU, 0..1."""


class Training:
    """Two networks on their way. `run` goes on from `state_file` where it is there."""

    def __init__(
        self,
        networks: tuple[WatermarkNetwork, RepairNetwork],
        photos: Sequence[CleanPhoto],
        assets: Assets,
        recipe: Recipe,
        state_file: Path,
    ) -> None:
        torch.manual_seed(recipe.seed)
        finder, repairer = networks
        self.recipe, self.curves, self.step = recipe, Curves(), 0
        self._views, self._state_file = Views(photos, assets, recipe.seed, recipe.wish), state_file
        self._finder, self._repairer = (
            cast(Any, network).to(recipe.device, memory_format=torch.channels_last) for network in networks
        )
        its = {id(parameter) for parameter in finder.encoder.parameters()}
        rest = [parameter for parameter in finder.parameters() if id(parameter) not in its]
        self._rates = recipe.encoder_rate, recipe.decoder_rate, recipe.repair_rate
        self._optimiser = torch.optim.AdamW(
            [{"params": part, "lr": 0.0} for part in (list(finder.encoder.parameters()), rest, repairer.parameters())],
            weight_decay=recipe.weight_decay,
            fused=recipe.device == "cuda",
        )
        forgets = running_mean(recipe.ema**AVERAGED_EVERY)
        self._averages = [AveragedModel(net, multi_avg_fn=forgets) for net in networks]
        self._spent_s = 0.0
        self._hardest: tuple[Tensor, Tensor] | None = None

    @property
    def progress(self) -> float:
        """How far it is, 0..1."""
        done = self.step / self.recipe.steps if self.recipe.steps else self._spent_s / self.recipe.seconds
        return min(1.0, done)

    def run(self, look: Measure | None) -> tuple[WatermarkNetwork, RepairNetwork]:
        """Train to the end; gives the running means of the weights."""
        if state := kept_state(self._state_file, self.recipe.device):
            self._go_on_from(state)
        losses: list[Tensor] = []
        looked_s = kept_s = self._spent_s
        stream = batches(
            self._views, first_step=self.step, workers=self.recipe.workers, pinned=self.recipe.device == "cuda"
        )
        while self.progress < 1:
            began = time.monotonic()
            self._views.progress.fill_(self.progress)
            losses.append(self.learn(next(stream)))
            self._spent_s += time.monotonic() - began
            if self._spent_s - kept_s > self.recipe.keep_every_s:
                kept_s = self._spent_s
                self._note(losses)
                losses = []
                self._keep()
            if look and (self._spent_s - looked_s > self.recipe.look_every_s or self.progress >= 1):
                looked_s = self._spent_s
                began = time.monotonic()
                self.curves.iou.append((self.step, look(self.means[0])))
                self._spent_s += time.monotonic() - began
                self._keep()
        self._keep()
        return self.means

    @property
    def means(self) -> tuple[WatermarkNetwork, RepairNetwork]:
        """The running means of the weights, ready to be asked."""
        finder, repairer = (average.module.eval() for average in self._averages)
        return cast(WatermarkNetwork, finder), cast(RepairNetwork, repairer)

    def learn(self, batch: Seen) -> Tensor:
        """Learn from one batch; gives the (2,) losses of finding and repairing."""
        recipe, device = self.recipe, self.recipe.device
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * one_cycle(self.progress, recipe.warm_up)
        self._finder.train()
        self._repairer.train()
        photo, clean, shape, alpha, weight = (
            on_device(part, device) for part in (batch.photo, batch.clean, batch.shape, batch.alpha, batch.weight)
        )
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            fine, gate = self._finder(as_encoded(photo))
        fine, gate = fine.float(), gate.float()
        finding = loss_of(fine, gate, shape, alpha, weight)
        found = torch.sigmoid(fine.detach()[:, :1])
        repairing = torch.zeros_like(finding)
        if recipe.repairs:
            given = draw_repairs(photo=photo, clean=clean, shape=shape, alpha=alpha, seen=found, marked=batch.is_marked)
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                maps = self._repairer(as_encoded(given.photo), given.mask)
            repairing = repair_loss(maps, given)
        self._optimiser.zero_grad()
        (finding + repairing).backward()
        nn.utils.clip_grad_norm_(self._finder.parameters(), 2.0)
        nn.utils.clip_grad_norm_(self._repairer.parameters(), 2.0)
        self._optimiser.step()
        if self.step % AVERAGED_EVERY == 0:
            for average, network in zip(self._averages, (self._finder, self._repairer), strict=True):
                average.update_parameters(network)
        self._note_hardness(batch, found)
        self.step += 1
        return torch.stack([finding.detach(), repairing.detach()])

    def _note(self, losses: list[Tensor]) -> None:
        finding, repairing = torch.stack(losses).mean(0).tolist()
        self.curves.loss.append((self.step, finding))
        self.curves.repair.append((self.step, repairing))
        logger.info(
            "step %d, %.1f min: finding %.4f, repairing %.4f", self.step, self._spent_s / 60, finding, repairing
        )

    def _note_hardness(self, batch: Seen, found: Tensor) -> None:
        """One step late: a GPU is not waited for."""
        unmarked = int((~batch.is_marked).sum())
        found = found[:unmarked].flatten(1)
        hardest = found.topk(int(HARDEST_PIXELS * found.shape[1]), dim=1).values.mean(1)
        before, self._hardest = self._hardest, (batch.numbers[:unmarked], hardest)
        if before is not None:
            numbers, values = before
            hardness = self._views.hardness
            hardness[numbers] = 0.5 * (hardness[numbers] + values.cpu())

    def _keep(self) -> None:
        state = {
            "networks": [network.state_dict() for network in (self._finder, self._repairer)],
            "averages": [average.state_dict() for average in self._averages],
            "optimiser": self._optimiser.state_dict(),
            "hardness": self._views.hardness,
            "step": self.step,
            "spent_s": self._spent_s,
            **asdict(self.curves),
        }
        keep_state(state, self._state_file)

    def _go_on_from(self, state: dict[str, Any]) -> None:
        for network, its in zip((self._finder, self._repairer), state["networks"], strict=True):
            network.load_state_dict(its)
        for average, its in zip(self._averages, state["averages"], strict=True):
            average.load_state_dict(its)
        self._optimiser.load_state_dict(state["optimiser"])
        self._views.hardness.copy_(state["hardness"].cpu())
        self.step, self._spent_s = state["step"], state["spent_s"]
        self.curves = Curves(*([(s, v) for s, v in state[name]] for name in ("loss", "repair", "iou")))


def as_encoded(photo: Tensor) -> Tensor:
    """0..1 -> (RGB - 127) / 128, as both networks see photos."""
    return (photo * 255 - 127) / 128


def averaged(networks: Iterable[nn.Module], state_file: Path) -> None:
    """Give the two networks the running means of the weights that a training kept."""
    averages = torch.load(state_file, map_location="cpu", weights_only=True)["averages"]
    for network, average in zip(networks, averages, strict=True):
        take_average(network, average)
        network.eval()


def running_mean(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """A mean that forgets slowly, and faster in the beginning: what was there at first must be gone soon."""

    def update(means: Tensors, current: Tensors, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(list(means), list(current), share)

    return torch.no_grad()(update)


def one_cycle(progress: float, warm_up: float) -> float:
    """The share of the highest rate: up along half a cosine, then down to a thousandth along another."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - float(np.cos(np.pi * progress / warm_up)))
    return 1e-3 + 0.5 * (1 + float(np.cos(np.pi * (progress - warm_up) / (1 - warm_up))))


def loss_of(fine: Tensor, gate: Tensor, shape: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of the strokes, the opacity's error inside them, cross-entropy of the gate."""
    strokes = fine[:, :1]
    cross = functional.binary_cross_entropy_with_logits(strokes, shape, weight)
    found = torch.sigmoid(strokes)
    shared = (weight * found * shape).sum((1, 2, 3))
    both = (weight * (found + shape)).sum((1, 2, 3))
    there = (shape.amax((1, 2, 3)) > 0.5).float()
    dice = ((1 - (2 * shared + 1) / (both + 1)) * there).sum() / there.sum().clamp(min=1)
    error = (torch.sigmoid(fine[:, 1:]) - alpha).abs()
    opacity = (error * shape).sum() / (shape.sum() + 1)
    cells = functional.max_pool2d(shape * (weight > 0.3), GATE_STRIDE)
    near = (functional.max_pool2d(cells, 3, 1, 1) > 0.4).float()
    return 2 * cross + dice + opacity + 0.5 * functional.binary_cross_entropy_with_logits(gate, near)
