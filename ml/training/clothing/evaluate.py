"""
`python -m ml.training.clothing.evaluate --data FOLDER`: the clothing pipeline on photos that nothing was learnt from.

Street photos of validation and those set aside (no true box is used), flat-lays of senders set aside, photos without
clothes. The worst photos of each are drawn on a contact sheet: the photo, the truth, what was found.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ml.clothing.garments import DRESS, GARMENTS, SKIRT
from ml.clothing.pipeline import ClothingPipeline, ClothingResult
from ml.models import Models
from ml.picture.types import Matte, RgbImage
from ml.training.clothing.measure import NO_GARMENT, Agreement, LabelMap, fold
from ml.training.clothing.photos import LabelledPhoto, read_flat_lays, read_street, read_without_clothes
from ml.weights import catalogue
from ml.weights.fetch import default_dir

CONFUSED = tuple(GARMENTS.index(name) for name in ("tops", "coat", "skirt", DRESS))
MIN_GARMENT_SHARE = 0.005
"""Of the photo: a true garment's part that is looked at for being split."""

SPLIT_SHARE = 0.1
"""Of a garment: as much of a second class makes it a split one."""

COLOURS = np.array(
    [(230, 60, 60), (60, 90, 230), (240, 160, 30), (40, 160, 80), (150, 80, 200), (30, 200, 220), (250, 230, 60),
     (240, 110, 190)], np.uint8,
)  # fmt: skip
TILE_PX, ROWS = 220, 20


@dataclass(slots=True)
class Street:
    """What was counted on street photos."""

    agreement: Agreement = field(default_factory=Agreement)
    garments: int = 0
    split: int = 0

    def add(self, found: LabelMap, truth: LabelMap) -> float:
        """Count one photo; gives its own mean IoU of the classes that are there or were found."""
        one = Agreement()
        one.add(found, truth)
        self.agreement.shared += one.shared
        self.agreement.either += one.either
        for index in CONFUSED:
            count, numbers, facts, _ = cv2.connectedComponentsWithStats((truth == index).astype(np.uint8))
            for number in range(1, count):
                if facts[number][cv2.CC_STAT_AREA] < MIN_GARMENT_SHARE * truth.size:
                    continue
                inside = np.bincount(found[numbers == number], minlength=256)[list(CONFUSED)]
                self.garments += 1
                self.split += int(np.sort(inside)[-2] >= SPLIT_SHARE * max(1, inside.sum()))
        there = one.either[:7] > 0
        return float((one.shared[:7][there] / one.either[:7][there]).mean()) if there.any() else 1.0


def label_map(result: ClothingResult, shape_hw: tuple[int, int]) -> LabelMap:
    """(H, W) uint8: the garment that has most of each pixel, 255 where clothes have less than half."""
    planes = np.zeros((len(GARMENTS), *shape_hw), np.uint8)
    for name, garment in result.garments.items():
        planes[GARMENTS.index(name)] = garment.alpha
    labels = planes.argmax(0).astype(np.uint8)
    labels[planes.sum(0, dtype=np.uint16) < 128] = NO_GARMENT
    return labels


def on_street(pipeline: ClothingPipeline, photos: Iterable[LabelledPhoto], sheet: Sheet) -> Street:
    """Measure street photos."""
    counted = Street()
    for photo in photos:
        found = label_map(pipeline.run(photo.image, separate_dress=True), photo.labels.shape)
        iou = counted.add(found, np.where(photo.labels < len(GARMENTS), photo.labels, NO_GARMENT).astype(np.uint8))
        sheet.see(iou, f"{photo.stem} {iou:.2f}", photo.image, photo.labels, found)
    return counted


def on_flat_lays(pipeline: ClothingPipeline, photos: Iterable[LabelledPhoto], sheet: Sheet) -> tuple[int, int]:
    """How many garments had the right class on most of their pixels, and of how many."""
    right = total = 0
    for photo in photos:
        found = fold(label_map(pipeline.run(photo.image), photo.labels.shape))
        wanted = GARMENTS.index(SKIRT if photo.garment == DRESS else str(photo.garment))
        share = float(np.mean(found[photo.labels < len(GARMENTS)] == wanted))
        right, total = right + (share > 0.5), total + 1
        sheet.see(share, f"{photo.garment} {share:.2f}", photo.image, photo.labels, found)
    return right, total


