"""What tells a veil over a part of a page from a printed thing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.background import pages
from ml.background.confidence import figure_of
from ml.background.pages import Page, read_border
from ml.background.writing import written_on_ground, written_on_paper
from ml.picture.types import Matte, RgbImage

SIDE_PX = 1024


def judge_page(square: RgbImage, matte: Matte) -> Page:
    return pages.judge_page(square, matte, outline=figure_of(matte).outline)


def printed(ground: int, ink: int, *, left: int = 40, right: int = 984, step_px: int = 20) -> RgbImage:
    """Lines of words on a sheet that fills the picture."""
    page, rng = np.full((SIDE_PX, SIDE_PX, 3), ground, np.uint8), np.random.default_rng(5)
    for y in range(40, 984, step_px):
        x = left
        while x < right - 50:
            wide = int(rng.integers(12, 40))
            page[y : y + step_px * 2 // 5, x : x + wide] = ink
            x += wide + 8
    return page


def code(module_px: int) -> RgbImage:
    """Squares of black and white, with a white margin."""
    modules = np.random.default_rng(2).integers(0, 2, (SIDE_PX // module_px, SIDE_PX // module_px), np.uint8) * 255
    modules[:3] = modules[-3:] = modules[:, :3] = modules[:, -3:] = 255
    grown = np.kron(modules, np.ones((module_px, module_px), np.uint8))
    return np.repeat(cv2.resize(grown, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_NEAREST)[..., None], 3, axis=2)


def veil() -> Matte:
    """No outline that anything on the page has."""
    matte = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.ellipse(matte, (480, 560), (290, 230), 20, 0, 360, 255, -1)
    return matte.astype(np.float32) / 255


def block() -> Matte:
    matte = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    matte[256:768, 256:768] = 1
    return matte


def grained(photo: RgbImage) -> RgbImage:
    noise = np.random.default_rng(7).normal(0, 2, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("ground", "ink"),
    [(250, 30), (250, 222), (238, 205), (30, 220), (24, 52)],
    ids=["print", "pale print", "paler paper", "dark screen", "dim screen"],
)
def test_a_veil_over_print_is_a_page_however_pale_it_is(ground: int, ink: int) -> None:
    assert judge_page(grained(printed(ground, ink)), veil()) is Page.YES


def test_words_in_all_colours_on_a_dark_screen_are_a_page() -> None:
    screen, rng = printed(24, 255), np.random.default_rng(4)
    _, words = cv2.connectedComponents((screen[..., 0] == 255).astype(np.uint8))
    colours = rng.integers(90, 255, (words.max() + 1, 3), np.uint8)
    colours[0] = 24

    assert judge_page(colours[words], veil()) is Page.YES


def test_a_narrow_receipt_that_fills_the_height_is_a_page() -> None:
    receipt = printed(244, 120, left=300, right=720, step_px=26)

    assert judge_page(grained(receipt), veil()) is Page.YES


@pytest.mark.parametrize("around", [226, 242, 255])
def test_a_printed_sheet_on_print_of_another_ground_is_a_thing(around: int) -> None:
    photo, sheet = printed(around, 90), printed(234, 30)
    photo[256:768, 256:768] = sheet[256:768, 256:768]

    assert written_on_paper(photo, block())[1] > 0.3, "or the border alone decides nothing here"
    assert judge_page(photo, block()) is not Page.YES


def test_a_printed_thing_on_clean_ground_of_its_own_colour_is_a_thing() -> None:
    photo = np.full((SIDE_PX, SIDE_PX, 3), 250, np.uint8)
    photo[280:744, 280:744] = printed(250, 40)[280:744, 280:744]

    assert read_border(photo, block()).near > 0.9, "or it is told by its border"
    assert judge_page(photo, block()) is Page.NO


def test_a_veil_with_holes_inside_a_sheet_makes_no_page_of_the_sheet() -> None:
    photo, sheet = printed(200, 120), printed(250, 40)
    photo[256:768, 256:768] = sheet[256:768, 256:768]
    matte = block()
    for y in range(300, 720, 70):
        matte[y : y + 40, 290:734] = 0

    assert read_border(photo, matte).near < 0.1
    assert judge_page(photo, matte) is not Page.YES


def test_a_border_that_is_the_pictures_own_tells_nothing() -> None:
    border = read_border(printed(250, 40), np.ones((SIDE_PX, SIDE_PX), np.float32))

    assert (border.near, border.far) == (0, 0)


@pytest.mark.parametrize("module_px", [16, 24])
def test_a_code_is_doubtful(module_px: int) -> None:
    """Networks keep most of its dark squares."""
    picture = code(module_px)
    matte = np.where((picture[..., 0] < 128) & (veil() > 0), 1, 0).astype(np.float32)

    assert judge_page(picture, matte) is Page.DOUBTFUL


def test_a_code_whose_squares_hide_the_paper_is_doubtful() -> None:
    border = read_border(code(60), veil())

    assert border.near < 0.6 < border.far
    assert judge_page(code(60), veil()) is Page.DOUBTFUL


def test_a_dark_screen_is_doubtful_though_its_panels_end() -> None:
    screen, panel = printed(28, 200), printed(40, 220)
    screen[256:768, 256:768] = panel[256:768, 256:768]

    assert judge_page(screen, block()) is Page.DOUBTFUL


@pytest.mark.parametrize("colour", [(120, 40, 40), (250, 250, 250)])
def test_a_plain_thing_on_a_plain_ground_is_a_thing(colour: tuple[int, int, int]) -> None:
    photo = np.full((SIDE_PX, SIDE_PX, 3), 225, np.uint8)
    photo[256:768, 256:768] = colour

    assert written_on_paper(photo, block())[1] < 0.05
    assert judge_page(photo, block()) is Page.NO


def test_as_much_is_written_on_paper_as_there_is() -> None:
    page = printed(245, 200)
    page[:, 512:] = 245
    matte = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    matte[128:896, 128:896] = 1

    assert written_on_paper(page, matte)[0] == pytest.approx(0.5, abs=0.05)
    assert written_on_ground(page, matte)[0] == pytest.approx(0.5, abs=0.05), "40 levels are strokes there"
    assert written_on_ground(printed(245, 220), matte)[0] == 0, "25 are not"
