"""
`python -m ml.training.watermark.evaluate --data FOLDER`: how well the network finds marks that nothing was learnt from.

Photos, fonts, logos and words are held out. `--validation` measures on the photos on which settings are chosen; without it
the others are measured, and the worst twenty are drawn. "Seen" is every stroke that the network sees, "reported" those
of marks that it is sure of.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ml.evaluation.watermark.marks import Marked
from ml.evaluation.watermark.photos import CleanPhoto, read_photos, read_real
from ml.evaluation.watermark.strokes import read_assets
from ml.picture.types import Mask, RgbImage
from ml.sessions.openvino import OpenVinoSession
from ml.sessions.slots import InferenceSlots
from ml.training.watermark import pages, patterns
from ml.training.watermark.measure import (
    TEST,
    VALIDATION,
    Maps,
    Predict,
    auc,
    draw_clean,
    draw_marked,
    found_strokes,
    image_score,
    of_purpose,
    score_one,
    scores,
    seen_by,
)
from ml.training.watermark.sheet import fit
from ml.watermark.finder import WatermarkNetwork

logger = logging.getLogger(__name__)

WEIGHTS = Path("ml/weights/watermark.onnx")
CLEAN_SETS = ("saliency_ecssd", "garments_flatlay")
SEEDS = {VALIDATION: 7, TEST: 11}
WORST, SEEN = 20, 0.5
PATTERN_HW = 480, 640


def main() -> int:
    """Measure; gives figures on standard output and a sheet of the worst."""
    parser = argparse.ArgumentParser(prog="python -m ml.training.watermark.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the photo sets' tars")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--validation", action="store_true", help="try rules on the photos they are chosen on")
    parser.add_argument("--count", type=int, default=180, help="marked photos")
    parser.add_argument("--clean", type=int, default=200, help="unmarked photos")
    parser.add_argument("--real", action="store_true", help="product photos from shops too")
    parser.add_argument("--sheet", type=Path, default=Path("var/training/watermark/worst.png"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    purpose = VALIDATION if options.validation else TEST
    predict = open_network(options.weights)
    photos = of_purpose(read_photos(options.data, "test"), purpose)
    marked = draw_marked(photos, read_assets("test"), count=options.count, seed=SEEDS[purpose])
    seen = [predict(one.image) for one in marked]
    clean = draw_clean([p for p in photos if p.set_name in CLEAN_SETS], count=options.clean, seed=SEEDS[purpose])
    unmarked = [predict(image) for image in clean]
    for sensitivity in (0.3, 0.5, 0.7, 0.9) if options.validation else (0.5, 0.8):
        _report(sensitivity, seen, marked, list(zip(unmarked, clean, strict=True)))
    logger.info(
        "AUC of marked against clean: %.3f", auc([image_score(m) for m in seen], [image_score(m) for m in unmarked])
    )
    for name, pictures in _other_clean(options.data, photos, purpose, options.clean):
        share = np.mean([found_strokes(predict(picture), picture).any() for picture in pictures])
        logger.info("%s: a region on %.1f %% of %d", name, 100 * share, len(pictures))
    if options.real:
        _report_real(options.data, predict)
    if not options.validation:
        _draw_worst(
            marked, [found_strokes(maps, one.image) for maps, one in zip(seen, marked, strict=True)], options.sheet
        )
        alarms = [(image, found_strokes(maps, image)) for image, maps in zip(clean, unmarked, strict=True)]
        _draw([_tiles(i, None, mask) for i, mask in alarms if mask.any()], options.sheet.with_stem("alarms"))
    return 0


def open_network(weights: Path) -> Predict:
    """Load the ONNX file."""
    return seen_by(WatermarkNetwork(OpenVinoSession(weights, slots=InferenceSlots())))


def _other_clean(
    data: Path, photos: Sequence[CleanPhoto], purpose: str, count: int
) -> Iterator[tuple[str, list[RgbImage]]]:
    """The same unmarked photos without loss, printed packages, and drawn patterns and pages of families held out."""
    seed, assets = SEEDS[purpose], read_assets("test")
    own = [photo for photo in photos if photo.set_name in CLEAN_SETS]
    yield "the same without loss", draw_clean(own, count=count, seed=seed, lossless=True)
    packages = of_purpose(read_photos(data, "test", sets=("photos_grocery",)), purpose)
    for name, lossless in (("packages, JPEG", False), ("packages, without loss", True)):
        yield name, draw_clean(packages, count=count // 4, seed=seed, lossless=lossless)
    rng = np.random.default_rng(seed)
    flat = [family(rng, PATTERN_HW, assets) for family in (*patterns.TEST, *pages.TEST) for _ in range(3)]
    yield "patterns and pages, flat", flat
    yield "patterns and pages, photographed", [patterns.as_photographed(picture, rng) for picture in flat]


def _report(
    sensitivity: float, seen: Sequence[Maps], marked: Sequence[Marked], unmarked: Sequence[tuple[Maps, RgbImage]]
) -> None:
    alarms = np.mean([found_strokes(maps, photo, sensitivity).any() for maps, photo in unmarked])
    found = [found_strokes(maps, one.image, sensitivity) for maps, one in zip(seen, marked, strict=True)]
    logger.info(
        "sensitivity %.1f: a region on %.1f %% of %d clean photos, on %.1f %% of %d marked ones",
        sensitivity, 100 * alarms, len(unmarked), 100 * np.mean([mask.any() for mask in found]), len(found),
    )  # fmt: skip
    for name, masks in (("reported", found), ("seen", [maps[..., 0] >= SEEN for maps in seen])):
        for kind, score in scores(masks, marked).items():
            figures = score.iou, score.recall, score.precision
            logger.info("  %-8s %-7s IoU %.3f recall %.3f precision %.3f", name, kind, *figures)


def _report_real(data: Path, predict: Predict) -> None:
    photos = [(predict(image), is_marked) for _, image, is_marked in read_real(data)]
    for name, score in SCORES.items():
        values = np.array([score(maps) for maps, _ in photos])
        labels = np.array([is_marked for _, is_marked in photos])
        logger.info("real photos, %s: AUC %.3f", name, auc(values[labels], values[~labels]))


def _border(maps: Maps) -> Maps:
    height, width = maps.shape[:2]
    kept = maps.copy()
    y, x = round(0.15 * height), round(0.15 * width)
    kept[y : height - y, x : width - x] = 0
    return kept


def _mean_of_top(maps: Maps) -> float:
    smooth = (cv2.blur(maps[..., 0], (5, 5)) * maps[..., 2]).ravel()
    count = max(1, smooth.size // 500)
    return float(np.partition(smooth, -count)[-count:].mean())


SCORES: dict[str, Callable[[Maps], float]] = {
    "highest": image_score,
    "highest at the border": lambda maps: image_score(_border(maps)),
    "mean of the highest 0.2 %": _mean_of_top,
    "the same at the border": lambda maps: _mean_of_top(_border(maps)),
    "gate": lambda maps: float(maps[..., 2].max()),
    "mean gate": lambda maps: float(maps[..., 2].mean()),
}


def _draw_worst(marked: Sequence[Marked], found: Sequence[Mask], file: Path) -> None:
    by_iou = sorted(zip(marked, found, strict=True), key=lambda pair: score_one(pair[1], pair[0])[0])
    _draw([_tiles(one.image, one.shape >= 0.5, mask) for one, mask in by_iou[:WORST]], file)
    for one, mask in by_iou[:WORST]:
        logger.info("worst: %s %s opacity %.2f IoU %.2f", one.kind, one.content, one.opacity, score_one(mask, one)[0])


def _tiles(image: RgbImage, truth: Mask | None, found: Mask) -> RgbImage:
    shown = [image] + [np.repeat(mask[..., None] * np.uint8(255), 3, 2) for mask in (truth, found) if mask is not None]
    return np.concatenate([fit(picture) for picture in shown], 1)


def _draw(rows: Sequence[RgbImage], file: Path) -> None:
    if not rows:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = [np.concatenate(rows[i : i + 10]) for i in range(0, len(rows), 10)]
    tallest = max(column.shape[0] for column in columns)
    sheet = np.concatenate([np.pad(c, ((0, tallest - c.shape[0]), (0, 0), (0, 0))) for c in columns], 1)
    Image.fromarray(sheet).save(file)


if __name__ == "__main__":
    sys.exit(main())