class Sheet:
    """Keeps the worst and draws them."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, RgbImage]] = []

    def see(self, score: float, title: str, image: RgbImage, truth: LabelMap, found: LabelMap) -> None:
        """Keep a photo: the photo, its truth, what was found."""
        scale = TILE_PX / max(image.shape[:2])
        size_wh = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        tiles = [image, _painted(image, truth), _painted(image, found)]
        small = [cv2.resize(tile, size_wh, interpolation=cv2.INTER_AREA) for tile in tiles]
        row = np.full((TILE_PX + 16, 3 * TILE_PX, 3), 255, np.uint8)
        cv2.putText(row, title, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        for place, tile in enumerate(small):
            row[16 : 16 + size_wh[1], place * TILE_PX : place * TILE_PX + size_wh[0]] = tile
        self._rows.append((score, len(self._rows), row))

    def save(self, file: Path, *, columns: int = 3) -> None:
        """Write the worst `ROWS` and as many spread over all others."""
        ordered = [row for _, _, row in sorted(self._rows, key=lambda kept: kept[:2])]
        rest = ordered[ROWS:]
        shown = ordered[:ROWS] + rest[:: max(1, len(rest) // ROWS)][:ROWS]
        blank = np.full_like(shown[0], 255)
        shown += [blank] * (-len(shown) % columns)
        lines = [np.hstack(shown[start : start + columns]) for start in range(0, len(shown), columns)]
        Image.fromarray(np.vstack(lines)).save(file, quality=85)


def _painted(image: RgbImage, labels: LabelMap) -> RgbImage:
    painted = (image * 0.35 + 160 * 0.65).astype(np.uint8)
    for index, colour in enumerate(COLOURS):
        painted[labels == index] = (0.4 * image[labels == index] + 0.6 * colour).astype(np.uint8)
    return painted


def _report(name: str, street: Street) -> str:
    found = street.agreement
    classes = ", ".join(f"{garment} {iou:.3f}" for garment, iou in found.by_class.items())
    return (
        f"{name}: mean IoU {found.mean:.4f} ({classes}); any clothes {found.any_clothes:.3f}; "
        f"{street.split} of {street.garments} garments split ({street.split / max(1, street.garments):.1%})"
    )


def main() -> int:
    """Say the figures; write the sheets."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    say = logging.getLogger(__name__).info
    parser = argparse.ArgumentParser(prog="python -m ml.training.clothing.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the labelled sets' tars")
    parser.add_argument("--work", type=Path, default=Path("var/training/clothing"))
    parser.add_argument("--parts", default="val", help="comma separated: val, aside, flat, bare")
    options = parser.parse_args()
    models = Models(default_dir())
    pipeline = models.clothing()
    parts = options.parts.split(",")

    def saliency(image: RgbImage) -> Matte:
        return models.saliency(catalogue.U2NETP).predict(image)

    for part in ("val", "aside"):
        if part in parts:
            sheet = Sheet()
            say(_report(part, on_street(pipeline, read_street(options.data, (part,))[part], sheet)))
            sheet.save(options.work / f"{part}.jpg")
    if "flat" in parts:
        sheet = Sheet()
        garments = read_flat_lays(options.data, options.work / "flat-lays", saliency, ("aside",))["aside"]
        right, total = on_flat_lays(pipeline, garments, sheet)
        say(f"flat-lays set aside: {right} of {total} have the right class ({right / total:.1%})")
        sheet.save(options.work / "flat.jpg")
    if "bare" in parts:
        photos = read_without_clothes(options.data, held_out=True)
        with_any = sum(bool(pipeline.run(image).garments) for image in photos)
        say(f"without clothes: {with_any} of {len(photos)} show a garment ({with_any / len(photos):.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
