"""The evaluation, from made-up tars to tables: nothing here needs weights."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ml.background.pipeline import BackgroundPipeline, Quality
from ml.evaluation import measuring, recipes, report
from ml.evaluation.__main__ import main
from ml.evaluation.edges import edge_colours, known_background, known_foreground
from ml.evaluation.errors import EvaluationError
from ml.evaluation.recipes import Cut
from ml.evaluation.sets import SETS, Photo, SetReader, choose, is_held_out, sample
from ml.evaluation.sheet import Sheet
from ml.picture.subject import FoundSubject
from ml.picture.types import Matte, RgbImage
from tests.stand_ins import NotTheCornersColour, StandInModels

HELD_OUT, NOT_HELD_OUT = "0003", "0004"


def picture(side: int = 40) -> tuple[RgbImage, Matte]:
    """A red square on a grey ground, and its truth."""
    image = np.full((side, side + 10, 3), 120, np.uint8)
    image[10:30, 10:30] = (200, 30, 30)
    truth = np.zeros((side, side + 10), np.float32)
    truth[10:30, 10:30] = 1
    return image, truth


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tars of made-up photos, laid out as the sets are."""
    image, truth = picture()
    mask = (truth * 255).astype(np.uint8)
    files: dict[str, bytes] = {}
    for stem in (NOT_HELD_OUT, "0002", HELD_OUT):
        files |= {f"ecssd/images/{stem}.png": encoded(image), f"ecssd/masks/{stem}.png": encoded(mask)}
    files |= {"ecssd/images/without-truth.png": encoded(image), "ecssd/split.json": b"{}", "LICENSE": b"-"}
    write_tar(tmp_path / "saliency_ecssd.tar", files)
    soft = cv2.blur(mask, (5, 5))
    write_tar(
        tmp_path / "matting_alpha.tar", {"images/GT01.webp": encoded(image, "WEBP"), "alpha/GT01.png": encoded(soft)}
    )
    return tmp_path


@pytest.fixture
def pipeline() -> BackgroundPipeline:
    return BackgroundPipeline(NotTheCornersColour(), model_name="stand-in", model_version="1")


# --- sets ---------------------------------------------------------------------------------------------------------


def test_photos_are_paired_with_their_truth(folder: Path) -> None:
    with SetReader(SETS["saliency_ecssd"], folder) as reader:
        photo = reader.read("0002")

        assert reader.stems == ["0002", "0003", "0004"]
    image, truth = picture()
    assert np.array_equal(photo.image, image)
    assert np.array_equal(photo.truth, truth)
    assert photo.truth.dtype == np.float32


def test_true_alpha_stays_grey(folder: Path) -> None:
    with SetReader(SETS["matting_alpha"], folder) as reader:
        truth = reader.read("GT01").truth

    assert {round(float(value) * 25) for value in np.unique(truth)} >= {0, 5, 10, 15, 20, 25}


def test_labels_of_the_split_become_a_silhouette(tmp_path: Path) -> None:
    ids = Image.fromarray(np.array([[0, 7], [58, 0]], np.uint8), "P")
    ids.putpalette([0, 0, 0] * 256)  # every class is painted black
    out = io.BytesIO()
    ids.save(out, "PNG")
    photo = encoded(np.zeros((2, 2, 3), np.uint8))
    write_tar(
        tmp_path / "clothes_ccp.tar",
        {
            "images/0001.png": photo,
            "labels/0001.png": out.getvalue(),
            "images/0002.png": photo,
            "labels/0002.png": out.getvalue(),
            "split.json": json.dumps({"train": ["0001"], "val": ["0002"]}).encode(),
        },
    )

    with SetReader(SETS["clothes_ccp"], tmp_path) as reader:
        assert reader.stems == ["0002"]
        assert reader.read("0002").truth.tolist() == [[0, 1], [1, 0]]


def test_truth_of_another_size_is_refused(tmp_path: Path) -> None:
    small = encoded(np.zeros((2, 3), np.uint8))
    write_tar(
        tmp_path / "product_flatlay.tar",
        {"images/a.png": encoded(np.zeros((4, 5, 3), np.uint8)), "masks/a.png": small},
    )

    with SetReader(SETS["product_flatlay"], tmp_path) as reader, pytest.raises(EvaluationError, match="5 x 4 px"):
        reader.read("a")


@pytest.mark.parametrize("content", [{"images/a.png": b"-"}, {"readme": b"-"}])
def test_tar_without_pairs_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    write_tar(tmp_path / "product_flatlay.tar", content)

    with pytest.raises(EvaluationError, match="images/ and masks/"):
        SetReader(SETS["product_flatlay"], tmp_path)


