"""The pipeline's rules, with a network that answers what a test tells it to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.background.pipeline import BackgroundPipeline, Subject
from ml.errors import ShapeError
from ml.picture.types import AlphaChannel, Matte, RgbImage


class Oracle:
    """A network that answers one map and remembers what it saw."""

    device = "fake"

    def __init__(self, matte: Matte) -> None:
        self._matte = matte
        self.seen: list[RgbImage] = []

    def predict_native(self, image: RgbImage) -> Matte:
        self.seen.append(image)
        return self._matte


def square(level: float = 1.0, around: float = 0.0) -> Matte:
    matte = np.full((128, 128), around, np.float32)
    matte[32:96, 32:96] = level
    return matte


def textured(height: int = 200, width: int = 400) -> RgbImage:
    image = np.full((height, width, 3), 30, np.uint8)
    image[:, width // 2 :] = 220
    return image


def body(shape_hw: tuple[int, int]) -> AlphaChannel:
    """A thing in the middle, no shape that one draws."""
    opacity = np.zeros(shape_hw, np.uint8)
    height, width = shape_hw
    cv2.ellipse(opacity, (width // 2, height // 2), (width // 6, height // 3), 0, 0, 360, 255, -1)
    cv2.circle(opacity, (width * 2 // 3, height // 2), height // 6, 255, -1)
    return opacity


def dot() -> Matte:
    matte = np.zeros((128, 128), np.float32)
    matte[60:62, 60:63] = 1
    return matte


def pipeline(matte: Matte) -> BackgroundPipeline:
    return BackgroundPipeline(Oracle(matte), model_name="oracle", model_version="1")


def test_result_has_the_images_size_box_and_share() -> None:
    result = pipeline(square()).run(textured())

    assert result.alpha.shape == (200, 400)
    assert result.alpha.dtype == np.uint8
    assert not result.is_empty
    assert np.allclose(result.bbox_xywh, (100, 50, 200, 100), atol=4)
    assert result.area_ratio == pytest.approx(0.25, abs=0.01)
    assert result.confidence > 0.95
    assert result.subjects == 1
    assert not result.touches_border


@pytest.mark.parametrize(
    "matte",
    [
        pytest.param(np.zeros((128, 128), np.float32), id="nothing"),
        pytest.param(square(0.49), id="never sure"),
        pytest.param(dot(), id="a dot"),
        pytest.param(square(0.55, around=0.45), id="haze everywhere"),
    ],
)
def test_no_subject_is_empty_and_wholly_transparent(matte: Matte) -> None:
    result = pipeline(matte).run(textured())

    assert result.is_empty
    assert result.bbox_xywh is None
    assert result.area_ratio == 0
    assert not result.alpha.any()


def test_flat_photo_is_empty_whatever_the_network_dreams() -> None:
    result = pipeline(square()).run(np.full((100, 100, 3), 255, np.uint8))

    assert result.is_empty


def test_faint_map_is_not_stretched_into_a_subject() -> None:
    faint = square(0.2)

    assert pipeline(faint).run(textured()).is_empty


def test_opacity_bounds_the_result_and_hides_what_lies_under() -> None:
    oracle = Oracle(square())
    image = textured()
    opacity = np.full((200, 400), 255, np.uint8)
    opacity[60:140, 100:250] = 0
    opacity[80:120, 250:280] = 100

    result = BackgroundPipeline(oracle, model_name="oracle", model_version="1").run(image, opacity=opacity)

    assert (result.alpha <= opacity).all()
    assert result.alpha[100, 265] == 100
    assert result.alpha[100, 290] == 255
    hole = oracle.seen[0][330:690, 280:600]
    assert (hole == hole[0, 0]).all()
    assert not result.is_as_given


@pytest.mark.parametrize("subject", ["universal", "product"])
def test_what_is_cut_out_already_comes_back_as_it_is(subject: Subject) -> None:
    oracle = Oracle(dot())
    opacity = cv2.GaussianBlur(body((200, 400)), (0, 0), 2)

    result = BackgroundPipeline(oracle, model_name="oracle", model_version="1").run(
        textured(), subject=subject, opacity=opacity
    )

    assert np.array_equal(result.alpha, opacity)
    assert result.is_as_given
    assert result.confidence > 0.9
    assert oracle.seen == []  # and nobody has to look


@pytest.mark.parametrize("level", range(0, 256, 15))
def test_what_networks_see_under_transparency_is_never_the_subjects_colour(level: int) -> None:
    oracle = Oracle(square())
    image = np.full((200, 400, 3), level, np.uint8)

    BackgroundPipeline(oracle, model_name="oracle", model_version="1").run(
        image, subject="human", opacity=body((200, 400))
    )

    seen = oracle.seen[0].reshape(-1, 3).astype(int)
    assert np.sqrt(((seen[0] - level) ** 2).sum()) >= 60  # the corner against the body


def test_a_padded_photo_is_still_cut_and_seen_without_its_padding() -> None:
    oracle = Oracle(square())
    image, opacity = textured(), np.full((200, 400), 255, np.uint8)
    opacity[:, :100] = opacity[:, 300:] = 0

    result = BackgroundPipeline(oracle, model_name="oracle", model_version="1").run(image, opacity=opacity)

    expected = cv2.resize(image[:, 100:300], (1024, 1024), interpolation=cv2.INTER_LINEAR)
    assert np.abs(oracle.seen[0].astype(int) - expected).mean() < 8
    assert 0.2 < (result.alpha > 128).sum() / (200 * 200) < 0.3
    assert not result.is_as_given


def test_only_pieces_with_people_are_kept_of_what_is_cut_out_already() -> None:
    opacity = np.zeros((200, 400), np.uint8)
    cv2.ellipse(opacity, (200, 100), (60, 70), 20, 0, 360, 255, -1)
    cv2.ellipse(opacity, (40, 100), (25, 50), 0, 0, 360, 255, -1)
    person = cv2.resize(opacity, (1024, 1024)).astype(np.float32) / 255
    person[:, :300] = 0
    cv2.circle(opacity, (380, 30), 8, 255, -1)

    result = pipeline(person).run(textured(), subject="human", opacity=opacity)

    assert np.array_equal(result.alpha[:, 100:], opacity[:, 100:])
    assert result.alpha[:, :100].max() == 0


def test_wholly_transparent_input_is_empty() -> None:
    assert pipeline(square()).run(textured(), opacity=np.zeros((200, 400), np.uint8)).is_empty


def test_confidence_falls_with_doubt() -> None:
    sure, unsure = (pipeline(square(level)).run(textured()).confidence for level in (0.99, 0.6))

    assert sure > 0.9
    assert unsure < sure - 0.2


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError):
        pipeline(square()).run(np.zeros((5, 5), np.uint8))
    with pytest.raises(ShapeError):
        pipeline(square()).run(textured(), opacity=np.zeros((5, 5), np.uint8))


class Arbiter:
    """A judge that keeps another place for each pipeline."""

    def __init__(self) -> None:
        self.opinions: list[tuple[Matte, Matte]] = []

    def decide(self, square: RgbImage, main: Matte, second: Matte) -> dict[str, Matte]:
        self.opinions.append((main, second))
        kept = {}
        for third, subject in enumerate(("universal", "human", "product")):
            kept[subject] = np.zeros((320, 320), np.float32)
            kept[subject][100:220, 20 + 100 * third : 100 + 100 * third] = 1
        return kept


@pytest.mark.parametrize(("subject", "left"), [("universal", 25), ("human", 150), ("product", 275)])
def test_where_the_judge_disagrees_the_judge_wins(subject: Subject, left: int) -> None:
    judged = BackgroundPipeline(Oracle(square()), judge=Arbiter(), model_name="oracle", model_version="1")

    result = judged.run(textured(), subject=subject)

    assert result.bbox_xywh is not None
    assert abs(result.bbox_xywh[0] - left) <= 6


def test_only_best_asks_for_a_second_opinion() -> None:
    second, judge = Oracle(square(0.9)), Arbiter()
    judged = BackgroundPipeline(
        Oracle(square()), second_opinion=second, judge=judge, model_name="oracle", model_version="1"
    )

    judged.run(textured(), quality="fast")
    assert not second.seen
    judged.run(textured(), quality="best")

    assert len(second.seen) == 1
    (_, instead), (_, asked) = judge.opinions
    assert instead.max() == 1
    assert asked.max() == np.float32(0.9)


class Crowd:
    """Sees the judge's person in every photo, and another."""

    def __init__(self) -> None:
        self.asked = 0

    def see_people(self, image: RgbImage) -> Matte:
        self.asked += 1
        matte = np.zeros((64, 128), np.float32)
        matte[20:44, 48:80] = matte[10:50, 95:120] = 1
        return matte


