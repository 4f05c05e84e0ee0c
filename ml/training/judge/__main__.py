"""`python -m ml.training.judge [--device cuda] [--prepared FILE] --data FOLDER`: make `ml/weights/judge.onnx` again."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch

from ml.evaluation.errors import EvaluationError
from ml.training.encoder import imagenet_encoder
from ml.training.judge.export import export
from ml.training.judge.network import Judge
from ml.training.judge.prepare import prepare
from ml.training.judge.samples import Samples
from ml.training.judge.train import Recipe, train
from ml.weights import made_here
from ml.weights.fetch import default_dir


def main() -> int:
    """Prepare, train, export; each step goes on from what is there."""
    parser = argparse.ArgumentParser(prog="python -m ml.training.judge", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the labelled sets' tars")
    parser.add_argument("--work", type=Path, default=Path("var/training/judge"), help="samples and state are kept here")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--out", type=Path, default=made_here.FOLDER / made_here.JUDGE.name)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    prepared = options.work / "samples.npz"
    if not prepared.exists():
        try:
            prepare(options.data, default_dir()).save(prepared)
        except EvaluationError as error:
            raise SystemExit(str(error)) from error
    recipe = Recipe(device=options.device, epochs=options.epochs, small_epochs=max(0, options.epochs - 2))
    torch.manual_seed(recipe.seed)
    judge = train(Judge(imagenet_encoder()), Samples.load(prepared), recipe, options.work / "state.pt")
    export(judge, options.out)
    logging.getLogger(__name__).info("wrote %s", options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
