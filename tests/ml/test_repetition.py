"""Marks that repeat: the steps are found, and tiles that the network missed come back from those it saw."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.picture.types import Mask, Matte
from ml.watermark.finder import Sight
from ml.watermark.regions import find_marks
from ml.watermark.repetition import as_repeated, find_lattice

STEPS = np.array([(62.4, 20.8), (-31.2, 71.6)])


def _tiled(shape_hw: tuple[int, int], steps: np.ndarray, size: float = 1.0) -> Matte:
    """Drawn words, one after each step."""
    canvas = np.zeros(shape_hw, np.uint8)
    for i in range(-20, 21):
        for j in range(-20, 21):
            x, y = np.rint(np.array([i, j]) @ steps).astype(int)
            if -80 < x < shape_hw[1] + 80 and -80 < y < shape_hw[0] + 80:
                cv2.putText(canvas, "Kf", (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, size, 255, 3, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def _half_seen(truth: Matte, rng: np.random.Generator) -> Matte:
    """As a network sees it: noisy, and in places not at all."""
    seen = cv2.resize(rng.random((9, 12)).astype(np.float32), truth.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0.5
    noise = cv2.GaussianBlur(rng.random(truth.shape).astype(np.float32), (0, 0), 3) * 0.4
    return np.clip(truth * seen * 0.8 + noise, 0, 1).astype(np.float32)


def _recall(found: Mask, truth: Matte) -> float:
    return float(found[truth > 0.5].mean())


@pytest.mark.parametrize("turn_deg", [0, 30, -45])
def test_the_steps_are_found_to_a_fraction_of_a_pixel(turn_deg: float) -> None:
    angle = np.deg2rad(turn_deg)
    turned = STEPS @ np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])

    lattice = find_lattice(_half_seen(_tiled((420, 560), turned), np.random.default_rng(1)))

    assert lattice is not None
    counts = lattice.steps @ np.linalg.inv(turned)
    assert np.abs(counts - np.rint(counts)).max() < 0.02
    assert abs(np.linalg.det(np.rint(counts))) == 1


def test_tiles_that_were_missed_come_back() -> None:
    truth = _tiled((420, 560), STEPS)
    seen = _half_seen(truth, np.random.default_rng(2))
    sight = Sight(seen, 0.4 * seen, np.ones_like(seen))

    together = as_repeated(sight)

    assert _recall(seen > 0.35, truth) < 0.6
    assert _recall(together.shape > 0.35, truth) > 0.9
    assert (truth > 0.5)[together.shape > 0.5].mean() > 0.8
    (mark,) = find_marks(together, sensitivity=0.5)
    assert mark.region.kind == "tiled"


def test_tiles_that_were_seen_well_are_not_smeared_by_steps_that_are_not_theirs() -> None:
    y, x = np.mgrid[:420, :560].astype(np.float32)
    uneven = x + 9 * np.sin(y / 60), y + 9 * np.sin(x / 80)  # each tile a little beside its place, as on cloth
    seen = np.asarray(cv2.remap(_tiled((420, 560), STEPS, 0.7), *uneven, cv2.INTER_LINEAR), np.float32)
    sight = Sight(seen, seen, np.ones_like(seen))

    assert find_lattice(seen) is not None
    assert as_repeated(sight) is sight


@pytest.mark.parametrize("kind", ["nothing", "one word", "a row of words", "noise", "three pixels"])
def test_what_does_not_repeat_stays_as_it_is(kind: str) -> None:
    shape_hw = (2, 3) if kind == "three pixels" else (300, 400)
    seen = np.zeros(shape_hw, np.float32)
    if kind == "noise":
        seen = cv2.GaussianBlur(np.random.default_rng(3).random(shape_hw).astype(np.float32), (0, 0), 2)
    words = np.zeros(shape_hw, np.uint8)
    for x in {"one word": [100], "a row of words": [20, 140, 260]}.get(kind, []):
        cv2.putText(words, "Kf", (x, 150), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 3)
    seen += words.astype(np.float32) / 255
    sight = Sight(seen, seen, seen)

    assert as_repeated(sight) is sight