def test_only_human_asks_who_knows_people_and_not_in_a_hurry() -> None:
    crowd = Crowd()
    judged = BackgroundPipeline(Oracle(square()), judge=Arbiter(), people=crowd, model_name="oracle", model_version="1")

    judged.run(textured(), subject="universal")
    judged.run(textured(), subject="product")
    judged.run(textured(), subject="human", quality="fast")
    assert crowd.asked == 0
    result = judged.run(textured(), subject="human")

    assert crowd.asked == 1
    assert result.subjects == 2, "the judge's person and the one that it missed"


def test_border_and_number_of_subjects_are_told() -> None:
    matte = np.zeros((128, 128), np.float32)
    matte[20:60, 20:50] = 1
    matte[70:128, 70:110] = 1

    result = pipeline(matte).run(textured())

    assert result.touches_border
    assert result.subjects == 2


def lines_of_text() -> Matte:
    """What a network makes of a page: every word a spot."""
    matte, rng = np.zeros((1024, 1024), np.float32), np.random.default_rng(3)
    for y in range(60, 960, 16):
        x = 70
        while x < 950:
            wide = int(rng.integers(14, 70))
            matte[y : y + 7, x : x + wide] = 0.97
            x += wide + 5
    return matte


def joints_of_bricks() -> Matte:
    matte = np.zeros((1024, 1024), np.float32)
    matte[::40] = matte[1::40] = matte[2::40] = matte[3::40] = 0.95
    matte[:, ::90] = matte[:, 1::90] = matte[:, 2::90] = matte[:, 3::90] = 0.95
    return matte


