"""
`python -m ml.evaluation.watermark`: how well marks are found and removed, on held-out photos, fonts and logos.

Marks are drawn (`ml.evaluation.watermark.marks`), so the clean photo, the strokes and their opacity are known.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ml.errors import MlError, TemplateError
from ml.evaluation.watermark.marks import KINDS, Kind, Marked, draw_mark
from ml.evaluation.watermark.photos import CleanPhoto, read_photos, read_real
from ml.evaluation.watermark.strokes import Assets, read_assets
from ml.models import Models
from ml.picture.types import Mask, RgbImage
from ml.watermark.pipeline import Removal, WatermarkPipeline
from ml.watermark.template.mark import MarkTemplate, template_from_png
from ml.weights.fetch import default_dir

SETS = ("photos_natural", "garments_flatlay", "saliency_ecssd")
SEED = 20
SEEN, STROKE = 0.02, 0.5
"""Of alpha and of shape: what counts as marked for the errors, and as a stroke for the overlap."""

OPAQUE = 0.8
LEAST_MARKED_PX = 60
FIVE_HW = 280, 360


@dataclass(frozen=True, slots=True)
class Score:
    """One removal: errors are mean absolute levels inside the true mark, `gain_db` is PSNR there against before."""

    kind: Kind
    opacity: float
    error_before: float
    error_after: float
    gain_db: float
    overlap: float
    recall: float
    is_same_outside: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when it was done, 1 with a sentence when it could not be."""
    parser = argparse.ArgumentParser(prog="python -m ml.evaluation.watermark", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="where the sets' tars lie")
    parser.add_argument("--each", type=int, default=30, metavar="N", help="marked photos of each kind")
    parser.add_argument("--part", choices=("train", "test"), default="test", help="whose photos, fonts and logos")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw the worst twenty and twenty others")
    options = parser.parse_args(argv)
    try:
        _evaluate(options)
    except MlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _evaluate(options: argparse.Namespace) -> None:
    pipeline = Models(default_dir()).watermark()
    _say("what", "value")
    _say("---", "---")
    for megapixels in (1, 12):
        seconds, peak_mb = _time_of(pipeline, megapixels)
        _say(f"{megapixels} MP: seconds, peak MB of the process so far", f"{seconds:.1f}, {peak_mb:.0f}")
    assets = read_assets(options.part)
    photos = read_photos(options.data, options.part, sets=SETS)
    scores, rows = _automatic(pipeline, photos, assets, options.each)
    for kind in KINDS:
        own = [score for score in scores if score.kind == kind]
        _say(f"detection, {kind}: mask IoU, recall", f"{_mean(own, 'overlap'):.2f}, {_mean(own, 'recall'):.2f}")
    _say("detection, all: mask IoU, recall", f"{_mean(scores, 'overlap'):.2f}, {_mean(scores, 'recall'):.2f}")
    if options.sheet:
        _draw(rows, options.sheet)
    _removal_rows(scores)
    _say("clean photos with any region", f"{_false_alarms(pipeline, photos, 3 * options.each):.1%}")
    _given_rows(pipeline, photos, assets, options.each)
    _say("watermark_real, image-level AUC", f"{_real_auc(pipeline, options.data):.2f}")


def _removal_rows(scores: list[Score]) -> None:
    faint = [score for score in scores if score.opacity <= OPAQUE]
    opaque = [score for score in scores if score.opacity > OPAQUE]
    total = sum(score.error_after for score in scores) / max(1e-6, sum(score.error_before for score in scores))
    ratio = np.mean([score.error_after / score.error_before for score in scores])
    _say("error inside the mask / untouched: of all pixels, mean of photos", f"{total:.2f}, {ratio:.2f}")
    _say("see-through, automatic: PSNR gain", f"{_mean(faint, 'gain_db'):+.1f} dB ({len(faint)})")
    _say("opaque, automatic: PSNR gain", f"{_mean(opaque, 'gain_db'):+.1f} dB ({len(opaque)})")
    better = np.mean([score.error_after < score.error_before for score in scores])
    worse = np.mean([score.error_after > 1.02 * score.error_before for score in scores])
    _say("photos made better, made worse", f"{better:.0%}, {worse:.0%}")
    _say("outside the mask unchanged", f"{np.mean([score.is_same_outside for score in scores]):.0%}")


