"""Synthetic watermarks: the truth beside them is exact, and what tests see was never trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.evaluation.watermark import fonts, logos
from ml.evaluation.watermark.marks import KINDS, Marked, Window, draw_mark
from ml.evaluation.watermark.photos import CleanPhoto
from ml.evaluation.watermark.strokes import Assets, read_assets
from ml.picture.types import RgbImage
from ml.training.watermark.measure import TEST, VALIDATION, auc, draw_marked, of_purpose, scores
from ml.training.watermark.samples import draw_batch

NEEDS_FONTS = "the fonts of ml/evaluation/watermark/fonts.txt are not installed"


def scene(height: int = 240, width: int = 320) -> RgbImage:
    """A soft slope of colours with noise upon it."""
    rows, columns = np.mgrid[:height, :width]
    slope = np.dstack([rows * 200 / height, columns * 200 / width, (rows + columns) * 100 / (height + width)])
    return np.clip(slope + np.random.default_rng(0).normal(25, 8, slope.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def assets() -> Assets:
    try:
        return read_assets("train")
    except SystemExit:
        pytest.skip(NEEDS_FONTS)


@pytest.fixture(scope="module")
def marks(assets: Assets) -> list[Marked]:
    rng = np.random.default_rng(5)
    return [draw_mark(scene(), rng, kind=KINDS[i % 3], assets=assets) for i in range(240)]


def test_blending_the_clean_photo_by_the_truth_gives_the_marked_one(marks: list[Marked]) -> None:
    exact = [one for one in marks if one.is_exact]

    assert len(exact) > 10
    for one in exact:
        again = one.clean * (1 - one.alpha[..., None]) + one.alpha[..., None] * one.colour
        assert np.abs(np.rint(again) - one.image).max() <= 1


def test_shape_is_the_alpha_of_a_mark_of_full_opacity(marks: list[Marked]) -> None:
    for one in marks:
        assert one.shape.min() >= 0
        assert one.shape.max() <= 1
        assert np.abs(np.minimum(one.alpha / one.opacity, 1) - one.shape).max() < 1e-4


def test_a_pixel_without_mark_is_the_clean_one(marks: list[Marked]) -> None:
    for one in marks:
        if one.is_exact:
            assert np.array_equal(one.image[one.alpha == 0], one.clean[one.alpha == 0])


def test_the_same_seed_gives_the_same_mark(assets: Assets) -> None:
    first, second = (draw_mark(scene(), np.random.default_rng(9), kind="tiled", assets=assets) for _ in range(2))

    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.alpha, second.alpha)


def test_every_kind_of_mark_occurs(marks: list[Marked]) -> None:
    opacities = np.array([one.opacity for one in marks])
    inks = [one.colour[one.shape > 0.9] for one in marks if (one.shape > 0.9).any()]
    colours = np.array([ink.mean(0) for ink in inks if len(ink)])
    spread = colours.max(1) - colours.min(1)

    assert {(one.kind, one.content) for one in marks} == {(k, c) for k in KINDS for c in ("text", "logo")}
    assert opacities.min() < 0.2
    assert opacities.max() > 0.9
    assert (colours.min(1) > 240).any()
    assert (colours.max(1) < 15).any()
    assert ((spread < 10) & (colours.mean(1) > 50) & (colours.mean(1) < 210)).any()
    assert (spread > 100).any()


def test_a_tiled_mark_reaches_every_part_and_a_stamp_stays_at_the_edge(marks: list[Marked]) -> None:
    for one in marks:
        inner = one.shape[90:-90, 90:-90]
        if one.kind == "corner":
            assert not inner.any()
    reached = [one.shape[:, :160].any() and one.shape[:, 160:].any() for one in marks if one.kind == "tiled"]
    assert np.mean(reached) > 0.95


def test_a_window_shows_its_part_of_the_whole_mark(assets: Assets) -> None:
    whole = draw_mark(scene(), np.random.default_rng(3), kind="large", assets=assets)

    part = draw_mark(
        np.ascontiguousarray(scene()[60:180, 80:240]),
        np.random.default_rng(3),
        kind="large",
        assets=assets,
        window=Window(80, 60, (320, 240)),
    )

    assert whole.shape.any()
    assert np.abs(part.alpha - whole.alpha[60:180, 80:240]).max() < 0.02


def test_tests_share_no_font_logo_word_or_photo_with_training(assets: Assets) -> None:
    held_out = read_assets("test")

    for name in ("fonts", "logos", "words", "names", "phrases", "chinese"):
        ours, theirs = set(getattr(assets, name)), set(getattr(held_out, name))
        assert ours
        assert theirs
        assert not ours & theirs


def test_a_missing_font_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "INSTALLED", tmp_path)

    with pytest.raises(SystemExit, match="apt-get install"):
        fonts.find_fonts("train")


def test_every_logo_covers_some_and_not_all() -> None:

    for logo in (*logos.TRAIN, *logos.TEST):
        covered = logos.draw_logo(logo, np.random.default_rng(1), 64) > 127
        assert 0.05 < covered.mean() < 0.95, logo.__name__


def test_a_batch_has_unmarked_views_that_teach_nothing_is_there(assets: Assets) -> None:
    photos = [CleanPhoto("drawn", str(i), scene()) for i in range(3)]

    batch = draw_batch(
        photos,
        assets,
        np.random.default_rng(2),
        batch=8,
        side_px=96,
        lowest_opacity=0.1,
        hardness=np.ones(3, np.float32),
    )

    assert batch.photo.shape == batch.clean.shape == (8, 96, 96, 3)
    assert batch.is_marked.sum() == 4
    assert not batch.shape[~batch.is_marked].any()
    assert batch.shape[batch.is_marked].any()
    assert batch.weight.min() > 0


def test_photos_of_validation_and_of_tests_are_apart() -> None:
    photos = [CleanPhoto("drawn", str(i), scene(32, 32)) for i in range(60)]

    chosen, measured = ({photo.stem for photo in of_purpose(photos, part)} for part in (VALIDATION, TEST))

    assert chosen
    assert measured
    assert not chosen & measured
    assert len(chosen | measured) == 60


def test_a_perfect_find_scores_one_and_an_empty_one_recalls_nothing(assets: Assets) -> None:
    marked = draw_marked([CleanPhoto("drawn", "a", scene())], assets, count=3, seed=1)

    perfect = scores([one.shape >= 0.5 for one in marked], marked)["all"]
    nothing = scores([np.zeros(one.shape.shape, bool) for one in marked], marked)["all"]

    assert (perfect.iou, perfect.recall, perfect.precision) == (1, 1, 1)
    assert (nothing.iou, nothing.recall) == (0, 0)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert auc([0.9, 0.4], [0.1, 0.5]) == 0.75
    assert auc([0.5], [0.5]) == 0.5
