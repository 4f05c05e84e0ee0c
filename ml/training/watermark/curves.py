"""Draw how training went."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from ml.training.watermark.train import Curves


def draw_curves(curves: Curves, file: Path) -> None:
    """Write a PNG: loss on the left axis, mean IoU on validation on the right one."""
    figure, left = plt.subplots(figsize=(8, 4.5), layout="constrained")
    right = left.twinx()
    left.plot(*zip(*curves.loss, strict=True), color="tab:grey", label="loss")
    right.plot(*zip(*curves.iou, strict=True), color="tab:blue", label="IoU, validation")
    left.set(xlabel="step", ylabel="loss", ylim=(0, None))
    right.set(ylabel="mean IoU of strokes", ylim=(0, 1))
    figure.legend(loc="upper center", ncols=2)
    figure.savefig(file, dpi=120)
    plt.close(figure)
