"""`python -m ml.training.clothing --data FOLDER [--device cuda] [--minutes 40]`: make `ml/weights/clothing.onnx` again."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ml.evaluation.errors import EvaluationError
from ml.models import Models
from ml.picture.types import Matte, RgbImage
from ml.training.clothing.measure import agreement_of
from ml.training.clothing.network import ClothingNetwork, Served
from ml.training.clothing.photos import LabelledPhoto, read_flat_lays, read_street, read_without_clothes
from ml.training.clothing.samples import Sources
from ml.training.clothing.train import Recipe, Training, fine, polish, start_from, steps_within
from ml.training.curves import draw_curves
from ml.training.encoder import imagenet_encoder
from ml.training.onnx_file import write_onnx
from ml.weights import catalogue, made_here
from ml.weights.fetch import default_dir

logger = logging.getLogger(__name__)


def main() -> int:
    """Prepare, train, export; a second call goes on from what is there."""
    parser = argparse.ArgumentParser(prog="python -m ml.training.clothing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the labelled sets' tars")
    parser.add_argument(
        "--work", type=Path, default=Path("var/training/clothing"), help="masks and state are kept here"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, help="CPU threads; by default torch's own choice")
    parser.add_argument("--minutes", type=float, default=45, help="how long to train")
    parser.add_argument(
        "--steps", type=int, help="instead of minutes: how many batches, to make the same weights again"
    )
    parser.add_argument(
        "--fine",
        type=Path,
        metavar="FILE",
        help="a second, finer cycle from an earlier one's state.pt or exported .onnx",
    )
    parser.add_argument("--polish", type=Path, metavar="FILE", help="a third one, likewise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=made_here.FOLDER / made_here.CLOTHING.name)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        sources, val = _photos(options)
    except EvaluationError as error:
        raise SystemExit(str(error)) from error
    network = _train(options, sources, val)
    write_onnx(Served(network), torch.zeros(1, 3, 512, 192), options.out, any_sides=True)
    logger.info("wrote %s", options.out)
    return 0


def _photos(options: argparse.Namespace) -> tuple[Sources, list[LabelledPhoto]]:
    network = Models(default_dir()).saliency(catalogue.U2NETP)

    def saliency(image: RgbImage) -> Matte:
        return network.predict(image)

    street = read_street(options.data, ("train", "val"), learns_ambiguous=bool(options.polish))
    flat = read_flat_lays(options.data, options.work / "flat-lays", saliency, ("train",))["train"]
    sources = Sources(street["train"], flat, read_without_clothes(options.data))
    logger.info("%d street photos, %d flat-lays, %d without clothes", *map(len, (street["train"], flat, sources.bare)))
    return sources, street["val"]


def _train(options: argparse.Namespace, sources: Sources, val: list[LabelledPhoto]) -> ClothingNetwork:
    def training(steps: int, state: Path) -> Training:
        torch.manual_seed(options.seed)
        recipe = Recipe(steps=steps, seed=options.seed, device=options.device)
        network = ClothingNetwork(imagenet_encoder())
        if earlier:
            start_from(network, earlier)
        return Training(network, sources, manner(recipe), state)

    earlier: Path | None = options.polish or options.fine
    manner = polish if options.polish else fine if options.fine else replace
    state = options.work / ("polish.pt" if options.polish else "fine.pt" if options.fine else "state.pt")
    steps = options.steps
    if steps is None and state.exists():
        steps = torch.load(state, map_location="cpu", weights_only=True)["steps"]
    if steps is None:
        steps = steps_within(options.minutes, training(10_000, state))
    logger.info("%d steps; every look at validation keeps the state", steps)
    going = training(steps, state)

    def look(network: ClothingNetwork) -> float:
        agreement = agreement_of(network, val, options.device)
        logger.info("  %s, any %.3f", {k: round(v, 3) for k, v in agreement.by_class.items()}, agreement.any_clothes)
        return agreement.mean

    network = going.run(look)
    curves, file = going.curves, options.work / "curves.png"
    draw_curves(curves.loss, curves.iou, file, iou_is="mean IoU", of="over seven classes")
    return network


if __name__ == "__main__":
    sys.exit(main())
