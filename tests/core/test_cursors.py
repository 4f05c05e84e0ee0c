"""A cursor leads to the place that it was made from, and what is none is refused on its field."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from apps.core.api.cursors import MOST_ROWS, USUAL_ROWS, Page, PageAsked, Place
from apps.core.errors import AppError

PLACE = Place(datetime(2026, 11, 21, 9, 30, 0, 123457, tzinfo=UTC), uuid.UUID(int=7))


def test_cursor_leads_back_to_the_microsecond() -> None:
    assert Place.from_cursor(PLACE.cursor) == PLACE
    assert PLACE.cursor.isascii()
    assert "=" not in PLACE.cursor  # nothing that an address would encode


@pytest.mark.parametrize(
    "text", ["x", "=", "äöü", PLACE.cursor[:-4], PLACE.cursor + "AAAA", "_" * 32, "null", "0", "!" + PLACE.cursor]
)
def test_what_is_no_cursor_is_refused_on_cursor(text: str) -> None:
    with pytest.raises(AppError) as refused:
        PageAsked.of({"cursor": text})

    assert [detail.field for detail in refused.value.details] == ["cursor"]


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.5", "ten", "٣", "1" * 5000, " 5"])
def test_limit_is_a_whole_number_up_to_a_hundred(text: str) -> None:
    with pytest.raises(AppError) as refused:
        PageAsked.of({"limit": text})

    assert [detail.field for detail in refused.value.details] == ["limit"]


def test_nothing_said_is_a_usual_first_page() -> None:
    assert PageAsked.of({}) == PageAsked.of({"limit": "", "cursor": ""}) == PageAsked(USUAL_ROWS, None)
    assert PageAsked.of({"limit": str(MOST_ROWS)}).limit == MOST_ROWS


def test_only_a_page_that_another_follows_has_a_cursor() -> None:
    rows: list[Any] = [SimpleNamespace(created_at=PLACE.created_at, id=uuid.UUID(int=n)) for n in (3, 2, 1)]

    assert Page.cut(rows, 2) == Page(rows[:2], Place.of(rows[1]).cursor)
    assert Page.cut(rows, 3) == Page(rows, None)
    assert Page.cut([], 3) == Page([], None)
