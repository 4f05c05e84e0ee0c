"""
Lists in pages, newest first, for every list of rows that have a `created_at` and a UUID as `id`.

    asked = PageAsked.of(request.GET)                             # limit and cursor, or a 400 on the one at fault
    page = page_of(rows.filter(account_id=...), asked)            # a QuerySet; one statement, no OFFSET
    Things(things=[... for row in page.rows], next_cursor=page.next_cursor)

and `Endpoint(..., query=PAGE_QUERY)` on the method. The next page is asked for by where the last one ended, `(created_at, id)`,
so rows that come meanwhile move nothing, and the thousandth page costs what the first does. The rows need an index that begins
with what the list filters by and ends with `-created_at, -id`.
"""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Protocol, Self, TypeVar

from django.db.models import Model, Q, QuerySet

from apps.core.answers import about
from apps.core.errors import invalid
from apps.core.openapi.endpoints import in_query

MOST_ROWS = 100
USUAL_ROWS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH = 8 + 16

PAGE_QUERY = (
    in_query("limit", "How many at most.", type="integer", minimum=1, maximum=MOST_ROWS, default=USUAL_ROWS),
    in_query("cursor", "`nextCursor` of the page before; the filters may not change between pages.", type="string"),
)
NextCursor = Annotated[str | None, about("Send it as `cursor` for the next page; null on the last one.")]
Row = TypeVar("Row")
ModelRow = TypeVar("ModelRow", bound=Model)


class _Placed(Protocol):
    """What has a place in such a list."""

    created_at: Any
    id: Any


@dataclass(frozen=True)
class Place:
    """Where in a list something stands."""

    created_at: datetime
    id: uuid.UUID

    @classmethod
    def of(cls, row: _Placed) -> Self:
        return cls(row.created_at, row.id)

    @classmethod
    def from_cursor(cls, text: str) -> Self:
        """Raises AppError: VALIDATION_ERROR on `cursor` for what no answer of ours had as its `nextCursor`."""
        place = None
        try:
            raw = urlsafe_b64decode(text)
            if len(raw) == _LENGTH:
                place = cls(_EPOCH + int.from_bytes(raw[:8]) * _MICROSECOND, uuid.UUID(bytes=raw[8:]))
        except (ValueError, OverflowError):  # no base64; beyond the year 9999
            pass
        if place is None or place.cursor != text:  # base64 with anything strewn in is decoded as well
            raise invalid("cursor", "This is no cursor: send nextCursor of the page before, unchanged.")
        return place

    @property
    def cursor(self) -> str:
        """Opaque to clients: microseconds since 1970 (8 bytes, big-endian) and the id, in URL-safe base64."""
        return urlsafe_b64encode(((self.created_at - _EPOCH) // _MICROSECOND).to_bytes(8) + self.id.bytes).decode()


@dataclass(frozen=True)
class PageAsked:
    """
    What the address asks of a list.

    Args:
        limit: rows, 1..MOST_ROWS.
        after: where the page before ended; None for the first page.
    """

    limit: int = USUAL_ROWS
    after: Place | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """From `limit` and `cursor`; an empty one is as good as none. Raises AppError: VALIDATION_ERROR on one of them."""
        limit, cursor = query.get("limit") or str(USUAL_ROWS), query.get("cursor")
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 10 and 1 <= int(limit) <= MOST_ROWS):
            raise invalid("limit", f"limit must be a whole number from 1 to {MOST_ROWS}.")
        return cls(int(limit), Place.from_cursor(cursor) if cursor else None)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """
    Args:
        next_cursor: None on the last page.
    """

    rows: list[Row]
    next_cursor: str | None

    @classmethod
    def cut(cls, rows: Iterable[Row], limit: int) -> Self:
        """Of `limit + 1` rows, where there are so many: the one too many only tells that there is another page."""
        found: list[Any] = list(rows)
        kept = found[:limit]
        return cls(kept, Place.of(kept[-1]).cursor if len(found) > limit else None)


def page_of(rows: QuerySet[ModelRow], asked: PageAsked) -> Page[ModelRow]:
    """The page of `rows` that was asked for, newest first."""
    if asked.after:
        at, id = asked.after.created_at, asked.after.id
        # The first condition says again what the second does, in a form that bounds an index scan.
        rows = rows.filter(Q(created_at__lte=at), Q(created_at__lt=at) | Q(id__lt=id))
    return Page.cut(rows.order_by("-created_at", "-id")[: asked.limit + 1], asked.limit)
