"""Weighing the judge's map of people against that of the network that knows people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.background.people import close_up, weigh_people
from ml.background.people_network import PeopleNetwork
from ml.errors import ShapeError
from ml.picture.types import Matte
from ml.sessions.session import LateGraph

SIDE = 320
PERSON = slice(60, 300), slice(130, 200)
BESIDE = slice(100, 300), slice(220, 280)


def plane(*areas: tuple[slice, slice], level: float = 1.0, ground: float = 0.0) -> Matte:
    matte = np.full((SIDE, SIDE), ground, np.float32)
    for area in areas:
        matte[area] = level
    return matte


def middle(matte: Matte, area: tuple[slice, slice]) -> float:
    rows, columns = area
    return float(matte[(rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2])


def test_an_unsure_judge_loses_the_car_beside_a_person() -> None:
    judged = plane(PERSON)
    judged[BESIDE] = 0.9

    kept = weigh_people(judged, judged, plane(PERSON))

    assert middle(kept, PERSON) > 0.95
    assert middle(kept, BESIDE) < 0.3


def test_where_it_sees_nobody_at_all_the_judge_is_outvoted() -> None:
    assert weigh_people(plane(PERSON), plane(PERSON), plane()).max() < 0.5


def test_what_a_sure_judge_keeps_stays_half_of_it_at_least() -> None:
    kept = weigh_people(plane(PERSON, BESIDE), plane(PERSON, BESIDE), plane(PERSON))

    assert middle(kept, BESIDE) > 0.5


def test_a_distant_person_whom_the_judge_missed_comes_back() -> None:
    kept = weigh_people(plane(PERSON), plane(PERSON), plane(PERSON, BESIDE))

    assert middle(kept, BESIDE) > 0.6


@pytest.mark.parametrize(
    "at_border",
    [
        (slice(100, 300), slice(0, 40)),
        (slice(100, 300), slice(280, 320)),
        (slice(0, 40), slice(220, 280)),
        (slice(280, 320), slice(220, 280)),
    ],
)
def test_a_passer_by_whom_the_border_cuts_off_stays_out(at_border: tuple[slice, slice]) -> None:
    kept = weigh_people(plane(PERSON), plane(PERSON), plane(PERSON, at_border))

    assert middle(kept, PERSON) > 0.95
    assert kept[at_border].max() < 0.1


def test_a_person_whom_both_see_may_be_cut_off_by_the_border() -> None:
    at_border = slice(100, 320), slice(250, 320)

    kept = weigh_people(plane(PERSON, at_border), plane(PERSON, at_border), plane(PERSON, at_border))

    assert middle(kept, at_border) > 0.95


def test_what_stands_out_is_no_person_where_the_judge_sees_nobody() -> None:
    flower = slice(100, 200), slice(100, 160)

    kept = weigh_people(plane(), plane(flower), plane(flower))

    assert kept.max() < 0.1


def test_a_person_who_fills_the_picture_is_found_though_the_judge_is_lost_and_keeps_what_they_hold() -> None:
    portrait, held = (slice(40, 320), slice(60, 220)), (slice(250, 320), slice(220, 300))

    kept = weigh_people(plane(), plane(portrait, held), plane(portrait))

    assert middle(kept, portrait) > 0.95
    assert middle(kept, held) > 0.5


def test_the_judge_alone_keeps_a_portrait_whole() -> None:
    portrait, lost = (slice(40, 320), slice(60, 220)), (slice(40, 100), slice(60, 220))
    human = plane(portrait)
    human[lost] = 0

    assert close_up(human, plane(portrait))[lost].min() == 1


@pytest.mark.parametrize("stands_out", [(slice(100, 320), slice(20, 300)), (slice(60, 300), slice(130, 160))])
def test_the_judge_alone_keeps_little_that_is_small_or_no_person(stands_out: tuple[slice, slice]) -> None:
    """A car that a small person stands in front of; a small thing that is half a person."""
    human = plane((slice(60, 300), slice(130, 150)))

    assert np.array_equal(close_up(human, plane(stands_out)), human)


def test_maps_of_other_proportions_fit() -> None:
    kept = weigh_people(plane(PERSON), plane(PERSON), np.zeros((768, 300), np.float32))

    assert kept.shape == (SIDE, SIDE)


class Film:
    """Answers with a matte of the size that it was given, and remembers what that was."""

    def __init__(self) -> None:
        self.given: dict[str, NDArray[np.float32]] = {}

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.given = dict(tensors)
        return [np.full((1, 1, *tensors["src"].shape[2:]), 1.25, np.float32)]


@pytest.mark.parametrize(
    ("size_hw", "seen_hw"),
    [((400, 200), (768, 384)), ((3000, 4000), (576, 768)), ((5, 1000), (32, 768)), ((1, 1), (768, 768))],
)
def test_the_network_sees_the_whole_picture_in_its_proportions(
    size_hw: tuple[int, int], seen_hw: tuple[int, int]
) -> None:
    film = Film()

    matte = PeopleNetwork(film, side_px=768).see_people(np.full((*size_hw, 3), 255, np.uint8))

    assert matte.shape == seen_hw
    assert matte.max() == 1
    assert film.given["src"].shape == (1, 3, *seen_hw)
    assert film.given["src"].max() == 1
    assert film.given["r1i"].shape == (1, 1, 1, 1)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ShapeError):
        PeopleNetwork(Film(), side_px=768).see_people(np.zeros((5, 5), np.uint8))


def test_a_late_graph_is_opened_once_and_not_before_it_is_asked() -> None:
    opened: list[Film] = []

    def open_graph() -> Film:
        time.sleep(0.05)
        opened.append(Film())
        return opened[-1]

    late = LateGraph(open_graph)
    assert opened == []
    tensors = {"src": np.zeros((1, 3, 4, 4), np.float32)}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(late.run, [tensors] * 4))

    assert len(opened) == 1
    assert len(answers) == 4
