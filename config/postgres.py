"""A PostgreSQL connection that gives up on a server that keeps its sockets and answers nothing."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout

_Result = TypeVar("_Result")
_LOOK_EVERY_S = 0.1


class BoundedConnection(psycopg.Connection[Any]):
    """
    Raises OperationalError, and is closed, when a statement has had no answer for `patience_s` seconds.

    The server's own `statement_timeout` can't do that: a server that hangs does not look at its clock.
    """

    patience_s: ClassVar[float | None] = None

    def wait(self, gen: PQGen[_Result], interval: float = _LOOK_EVERY_S, timeout: float | None = None) -> _Result:
        if timeout is not None or self.patience_s is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.patience_s)
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the database has not answered for {self.patience_s:g} s") from None