def test_broken_files_are_refused_with_their_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "product_flatlay.tar", {"images/a.jpg": b"no photo", "masks/a.png": b"no mask"})
    (tmp_path / "matting_alpha.tar").write_bytes(b"no tar")

    with SetReader(SETS["product_flatlay"], tmp_path) as reader, pytest.raises(EvaluationError, match=r"images/a\.jpg"):
        reader.read("a")
    with pytest.raises(EvaluationError, match=r"matting_alpha\.tar"):
        SetReader(SETS["matting_alpha"], tmp_path)


def test_held_out_third_hangs_on_the_stem_alone() -> None:
    assert is_held_out(HELD_OUT)
    assert not is_held_out(NOT_HELD_OUT)
    assert sum(is_held_out(f"{number:04}") for number in range(3000)) == pytest.approx(1000, abs=60)


def test_sample_is_even_and_always_the_same() -> None:
    stems = [f"{number:03}" for number in range(100)]

    chosen = sample(stems, 10)

    assert chosen == sample(stems, 10)
    assert [int(stem) // 10 for stem in chosen] == list(range(10))
    assert sample(stems, None) == sample(stems, 200) == stems


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no set nonsense"):
        choose("matting_alpha,nonsense")
    with pytest.raises(EvaluationError, match="no recipe slow"):
        recipes.load("slow", StandInModels())


# --- edge colours -------------------------------------------------------------------------------------------------


def test_known_foreground_takes_the_nearest_opaque_colour() -> None:
    image = np.zeros((1, 7, 3), np.uint8)
    image[0, :, 0] = range(7)
    truth = np.array([[0, 1, 0.5, 0.2, 0, 1, 0]], np.float32)

    carried = known_foreground(image, truth)

    assert carried[0, [0, 1, 2, 4, 5, 6], 0].tolist() == [1, 1, 1, 5, 5, 5]
    assert known_foreground(image, truth * 0.9) is None


def test_edge_error_of_the_photos_own_colours_is_the_background_that_shines_through() -> None:
    image, truth = picture()
    truth[10:30, 10] = 0.5  # one soft column

    found = edge_colours(image, truth, estimate=lambda test_image, _: test_image)

    # A half-soft pixel holds half of the background; half opaque on the new one, a quarter of the difference is left.
    differences = [
        np.abs(known_background(truth.shape, seed)[10:30, 10].astype(int) - (200, 30, 30)).mean() for seed in (1, 2)
    ]
    assert found.naive == found.ours == pytest.approx(np.mean(differences) / 4, abs=0.5)


def test_edge_error_is_nothing_with_the_true_colours() -> None:
    image, truth = picture()
    truth[10:30, 10] = 0.5

    found = edge_colours(image, truth, estimate=lambda test_image, _: np.full_like(test_image, (200, 30, 30)))

    assert found.ours < 0.01
    assert found.naive > 5


def test_estimated_colours_are_better_than_the_photos_own() -> None:
    image, truth = picture()

    found = edge_colours(image, cv2.blur(truth, (7, 7)))

    assert found.ours < 0.5 * found.naive


def test_edge_colours_need_soft_pixels() -> None:
    assert edge_colours(*picture()) is None


# --- tables -------------------------------------------------------------------------------------------------------


def _evaluate(folder: Path, pipeline: BackgroundPipeline, watcher: Sheet | None = None) -> list[measuring.Step]:
    def everything(image: RgbImage, _: object) -> Cut:
        return Cut(np.ones(image.shape[:2], np.float32))

    names = ("saliency_ecssd", "matting_alpha")
    with SetReader(SETS[names[0]], folder) as one, SetReader(SETS[names[1]], folder) as other:
        steps = measuring.run(
            [one, other], {"plain": everything, "best": recipes.ours(pipeline, "best")}, limit=None, watcher=watcher
        )
        return list(steps)


def test_every_photo_is_judged_under_every_recipe(folder: Path, pipeline: BackgroundPipeline) -> None:
    steps = _evaluate(folder, pipeline)

    judged = {(one.stem, one.recipe): one for step in steps for one in step.judged}
    assert set(judged) == {(stem, name) for stem in ("0002", "0003", "0004", "GT01") for name in ("plain", "best")}
    assert judged["0002", "plain"].iou == pytest.approx(400 / 2000)
    assert judged["0002", "best"].iou > 0.9
    assert judged["0002", "best"].confidence > 0.9
    assert [step.edges is not None for step in steps] == [False, False, False, True]


def test_summary_keeps_the_held_out_third_apart(folder: Path, pipeline: BackgroundPipeline) -> None:
    judged = [one for step in _evaluate(folder, pipeline) for one in step.judged]

    rows = {(row["set"], row["part"], row["recipe"]): row for row in report.summary(judged)}

    counts = [rows["saliency_ecssd", part, "plain"]["photos"] for part in ("all", "held out", "the rest")]
    assert counts == [3, 1, 2]
    assert rows["saliency_ecssd", "all", "plain"]["failed"] == 1
    assert rows["saliency_ecssd", "all", "best"]["failed"] == 0
    assert rows["saliency_ecssd", "all", "plain"]["max_f"] == pytest.approx(1.3 * 0.2 / (0.3 * 0.2 + 1))


def test_calibration_and_empty_photos_are_told() -> None:
    image, truth = picture()
    cuts = [
        (Photo("clear", image, truth), Cut(truth, confidence=1.0)),
        (Photo("flat", image, truth), Cut(np.zeros_like(truth), confidence=0.0, is_empty=True)),
    ]
    judged = [measuring.judge(cut, photo, set_name="made up", recipe="best", seconds=0.1) for photo, cut in cuts]

    rows = report.calibration(judged)
    words = report.text(judged, [])

    assert [(row["from"], row["photos"], row["failed"]) for row in rows] == [(0.0, 1, 1.0), (0.98, 1, 0.0)]
    assert "No subject was found in 1 photos.\n  made up flat (best, confidence 0.00)" in words


@pytest.mark.parametrize("quality", recipes.OURS)
def test_pipeline_is_asked_for_the_sets_subject_and_the_recipes_quality(quality: Quality) -> None:
    asked = []
    image, _ = picture()

    class Listener:
        def run(self, image: RgbImage, **asked_for: object) -> FoundSubject:
            asked.append(asked_for)
            return FoundSubject(np.full(image.shape[:2], 51, np.uint8), (0, 0, 1, 1), 0.2, 0.7, is_empty=False)

    cut = recipes.ours(Listener(), quality)(image, "product")

    assert asked == [{"subject": "product", "quality": quality}]
    assert (cut.confidence, cut.is_empty, float(cut.matte.max())) == (0.7, False, pytest.approx(0.2))


def test_sheet_shows_the_worst_first(folder: Path, pipeline: BackgroundPipeline, tmp_path: Path) -> None:
    sheet = Sheet(worst=2, at_random=1)
    image, truth = picture()
    for number, share in enumerate((0.9, 0.1, 0.5)):
        photo, cut = Photo(f"{number}", image, truth), Cut(truth.copy())
        cut.matte[:, : round(50 * share)] = 0
        one = measuring.judge(cut, photo, set_name="made up", recipe="best", seconds=0)
        sheet.see(photo, {"best": cut}, {"best": one})

    sheet.save(tmp_path / "sheet.png")

    drawn = Image.open(tmp_path / "sheet.png")
    tile_px, line_px, height_px = 240, 18, 192  # a tile of 50 x 40 px fills 240 x 192
    assert drawn.size == (3 * tile_px, 2 * line_px + 3 * (line_px + height_px))
    ours_of_the_first = np.asarray(drawn)[2 * line_px :][:height_px, 2 * tile_px :]
    assert np.ptp(ours_of_the_first.astype(int), axis=2).max() == 0, "a cut-out without its subject has no colour"


def test_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="nothing to draw"):
        Sheet().save(tmp_path / "sheet.png")


