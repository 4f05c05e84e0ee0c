"""
`python -m ml.evaluation` (`make evaluate`): how good the cuts are, on photos whose truth is known.

Beside our pipelines it measures the plain recipe: the network's matte, grown to the photo's size, and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from ml.errors import MlError
from ml.evaluation import measuring, recipes, report
from ml.evaluation.edges import EdgeColours
from ml.evaluation.errors import EvaluationError
from ml.evaluation.measuring import Judged
from ml.evaluation.sets import SETS, LabelledSet, SetReader, choose
from ml.evaluation.sheet import Sheet
from ml.models import Models
from ml.sessions.precision import Wish
from ml.weights.fetch import default_dir

DATA = "EVALUATION_DATA"


def main(argv: Sequence[str] | None = None, *, models: Models | None = None) -> int:
    """Measure and print; 0 when it was done, 1 with a sentence when it could not be, 130 when it was broken off."""
    options = _arguments(argv)
    try:
        return _evaluate(options, models or Models(options.weights, precision=options.precision))
    except MlError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.evaluation", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"where the sets' tars lie (or set {DATA})")
    parser.add_argument("--sets", metavar="A,B", help=f"some of {', '.join(SETS)}")
    parser.add_argument("--limit", type=_at_least_one, metavar="N", help="so many photos of each set, evenly chosen")
    parser.add_argument("--recipe", default="plain,best", metavar="A,B", help="some of " + ", ".join(recipes.NAMES))
    parser.add_argument("--weights", type=Path, default=default_dir(), metavar="FOLDER", help="the networks' weights")
    parser.add_argument("--precision", default="f32", choices=get_args(Wish), help="in which the networks compute")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw the worst photos and a random sample")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")
    return parser.parse_args(argv)


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _evaluate(options: argparse.Namespace, models: Models) -> int:
    folder = _folder(options.data)
    wanted = _there(choose(options.sets), folder, is_named=bool(options.sets))
    loaded = recipes.load(options.recipe, models)
    sheet = Sheet() if options.sheet else None
    judged: list[Judged] = []
    edges: list[EdgeColours] = []
    is_whole = True
    with contextlib.ExitStack() as running:
        readers = [running.enter_context(SetReader(labelled, folder)) for labelled in wanted]
        progress = _Progress(measuring.count(readers, options.limit))
        try:
            for step in measuring.run(readers, loaded, limit=options.limit, watcher=sheet):
                judged += step.judged
                edges += [step.edges] if step.edges else []
                progress.advance(step.judged[0].set_name)
        except KeyboardInterrupt:  # hours may have gone into what is there
            is_whole = False
    if not is_whole:
        sys.stderr.write("\nBroken off; the tables are of what was measured so far.\n")
    sys.stdout.write(f"\n{report.text(judged, edges)}\n")
    if options.json:
        _write_json(options.json, report.as_json(judged, edges))
    if sheet:
        sheet.save(options.sheet)
    return 0 if is_whole else 130


def _folder(asked: Path | None) -> Path:
    """Where the tars lie. Raises EvaluationError where nobody said it, or nothing is there."""
    folder = asked or (Path(os.environ[DATA]) if os.environ.get(DATA) else None)
    files = ", ".join(f"{name}.tar" for name in SETS)
    if folder is None:
        raise EvaluationError(f"Say where the labelled photos lie: --data FOLDER or {DATA}=FOLDER, with {files} in it.")
    if not folder.is_dir():
        raise EvaluationError(f"There is no folder {folder}; it should hold {files}.")
    return folder


def _there(wanted: list[LabelledSet], folder: Path, *, is_named: bool) -> list[LabelledSet]:
    """The sets whose tars are in the folder; one that was asked for by name must be. Raises EvaluationError."""
    missing = [labelled.name for labelled in wanted if not (folder / f"{labelled.name}.tar").is_file()]
    if missing and (is_named or len(missing) == len(wanted)):
        raise EvaluationError(f"{folder} has no {', '.join(f'{name}.tar' for name in missing)}.")
    if missing:
        sys.stderr.write(f"Not in {folder}, so left out: {', '.join(missing)}.\n")
    return [labelled for labelled in wanted if labelled.name not in missing]


def _write_json(path: Path, facts: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        raise EvaluationError(f"{path} can't be written: {error}.") from error


class _Progress:
    """One line that changes in a terminal, and a line for every twentieth photo elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._began = time.monotonic()

    def advance(self, set_name: str) -> None:
        self._done += 1
        left_s = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        line = f"{self._done} of {self._total} photos ({set_name}), about {left_s / 60:.0f} min left"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line}\033[K" + ("\n" if self._done == self._total else ""))
        elif self._done % 20 == 0 or self._done == self._total:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
