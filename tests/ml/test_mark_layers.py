"""A mark of two inks is learned as one: what lies under the strokes goes with them."""

from __future__ import annotations

import numpy as np
import pytest

from ml.watermark.template import learning as mark_learning
from ml.watermark.template.layers import Layer, with_what_lies_under, without
from tests.ml.marked import Network, blend, error, photo, strokes

SHAPE = strokes()


def _grainy(seed: int) -> np.ndarray:
    grain = np.random.default_rng(seed).normal(0, 6, (*SHAPE.shape, 3))
    return np.clip(photo(seed) + grain, 0, 255).astype(np.uint8)


def _left(learned: Layer, marked: list[np.ndarray], clean: list[np.ndarray], where: np.ndarray) -> float:
    cleared = without([one.astype(np.float32) for one in marked], learned)
    return float(np.mean([error(one, its, where) for one, its in zip(cleared, clean, strict=True)]))


def test_a_shadow_is_learned_with_the_letters_that_cast_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = np.roll(SHAPE, (6, 6), (0, 1)) * (1 - SHAPE)
    clean = [_grainy(seed) for seed in range(5)]
    below = [blend(one, shadow, opacity=0.5, colour=(0, 0, 0)) for one in clean]
    marked = [blend(one, SHAPE, opacity=0.5, colour=(255, 255, 255)) for one in below]
    where = np.maximum(SHAPE, shadow)

    learned = mark_learning.learn_mark(marked, look=lambda one: Network(SHAPE).look(one, most_pixels=10**6))
    monkeypatch.setattr(mark_learning, "with_what_lies_under", lambda pixels, layer, learn: layer)
    of_one_ink = mark_learning.learn_mark(marked, look=lambda one: Network(SHAPE).look(one, most_pixels=10**6))

    assert _left(of_one_ink, marked, clean, where) > 10
    assert _left(learned, marked, clean, where) < 0.5 * _left(of_one_ink, marked, clean, where)


def test_letters_that_cast_no_shadow_get_none() -> None:
    pixels = [blend(photo(s), SHAPE, opacity=0.6, colour=(255, 255, 255)).astype(np.float32) for s in range(5)]
    alone: Layer = np.float32(0.6) * SHAPE, np.float32(0.6 * 255) * np.repeat(SHAPE[..., None], 3, 2)

    assert with_what_lies_under(pixels, alone, mark_learning._of_one_ink) is alone


def test_a_mark_all_over_the_picture_leaves_nothing_to_compare_with() -> None:
    everywhere = np.full((240, 320), 0.5, np.float32)
    layer: Layer = everywhere, np.repeat(everywhere[..., None], 3, 2)

    def learn(pixels: object, shape: object) -> Layer | None:
        raise AssertionError("nothing may be learned here")

    assert with_what_lies_under([photo(s).astype(np.float32) for s in range(3)], layer, learn) is layer
