"""
`python -m ml.training.watermark --data FOLDER [--device cuda] [--minutes 65]`: make `ml/weights/watermark.onnx` and
`ml/weights/repair.onnx` again.

`python -m ml.training.watermark sheet --data FOLDER` draws a contact sheet of the marks, `export` writes what is learnt
so far, `gate` teaches the finder's second opinion alone (`gate-export` writes it as it is so far).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ml.evaluation.errors import EvaluationError
from ml.evaluation.watermark.marks import Marked
from ml.evaluation.watermark.photos import SETS, UNMARKED_SETS, CleanPhoto, read_photos
from ml.evaluation.watermark.strokes import Assets, read_assets
from ml.picture.types import Matte, RgbImage
from ml.training.curves import draw_curves
from ml.training.encoder import imagenet_encoder
from ml.training.onnx_file import write_onnx
from ml.training.watermark.from_onnx import start_from_onnx, stroke_from_of
from ml.training.watermark.gate import GateRecipe, teach_gate, with_gate
from ml.training.watermark.measure import (
    VALIDATION,
    Predict,
    draw_clean,
    draw_marked,
    image_score,
    of_purpose,
    scores,
    seen_by,
)
from ml.training.watermark.network import Served, WatermarkNetwork
from ml.training.watermark.repair import RepairNetwork
from ml.training.watermark.repair import Served as ServedRepair
from ml.training.watermark.sheet import draw_sheet
from ml.training.watermark.train import Measure, Recipe, Training, as_encoded, averaged
from ml.training.watermark.views import Views, Wish, batches, on_device
from ml.watermark.finder import WatermarkNetwork as SeeingNetwork

logger = logging.getLogger(__name__)

WEIGHTS = Path("ml/weights")
FINDER, REPAIRER = "watermark.onnx", "repair.onnx"
GATE_BATCH, GATE_SIDE_PX = 8, 256
"""The views that teach the second opinion."""

CALIBRATED_ON = 8
"""Batches that exported networks are brought back to training with."""

SHOWN, CLEAN, SEED = 36, 20, 7
"""Photos of validation at each look: marked, and clean."""
STROKE_FROM = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""Probabilities that are tried on validation as the least of a stroke."""


def main() -> int:
    """Prepare, train, export; a second call goes on from what is there."""
    parser = argparse.ArgumentParser(prog="python -m ml.training.watermark", description=__doc__)
    parser.add_argument("what", nargs="?", default="train", choices=("train", "export", "sheet", "gate", "gate-export"))
    parser.add_argument("--data", type=Path, required=True, help="the folder with the photo sets' tars")
    parser.add_argument("--work", type=Path, default=Path("var/training/watermark"), help="state is kept here")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, help="CPU threads; by default torch's own choice")
    parser.add_argument("--minutes", type=float, default=65, help="how long to train")
    parser.add_argument("--steps", type=int, help="instead of minutes: how many batches")
    parser.add_argument("--start", type=Path, help="what to begin with: a kept state.pt, or a folder with both .onnx")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finder", action="store_true", help="teach the one that finds, leave the one that repairs")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw views beside the training")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the folder to write both files to")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        return _do(options)
    except EvaluationError as error:
        raise SystemExit(str(error)) from error


def _do(options: argparse.Namespace) -> int:
    if options.what.startswith("gate"):
        return _teach_gate(options)
    state = options.work / "state.pt"
    if options.what == "sheet":
        file = options.work / "marks.png"
        draw_sheet(read_photos(options.data, "train"), read_assets("train"), options.seed, file)
        logger.info("wrote %s", file)
        return 0
    networks = WatermarkNetwork(imagenet_encoder()), RepairNetwork()
    marked, clean = _validation(options.data)
    if options.what == "export":
        averaged(networks, state)
    else:
        photos, assets = _clean_photos(options.data), read_assets("train")
        logger.info("%d photos, %d fonts", len(photos), len(assets.fonts))
        recipe = Recipe(
            60 * options.minutes,
            steps=options.steps,
            seed=options.seed,
            device=options.device,
            workers=options.workers,
            repairs=not options.finder,
        )
        if options.start:
            recipe = replace(recipe, faintest=recipe.faintest[1:] * 2)
            _begin_with(options.start, networks, photos, assets, recipe)
        training = Training(networks, photos, assets, recipe, state)
        networks = training.run(_look(marked, clean, options.device))
        curves, file = training.curves, options.work / "curves.png"
        draw_curves(curves.loss, curves.iou, file, iou_is="IoU", of="of strokes")
    finder, repairer = networks
    stroke_from = _stroke_from(finder, marked, options.device)
    logger.info("a stroke from %.2f on: that becomes one half", stroke_from)
    write_onnx(Served(finder, stroke_from), torch.zeros(1, 3, 256, 320), options.out / FINDER, any_sides=True)
    write_onnx(ServedRepair(repairer), torch.zeros(1, 4, 256, 320), options.out / REPAIRER, any_sides=True)
    logger.info("wrote %s and %s in %s", FINDER, REPAIRER, options.out)
    return 0