@pytest.mark.parametrize("subject", ["universal", "human", "product"])
@pytest.mark.parametrize("matte", [lines_of_text(), joints_of_bricks()], ids=["text", "bricks"])
def test_what_is_all_over_a_picture_is_no_subject(matte: Matte, subject: Subject) -> None:
    result = pipeline(matte).run(textured(), subject=subject)

    assert result.is_empty
    assert result.alpha.max() == 0


def wheel() -> Matte:
    matte = np.zeros((1024, 1024), np.uint8)
    for x in (300, 720):
        cv2.circle(matte, (x, 600), 190, 255, 14)
        for turn in np.linspace(0, np.pi, 9):
            step = int(185 * np.cos(turn)), int(185 * np.sin(turn))
            cv2.line(matte, (x - step[0], 600 - step[1]), (x + step[0], 600 + step[1]), 255, 3)
    cv2.polylines(matte, [np.array([(300, 600), (420, 380), (650, 380), (720, 600), (520, 600)])], True, 255, 16)
    return matte.astype(np.float32) / 255


def letters() -> Matte:
    matte = np.zeros((1024, 1024), np.uint8)
    for y, word in ((420, "BIG"), (720, "SALE")):
        cv2.putText(matte, word, (120, y), cv2.FONT_HERSHEY_DUPLEX, 8, 255, 40)
    return matte.astype(np.float32) / 255


@pytest.mark.parametrize("matte", [wheel(), letters()], ids=["a bicycle", "letters"])
def test_thin_things_and_large_letters_are_subjects(matte: Matte) -> None:
    assert not pipeline(matte).run(textured()).is_empty


def printed(height: int = 900, width: int = 900, *, ground: int = 250, ink: int = 30) -> RgbImage:
    page, rng = np.full((height, width, 3), ground, np.uint8), np.random.default_rng(5)
    for y in range(40, height - 40, 16):
        x = 40
        while x < width - 90:
            wide = int(rng.integers(10, 40))
            page[y : y + 6, x : x + wide] = ink
            x += wide + 6
    return page


@pytest.mark.parametrize(("ground", "ink"), [(250, 30), (30, 220), (190, 60), (250, 222), (24, 50)])
def test_a_veil_over_a_part_of_a_page_is_no_subject(ground: int, ink: int) -> None:
    page = printed(ground=ground, ink=ink)

    assert pipeline(square()).run(page).is_empty


def test_a_printed_thing_on_a_plain_ground_is_a_subject() -> None:
    photo = np.full((900, 900, 3), 245, np.uint8)
    photo[225:675, 225:675] = printed(450, 450)

    result = pipeline(square()).run(photo)

    assert not result.is_empty
    assert result.confidence > 0.9


def test_a_plain_thing_on_a_printed_ground_is_a_subject() -> None:
    photo = printed()
    photo[225:675, 225:675] = (200, 40, 40)

    assert not pipeline(square()).run(photo).is_empty


def test_lines_without_a_body_are_told_as_doubtful() -> None:
    matte = np.zeros((1024, 1024), np.float32)
    for y in range(30, 1000, 80):
        matte[y : y + 14, 60:960] = 0.98

    result = pipeline(matte).run(textured())

    assert not result.is_empty
    assert result.confidence < 0.7
