"""One garment, one class: how pieces of clothes decide together."""

from __future__ import annotations

import numpy as np
import pytest

from ml.clothing import vote as garment_vote
from ml.clothing.garments import GARMENTS
from ml.clothing.network import CHANNELS, NOTHING, Shares
from ml.clothing.vote import BODY, vote
from ml.picture.types import RgbImage

TOPS, COAT, SKIRT = (GARMENTS.index(name) for name in ("tops", "coat", "skirt"))
NAVY, NAVY_TOO, CREAM, CREAM_TOO = (30, 40, 90), (33, 42, 92), (230, 220, 190), (226, 217, 188)
LEFT, MIDDLE, RIGHT = np.s_[60:180, 40:80], np.s_[60:180, 80:120], np.s_[60:180, 120:160]


def scene() -> tuple[RgbImage, Shares]:
    """A head before a wall, and room for clothes below it."""
    image = np.full((240, 200, 3), 127, np.uint8)
    shares = np.zeros((CHANNELS, 240, 200), np.float32)
    shares[NOTHING] = 1
    image[20:60, 80:120] = (230, 180, 150)
    shares[NOTHING, 20:60, 80:120], shares[BODY, 20:60, 80:120] = 0, 1
    return image, shares


def put(
    scene: tuple[RgbImage, Shares], where: tuple[slice, slice], colour: tuple[int, ...], said: dict[int, float]
) -> None:
    image, shares = scene
    image[where] = colour
    shares[(slice(None), *where)] = 0
    for index, share in said.items():
        shares[(index, *where)] = share


def decided(scene: tuple[RgbImage, Shares], where: tuple[slice, slice]) -> set[int]:
    image, shares = scene
    voted = vote(shares, image, shares[: len(GARMENTS)].sum(0) >= 0.5)
    return set(np.unique(voted[: len(GARMENTS)].argmax(0)[where][3:-3, 3:-3]).tolist())


def test_both_sides_of_an_open_coat_have_one_class() -> None:
    person = scene()
    put(person, LEFT, NAVY, {COAT: 0.9, TOPS: 0.1})
    put(person, MIDDLE, CREAM, {TOPS: 0.9, COAT: 0.1})
    put(person, RIGHT, NAVY_TOO, {COAT: 0.4, TOPS: 0.6})

    assert decided(person, RIGHT) == {COAT}
    assert decided(person, MIDDLE) == {TOPS}


def test_two_garments_of_different_colours_stay_two() -> None:
    person = scene()
    put(person, np.s_[60:120, 40:160], NAVY, {TOPS: 0.6, SKIRT: 0.4})
    put(person, np.s_[120:180, 40:160], CREAM, {TOPS: 0.4, SKIRT: 0.6})

    assert decided(person, np.s_[60:120, 40:160]) == {TOPS}
    assert decided(person, np.s_[120:180, 40:160]) == {SKIRT}


@pytest.mark.parametrize(("colour", "below"), [((103, 103, 103), COAT), ((200, 200, 200), TOPS)])
def test_border_costs_where_the_photo_has_no_edge(
    monkeypatch: pytest.MonkeyPatch, colour: tuple[int, int, int], below: int
) -> None:
    monkeypatch.setattr(garment_vote, "LISTENING", 0.0)
    monkeypatch.setattr(garment_vote, "MIN_PIECE_SHARE", 0.01)
    person = scene()
    put(person, np.s_[60:120, 40:160], (90, 90, 90), {COAT: 0.9, TOPS: 0.1})
    put(person, np.s_[120:180, 40:160], colour, {COAT: 0.45, TOPS: 0.55})

    assert decided(person, np.s_[60:120, 40:160]) == {COAT}
    assert decided(person, np.s_[120:180, 40:160]) == {below}


def test_what_one_person_wears_says_nothing_about_another() -> None:
    image, shares = (np.concatenate([part, part], axis) for part, axis in zip(scene(), (1, 2), strict=True))
    two = np.ascontiguousarray(image), np.ascontiguousarray(shares)
    his, hers = np.s_[60:180, 40:160], np.s_[60:180, 260:340]
    put(two, his, NAVY, {COAT: 0.9, TOPS: 0.1})
    put(two, hers, NAVY_TOO, {COAT: 0.4, TOPS: 0.6})

    assert decided(two, his) == {COAT}
    assert decided(two, hers) == {TOPS}
