"""Draw how training went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Curve = Sequence[tuple[int, float]]
"""(step, value) each."""


def draw_curves(loss: Curve, iou: Curve, file: Path, *, iou_is: str, of: str) -> None:
    """
    Write a PNG: the loss on the left axis, the IoU on validation on the right one.

    Args:
        loss: 0 and more.
        iou: 0..1.
        iou_is: what the legend calls it.
        of: what it is the IoU of, for the axis.
    """
    figure, left = plt.subplots(figsize=(8, 4.5), layout="constrained")
    right = left.twinx()
    left.plot(*zip(*loss, strict=True), color="tab:grey", label="loss")
    right.plot(*zip(*iou, strict=True), color="tab:blue", label=f"{iou_is}, validation")
    left.set(xlabel="step", ylabel="loss", ylim=(0, None))
    right.set(ylabel=f"mean IoU {of}", ylim=(0, 1))
    figure.legend(loc="upper center", ncols=2)
    figure.savefig(file, dpi=120)
    plt.close(figure)
