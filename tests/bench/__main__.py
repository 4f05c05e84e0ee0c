"""
Measure everything and print the table: `python -m tests.bench [--quick] [--no-rembg] [--precision all] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ml.errors import WeightsMissingError
from ml.weights.choice import choose_background
from tests.bench import around, bare, others, photo, rembg, seams, service
from tests.bench.errors import BenchError
from tests.bench.measuring import FULL, QUICK, Measuring, Subject
from tests.bench.processor import this_processor
from tests.bench.report import as_json, comparison, table


def main() -> int:
    """Returns 0 however slow everything is, 1 if something is broken."""
    options = _arguments()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # each ends what was started
        signal.signal(sig, signal.default_int_handler)
    reports: list[Measuring] = []
    try:
        for precision in _precisions(options.precision):
            reports.append(_measure(options, precision))
            print(f"\n{table(reports[-1])}\n", flush=True)
    except (BenchError, WeightsMissingError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if len(reports) > 1:
        print(comparison(reports))
    if options.json:
        figures = [as_json(report) for report in reports]
        options.json.write_text(json.dumps(figures if len(figures) > 1 else figures[0], indent=2) + "\n")
    return 0


def _precisions(asked: str) -> tuple[str, ...]:
    """Those to start the service with."""
    from ml.sessions.precision import supported

    return supported() if asked == "all" else (asked,)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of everything; less exact")
    parser.add_argument("--no-rembg", action="store_true", help="leave rembg's server out; a third less time")
    parser.add_argument("--quality", choices=("best", "fast"), default="best", help="what the requests ask for")
    parser.add_argument(
        "--precision",
        choices=("auto", "f32", "bf16", "int8", "all"),
        default="auto",
        help="in which the service runs its networks; all: one after the other, and a table that compares them",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")
    parser.add_argument("--photo", type=Path, metavar="FILE", help="use this photo, scaled to one megapixel")
    parser.add_argument("--url", help="measure a service that runs already, without starting one")
    parser.add_argument("--key", default=os.environ.get("KEYLINE_API_KEY", ""), help="its API key")
    options = parser.parse_args()
    if options.url and not options.key:
        parser.error("--url needs --key")
    if options.url and options.precision != "auto":
        parser.error("a service that runs already has chosen its precision: leave --precision out")
    return options


def _measure(options: argparse.Namespace, precision: str) -> Measuring:
    amounts = QUICK if options.quick else FULL
    picture, sentence = photo.one_megapixel(options.photo)
    spec = choose_background("best", service.weights_dir()).spec
    cores, processor = len(os.sched_getaffinity(0)), this_processor()
    say = _Progress()
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="keyline-bench-photo-")))
        file = folder / "photo.jpg"
        file.write_bytes(picture)
        longer = "" if options.no_rembg else ", and half as long again for rembg"
        say(f"{spec.name} on {cores} cores ({processor}); {sentence}. About {amounts.about}{longer}.")
        say(f"Authentication, limits, hold and capture: {amounts.seam_rounds} requests each way in one process ...")
        seam_facts = seams.measure(amounts.seam_rounds)
        say("What a request costs around its networks, stage by stage ...")
        around_facts = around.measure(amounts.around_rounds, file)
        say("Starting a stack of its own, twice ..." if not options.url else f"Looking at {options.url} ...")
        target = running.enter_context(_service(options, precision))
        served_in = others.precision_of(target.url, target.api_key, picture)
        weights = bare.networks(service.weights_dir(), spec.name, options.quality)
        say(f"Loading its networks alone twice: in onnxruntime, and in {served_in} as the service runs them ...")
        plain = running.enter_context(bare.Bare(weights, file))
        served = running.enter_context(bare.Bare(weights, file, precision=served_in))
        rival = None if options.no_rembg else _rembg(running, spec.name, weights[0], say)
        subject = Subject(spec.name, served_in, options.quality, cores, processor, picture, sentence)
        measuring = Measuring(subject, target, plain, served, amounts, say, rembg=rival)
        measuring.seams, measuring.around = seam_facts, around_facts
        measuring.run()
        say("Large photos, garments, watermarks, clicks ...")
        measuring.others = others.measure(target.url, target.api_key, picture, rounds=amounts.other_rounds)
    return measuring


def _rembg(running: contextlib.ExitStack, model: str, weights: Path, say: Callable[[str], None]) -> rembg.Rembg | None:
    """Install and start it, or say why it is not there: the bench goes on without."""
    try:
        program = rembg.install(say)
        say("Starting rembg's server ...")
        return running.enter_context(rembg.running(program, model, weights))
    except BenchError as error:
        say(f"rembg is left out: {error}")
        return None


@contextlib.contextmanager
def _service(options: argparse.Namespace, precision: str) -> Iterator[service.Service]:
    if options.url:
        yield service.running_stack(options.url, options.key)
        return
    with service.private_stack(INFERENCE_PRECISION=precision) as target:
        yield target


class _Progress:
    """Lines with the minutes and seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, sentence: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        print(f"{minutes}:{seconds:02d}  {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