def _given_rows(pipeline: WatermarkPipeline, photos: list[CleanPhoto], assets: Assets, each: int) -> None:
    smeared, templated = [], []
    for number, marked in enumerate(_marked(photos, assets, each, opacity=(0.1, OPAQUE), first=1000)):
        if number % 2:
            smeared.append(_score(marked, pipeline.run(marked.image, smear=marked.shape > 0.3)))
        else:
            templated.append(_score(marked, pipeline.run(marked.image, template=_png_of(marked))))
    _say("see-through, precise smear: PSNR gain", f"{_mean(smeared, 'gain_db'):+.1f} dB ({len(smeared)})")
    _say("see-through, PNG template: PSNR gain", f"{_mean(templated, 'gain_db'):+.1f} dB ({len(templated)})")
    five = list(_five(pipeline, photos, assets, max(4, each // 2)))
    _say("see-through, five photos: PSNR gain", f"{_mean(five, 'gain_db'):+.1f} dB ({len(five)})")


def _png_of(marked: Marked) -> MarkTemplate:
    alpha = np.round(marked.alpha * 255)[..., None]
    return template_from_png(np.concatenate([np.clip(marked.colour, 0, 255), alpha], -1).astype(np.uint8))


def _marked(
    photos: list[CleanPhoto], assets: Assets, each: int, *, opacity: tuple[float, float] = (0.1, 1.0), first: int = 0
) -> Iterator[Marked]:
    for number in range(first, first + each * len(KINDS)):
        rng = np.random.default_rng([SEED, number])
        photo = photos[int(rng.integers(len(photos)))].image
        marked = draw_mark(photo, rng, kind=KINDS[number % len(KINDS)], assets=assets, opacity_range=opacity)
        if np.count_nonzero(marked.alpha > SEEN) >= LEAST_MARKED_PX:
            yield marked


def _automatic(
    pipeline: WatermarkPipeline, photos: list[CleanPhoto], assets: Assets, each: int
) -> tuple[list[Score], list[tuple[float, RgbImage]]]:
    scores, rows = [], []
    for marked in _marked(photos, assets, each):
        removal = pipeline.run(marked.image)
        score = _score(marked, removal)
        scores.append(score)
        mask = np.repeat(removal.mask[..., None], 3, 2)
        rows.append(
            (score.error_after / score.error_before, np.hstack([marked.image, removal.image, marked.clean, mask]))
        )
    return scores, rows


def _score(marked: Marked, removal: Removal) -> Score:
    image, mask = removal.image, removal.mask > 0
    inside = marked.alpha > SEEN
    clean = marked.clean.astype(np.float32)
    before, after = (np.abs(picture.astype(np.float32) - clean)[inside] for picture in (marked.image, image))
    gain = 10 * np.log10(max(0.1, float((before**2).mean())) / max(0.1, float((after**2).mean())))
    truth = marked.shape > STROKE
    both, either = int(np.count_nonzero(mask & truth)), int(np.count_nonzero(mask | truth))
    return Score(
        kind=marked.kind,
        opacity=marked.opacity,
        error_before=max(0.1, float(before.mean())),
        error_after=float(after.mean()),
        gain_db=float(gain),
        overlap=both / max(1, either),
        recall=both / max(1, int(np.count_nonzero(truth))),
        is_same_outside=_is_same(image, marked.image, ~mask),
    )


def _is_same(one: RgbImage, other: RgbImage, where: Mask) -> bool:
    return bool((one[where] == other[where]).all())


def _five(pipeline: WatermarkPipeline, photos: list[CleanPhoto], assets: Assets, groups: int) -> Iterator[Score]:
    rows, columns = FIVE_HW
    large = [photo.image for photo in photos if photo.image.shape[0] >= rows and photo.image.shape[1] >= columns]
    for number in range(groups):
        rng = np.random.default_rng([SEED, 2000 + number])
        crops = [np.ascontiguousarray(large[i][:rows, :columns]) for i in rng.choice(len(large), 5, replace=False)]
        five = [
            draw_mark(
                crop,
                np.random.default_rng([SEED, 3000 + number]),
                kind=KINDS[number % len(KINDS)],
                assets=assets,
                opacity_range=(0.1, OPAQUE),
            )
            for crop in crops
        ]
        if np.count_nonzero(five[0].alpha > SEEN) < LEAST_MARKED_PX:
            continue
        try:
            template = pipeline.learn([marked.image for marked in five])
        except TemplateError:
            template = None
        for marked in five:
            removal = pipeline.run(marked.image, template=template) if template else pipeline.run(marked.image)
            yield _score(marked, removal)


def _false_alarms(pipeline: WatermarkPipeline, photos: list[CleanPhoto], count: int) -> float:
    clean = [photo for photo in photos if photo.set_name != "photos_natural"]
    chosen = np.random.default_rng(SEED).permutation(len(clean))[:count]
    return float(np.mean([pipeline.run(clean[i].image, detect_only=True).detected for i in chosen]))


def _real_auc(pipeline: WatermarkPipeline, data: Path) -> float:
    """How often a marked photo scores higher than a clean one; the score is that of its surest region."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    for _, image, is_marked in read_real(data):
        scores[is_marked].append(pipeline.score(image))
    marked, clean = np.array(scores[True])[:, None], np.array(scores[False])[None]
    return float((marked > clean).mean() + 0.5 * (marked == clean).mean())


def _time_of(pipeline: WatermarkPipeline, megapixels: int) -> tuple[float, float]:
    width, height = (1154, 866) if megapixels == 1 else (4000, 3000)
    rng = np.random.default_rng(SEED)
    small = rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    photo = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    for column in range(4):
        at = int(width * (0.05 + 0.25 * column)), int(height * (0.2 + 0.2 * column))
        cv2.putText(photo, "SAMPLE", at, cv2.FONT_HERSHEY_SIMPLEX, width / 900, (255, 255, 255), max(2, width // 300))
    start = time.perf_counter()
    pipeline.run(np.asarray(photo, np.uint8))
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _mean(scores: Sequence[Score], name: str) -> float:
    return float(np.mean([getattr(score, name) for score in scores])) if scores else float("nan")


def _say(what: str, value: str) -> None:
    sys.stdout.write(f"| {what} | {value} |\n")
    sys.stdout.flush()


def _draw(rows: list[tuple[float, RgbImage]], file: Path) -> None:
    """Marked, restored, clean and mask: the worst twenty, then twenty spread over the rest."""
    worst_first = [row for _, row in sorted(rows, key=lambda item: -item[0])]
    rest = worst_first[20:]
    chosen = worst_first[:20] + rest[:: max(1, len(rest) // 20)][:20]
    width = 1400
    lines = [cv2.resize(row, (width, round(row.shape[0] * width / row.shape[1]))) for row in chosen]
    cv2.imwrite(str(file), np.vstack(lines)[..., ::-1])


if __name__ == "__main__":
    sys.exit(main())