# --- the command --------------------------------------------------------------------------------------------------


def test_command_measures_what_is_there(
    folder: Path,
    pipeline: BackgroundPipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = StandInModels(background=pipeline)
    monkeypatch.setenv("EVALUATION_DATA", str(folder))

    status = main(
        ["--recipe", "best", "--json", str(tmp_path / "all.json"), "--sheet", str(tmp_path / "all.png")], models=models
    )

    said = capsys.readouterr()
    facts = json.loads((tmp_path / "all.json").read_text())
    assert status == 0
    assert "left out: human_pennfudan, clothes_ccp, product_flatlay" in said.err
    assert "4 of 4 photos" in said.err
    assert "| saliency_ecssd | held out | best" in said.out
    assert {photo["stem"] for photo in facts["photos"]} == {"0002", "0003", "0004", "GT01"}
    assert len(facts["edge_colours"]) == 1
    assert Image.open(tmp_path / "all.png").width == 3 * 240


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--data FOLDER or EVALUATION_DATA=FOLDER"),
        (["--data", "/nowhere"], "There is no folder /nowhere"),
        (["--data", "{folder}", "--sets", "product_flatlay"], "has no product_flatlay.tar"),
        (["--data", "{folder}", "--recipe", "slow"], "There is no recipe slow"),
    ],
)
def test_command_says_what_it_needs(
    argv: list[str],
    sentence: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("EVALUATION_DATA", raising=False)

    status = main([part.format(folder=folder) for part in argv])

    assert status == 1
    assert sentence in capsys.readouterr().err
