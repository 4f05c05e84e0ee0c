"""When what another machine did not take is sent again: the times that Standard Webhooks publishes."""

from __future__ import annotations

from datetime import timedelta

_S, _M, _H = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PAUSES = (5 * _S, 5 * _M, 30 * _M, 2 * _H, 5 * _H, 10 * _H, 14 * _H, 20 * _H, 24 * _H)
"""After the first try, which is at once, and after each further one that failed."""


def pause_after(tries: int) -> timedelta | None:
    """How long to wait after so many tries that failed, 1..; None where that was the last."""
    return PAUSES[tries - 1] if tries <= len(PAUSES) else None