def _clean_photos(data: Path) -> list[CleanPhoto]:
    return read_photos(data, "train", sets=SETS + UNMARKED_SETS)


def _teach_gate(options: argparse.Namespace) -> int:
    state, start = options.work / "gate.pt", options.start or WEIGHTS
    network, assets = WatermarkNetwork(imagenet_encoder()), read_assets("train")
    views = Views(_clean_photos(options.data), assets, options.seed, lambda _: Wish(GATE_BATCH, GATE_SIDE_PX, 0.1))
    some = [as_encoded(on_device(views[step].photo, "cpu")) for step in range(2)]
    start_from_onnx(network, start / FINDER, [(part,) for part in some], newer=network.doubt)
    if options.what == "gate":
        recipe = GateRecipe(60 * options.minutes, options.steps, workers=options.workers, device=options.device)
        teach_gate(network, views, recipe, state)
    with_gate(network, state)
    served = Served(network, stroke_from_of(start / FINDER))
    write_onnx(served, torch.zeros(1, 3, 256, 320), options.out / FINDER, any_sides=True)
    logger.info("wrote %s in %s", FINDER, options.out)
    return 0


def _begin_with(
    start: Path,
    networks: tuple[WatermarkNetwork, RepairNetwork],
    photos: Sequence[CleanPhoto],
    assets: Assets,
    recipe: Recipe,
) -> None:
    if not start.is_dir():
        averaged(networks, start)
        return
    seen = list(
        islice(batches(Views(photos, assets, recipe.seed, recipe.wish), first_step=0, workers=0), CALIBRATED_ON)
    )
    views = [(as_encoded(on_device(batch.photo, "cpu")),) for batch in seen]
    masks = [on_device(batch.shape, "cpu") for batch in seen]
    start_from_onnx(networks[0], start / FINDER, views, newer=networks[0].doubt)
    start_from_onnx(networks[1], start / REPAIRER, [(*view, mask) for view, mask in zip(views, masks, strict=True)])


def _validation(data: Path) -> tuple[list[Marked], list[RgbImage]]:
    """The marked and the clean photos of every look."""
    held_out = of_purpose(read_photos(data, "test"), VALIDATION)
    marked = draw_marked(held_out, read_assets("test"), count=SHOWN, seed=SEED)
    return marked, draw_clean(held_out, count=CLEAN, seed=SEED)


def _look(marked: Sequence[Marked], clean: Sequence[RgbImage], device: str) -> Measure:
    def look(network: WatermarkNetwork) -> float:
        predict = predict_with(network, device)
        maps = [predict(one.image)[..., 0] for one in marked]
        alarms = [image_score(predict(image)) for image in clean]
        for sure in (0.5, 0.3):
            for kind, score in scores([one > sure for one in maps], marked).items():
                figures = score.iou, score.recall, score.precision
                logger.info("  %.1f %-7s IoU %.3f recall %.3f precision %.3f", sure, kind, *figures)
        logger.info("  scores of clean photos: %s", np.quantile(alarms, (0.5, 0.8, 0.9, 0.95)).round(2))
        return max(_mean_iou(maps, marked, sure) for sure in STROKE_FROM)

    return look


def _stroke_from(network: WatermarkNetwork, marked: Sequence[Marked], device: str) -> float:
    predict = predict_with(network, device)
    maps = [predict(one.image)[..., 0] for one in marked]
    return max(STROKE_FROM, key=lambda sure: _mean_iou(maps, marked, sure))


def _mean_iou(maps: Sequence[Matte], marked: Sequence[Marked], sure: float) -> float:
    return scores([one > sure for one in maps], marked)["all"].iou


class _Asked:
    """A network in training, asked as the service asks it (`ml.watermark.finder.Session`)."""

    def __init__(self, network: WatermarkNetwork, device: str) -> None:
        self._served, self.device = Served(network).to(device), device

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            maps = self._served(torch.from_numpy(tensor).to(self.device))
        return np.asarray(maps.cpu().numpy(), np.float32)


def predict_with(network: WatermarkNetwork, device: str) -> Predict:
    """Ask a network about whole photos."""
    return seen_by(SeeingNetwork(_Asked(network, device)))


if __name__ == "__main__":
    sys.exit(main())
