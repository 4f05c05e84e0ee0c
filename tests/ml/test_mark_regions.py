"""What is reported of what the network saw."""

from __future__ import annotations

import numpy as np

from ml.watermark.finder import Sight
from ml.watermark.regions import Found, find_marks

SURE, UNSURE, LIKELY = 0.99, 0.7, 0.93


def seen(*bars: tuple[slice, slice, float]) -> list[Found]:
    """The marks in a sight with strokes in these rows and columns, and so sure a gate there."""
    shape, gate = np.zeros((2, 200, 300), np.float32)
    for rows, columns, sureness in bars:
        shape[rows, columns] = 1
        gate[rows, columns] = sureness
    return find_marks(Sight(shape, shape * 0.5, gate), sensitivity=0.5)


def test_a_mark_is_judged_by_all_of_its_strokes() -> None:
    rows = slice(40, 50)

    assert len(seen((rows, slice(20, 220), SURE))) == 1
    assert seen((rows, slice(20, 220), UNSURE), (rows, slice(20, 32), SURE)) == []


def test_a_less_sure_mark_is_believed_beside_a_sure_one_alone() -> None:
    sure, likely = (slice(20, 30), slice(20, 120), SURE), (slice(150, 160), slice(150, 280), LIKELY)

    assert len(seen(sure, likely)) == 2
    assert seen(likely) == []
