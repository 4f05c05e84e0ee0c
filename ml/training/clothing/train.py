"""Train the clothing network for a number of steps; resumable, seeded, on a CPU or a GPU."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ml.training.clothing.from_onnx import start_from_onnx
from ml.training.clothing.labels import CLASSES
from ml.training.clothing.losses import garment_loss, garments_in, pixel_loss
from ml.training.clothing.network import ClothingNetwork
from ml.training.clothing.samples import Manner, Sources, class_weights, draw_flat, draw_street
from ml.training.encoder import trained_parameters
from ml.training.state import keep_state, kept_state, take_average

logger = logging.getLogger(__name__)

TIMED_STEPS = 12
"""Steps that are timed to see how many fit into a budget of minutes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What training depends on.
    One batch in `flat_every` is of flat-lays; the first share of steps is small. `variety` scales how often people are
    seen close, in pairs or before another background; classes weigh 1 / frequency ** `evenness`. `recoloured`: the share
    of views in which a garment is dyed; `naming`: what naming whole garments counts beside naming pixels; `rare`: how
    much oftener a street photo with a hat or a bag is drawn.
    """

    steps: int
    batch: int = 8
    flat_every: int = 4
    small_share: float = 0.5
    small_size: float = 0.75
    variety: float = 1.0
    evenness: float = 0.5
    smoothing: float = 0.03
    recoloured: float = 0.0
    naming: float = 0.0
    rare: float = 1.0
    encoder_rate: float = 5e-4
    decoder_rate: float = 2e-3
    weight_decay: float = 2e-2
    ema: float = 0.995
    seed: int = 1
    device: str = "cpu"
    look_every: int = 200


@dataclass(slots=True)
class Curves:
    """What is drawn: (step, loss) and (step, mean IoU on validation)."""

    loss: list[tuple[int, float]] = field(default_factory=list)
    iou: list[tuple[int, float]] = field(default_factory=list)


def fine(recipe: Recipe) -> Recipe:
    """The second cycle: lower rates, full size, less variety, weights nearer to what is counted."""
    return replace(
        recipe,
        encoder_rate=0.8 * recipe.encoder_rate,
        decoder_rate=0.5 * recipe.decoder_rate,
        small_share=0.0,
        variety=0.4,
        evenness=0.3,
        smoothing=0.0,
    )


def polish(recipe: Recipe) -> Recipe:
    """The third cycle, from an exported network: as fine, at lower rates still; garments are named as a whole, and dyed."""
    return replace(
        fine(recipe),
        encoder_rate=0.5 * recipe.encoder_rate,
        decoder_rate=0.3 * recipe.decoder_rate,
        flat_every=3,
        variety=0.5,
        recoloured=0.35,
        naming=0.5,
        rare=1.6,
        ema=0.997,
    )


Measure = Callable[[ClothingNetwork], float]
"""Measures a network on validation: mean IoU, 0..1."""


class Training:
    """A network on its way. `run` goes on from `state_file` where it is there, and writes it at every look."""

    def __init__(
        self,
        network: ClothingNetwork,
        sources: Sources,
        recipe: Recipe,
        state_file: Path,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.curves = recipe, Curves()
        self._sources, self._state_file = sources, state_file
        self._network = network.to(recipe.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        encoder, decoder = trained_parameters(network, network.encoder)
        self._optimiser = torch.optim.AdamW(
            [{"params": encoder, "lr": recipe.encoder_rate}, {"params": decoder, "lr": recipe.decoder_rate}],
            weight_decay=recipe.weight_decay,
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, max_lr=[recipe.encoder_rate, recipe.decoder_rate], total_steps=recipe.steps, pct_start=0.12
        )
        self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
        self._weights = torch.from_numpy(class_weights(sources.street, CLASSES, evenness=recipe.evenness)).to(
            recipe.device
        )
        self._step = 0

    def run(self, look: Measure) -> ClothingNetwork:
        """Train to the end; gives the running mean of the weights."""
        if state := kept_state(self._state_file, self.recipe.device):
            self._go_on_from(state)
        losses: list[float] = []
        began = time.monotonic()
        while self._step < self.recipe.steps:
            losses.append(self.one_step())
            if self._step % self.recipe.look_every == 0 or self._step == self.recipe.steps:
                network = cast(ClothingNetwork, self._average.module).eval()
                self.curves.loss.append((self._step, float(np.mean(losses))))
                self.curves.iou.append((self._step, look(network)))
                logger.info(
                    "step %d of %d: loss %.3f, mean IoU %.4f on validation, %.1f min",
                    self._step, self.recipe.steps, self.curves.loss[-1][1], self.curves.iou[-1][1],
                    (time.monotonic() - began) / 60,
                )  # fmt: skip
                losses = []
                self._keep()
        return cast(ClothingNetwork, self._average.module).eval()

    def one_step(self) -> float:
        """Learn from one batch. Each step draws from its own seed, so a resumed run sees the same batches."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self._step])
        is_flat = self._step % recipe.flat_every == recipe.flat_every - 1
        size = recipe.small_size if self._step < recipe.small_share * recipe.steps else 1.0
        photo, labels = (draw_flat if is_flat else draw_street)(
            self._sources, rng, recipe.batch, Manner(size, recipe.variety, recipe.recoloured, recipe.rare)
        )
        self._network.train()
        self._network.encoder.eval()  # batches of eight are too few for the statistics that ImageNet left
        seen = torch.from_numpy(photo).to(recipe.device, memory_format=torch.channels_last)
        truth = torch.from_numpy(labels).to(recipe.device).long()
        with torch.autocast(recipe.device, torch.bfloat16, enabled=recipe.device == "cuda"):
            logits = self._network(seen)
        loss = pixel_loss(logits.float(), truth, self._weights, recipe.smoothing)
        if recipe.naming:
            numbers, kinds = (torch.from_numpy(found).to(recipe.device) for found in garments_in(labels))
            loss = loss + recipe.naming * garment_loss(logits.float(), numbers, kinds)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 2.0)
        self._optimiser.step()
        self._schedule.step()
        self._average.update_parameters(self._network)
        self._step += 1
        return loss.item()

    def _keep(self) -> None:
        state = {
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "step": self._step,
            "steps": self.recipe.steps,
            **asdict(self.curves),
        }
        keep_state(state, self._state_file)

    def _go_on_from(self, state: dict[str, Any]) -> None:
        if state["steps"] != self.recipe.steps:
            raise SystemExit(
                f"{self._state_file} is of a run of {state['steps']} steps: delete it, or ask for as many."
            )
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._step = state["step"]
        self.curves = Curves([(s, v) for s, v in state["loss"]], [(s, v) for s, v in state["iou"]])


def start_from(network: ClothingNetwork, file: Path) -> None:
    """Give a network an earlier cycle's weights: a state's running mean, or an exported ONNX file's."""
    if file.suffix == ".onnx":
        start_from_onnx(network, file)
        return
    take_average(network, torch.load(file, map_location="cpu", weights_only=True)["average"])


def steps_within(minutes: float, training: Training) -> int:
    """How many steps fit into a budget, by timing some. The object is spoilt for real training."""
    training.one_step()
    began = time.monotonic()
    for _ in range(TIMED_STEPS):
        training.one_step()
    return max(100, round(60 * minutes * TIMED_STEPS / (time.monotonic() - began)))
