"""
Teach the finder's second opinion on whether a mark is near (`network.Doubt`), and nothing else.

Its strokes stay as they are, and the layers that are not taught cost a third of a step: a core of a CPU is enough.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from ml.training.watermark.network import GATE_STRIDE, WatermarkNetwork
from ml.training.watermark.train import as_encoded, one_cycle, running_mean
from ml.training.watermark.views import Seen, Views, batches, on_device

logger = logging.getLogger(__name__)

HIGHEST_SHARE = 0.01
"""Of a view's cells: the mean logit of so many of the highest says whether the view as a whole is marked."""

VIEW_WEIGHT = 0.5
WARM_UP, WEIGHT_DECAY, EMA = 0.05, 1e-2, 0.995
KEEP_EVERY_S = 120.0


@dataclass(frozen=True, slots=True)
class GateRecipe:
    """How long, in seconds or, where `steps` is given, in batches of views; the highest rate."""

    seconds: float
    steps: int | None = None
    rate: float = 2e-3
    workers: int = 0
    device: str = "cpu"


def teach_gate(network: WatermarkNetwork, views: Views, recipe: GateRecipe, state_file: Path) -> None:
    """Teach it; `state_file` keeps the running mean of its weights, which the network has in the end."""
    cast(Any, network).to(recipe.device, memory_format=torch.channels_last)
    network.eval().requires_grad_(requires_grad=False)
    doubt = network.doubt.requires_grad_(requires_grad=True)
    optimiser = torch.optim.AdamW(doubt.parameters(), weight_decay=WEIGHT_DECAY)
    average = AveragedModel(doubt, multi_avg_fn=running_mean(EMA), use_buffers=False)
    stream = batches(views, first_step=0, workers=recipe.workers, pinned=recipe.device == "cuda")
    began, kept, step, losses = time.monotonic(), 0.0, 0, list[float]()
    while (progress := step / recipe.steps if recipe.steps else (time.monotonic() - began) / recipe.seconds) < 1:
        views.progress.fill_(progress)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * one_cycle(progress, WARM_UP)
        batch = next(stream)
        doubt.train()
        logits, near = _asked(network, batch, recipe.device)
        loss = gate_loss(logits, near)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(doubt)
        _note_hardness(views, batch, logits.detach())
        losses.append(loss.item())
        step += 1
        if time.monotonic() - began - kept > KEEP_EVERY_S:
            kept = time.monotonic() - began
            logger.info("step %d, %.1f min: gate %.4f", step, kept / 60, np.mean(losses))
            losses.clear()
            _keep(network, average, state_file)
    _keep(network, average, state_file)
    with_gate(network, state_file)


def with_gate(network: WatermarkNetwork, state_file: Path) -> None:
    """Give a network the second opinion that was kept."""
    network.doubt.load_state_dict(torch.load(state_file, map_location="cpu", weights_only=True))
    network.eval()


def gate_loss(logits: Tensor, near: Tensor) -> Tensor:
    """
    Cross-entropy of the cells, and of whole views by their highest cells: one cell too many is a false alarm.

    Args:
        logits, near: (N, 1, h, w) float32: what is said, and 0 or 1.
    """
    cells = functional.binary_cross_entropy_with_logits(logits, near)
    count = max(1, int(HIGHEST_SHARE * logits[0].numel()))
    highest = logits.flatten(1).topk(count, dim=1).values.mean(1)
    return cells + VIEW_WEIGHT * functional.binary_cross_entropy_with_logits(highest, near.amax((1, 2, 3)))


def _asked(network: WatermarkNetwork, batch: Seen, device: str) -> tuple[Tensor, Tensor]:
    photo, shape, weight = (on_device(part, device) for part in (batch.photo, batch.shape, batch.weight))
    with torch.no_grad():
        first, seen = network.before_doubt(as_encoded(photo))
        cells = functional.max_pool2d(shape * (weight > 0.3), GATE_STRIDE)
        near = (functional.max_pool2d(cells, 3, 1, 1) > 0.4).float()
    return first + network.doubt(*seen), near


def _note_hardness(views: Views, batch: Seen, logits: Tensor) -> None:
    unmarked = int((~batch.is_marked).sum())
    found = torch.sigmoid(logits[:unmarked]).flatten(1)
    count = max(1, int(HIGHEST_SHARE * found.shape[1]))
    numbers = batch.numbers[:unmarked]
    views.hardness[numbers] = 0.5 * (views.hardness[numbers] + found.topk(count, dim=1).values.mean(1).cpu())


def _keep(network: WatermarkNetwork, average: AveragedModel, state_file: Path) -> None:
    """The mean of the weights, with the norms' own statistics."""
    state = {**network.doubt.state_dict(), **average.module.state_dict()}
    norms = {name: value for name, value in network.doubt.state_dict().items() if "running" in name}
    part = state_file.with_suffix(".part")
    torch.save({**state, **norms}, part)
    part.replace(state_file)
