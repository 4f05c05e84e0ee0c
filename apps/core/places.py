"""Places that many callers share, so that none of them can take all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable


class Places:
    """
    Args:
        most: how many there are.
        of_one: how many of them one caller may have.
        spare: the last ones, which only callers who have less than a quarter of so many may take: whoever comes late finds
            one, although somebody else has taken all the others.
    """

    def __init__(self, most: int, *, of_one: int | None = None, spare: int = 0) -> None:
        self._most = most
        self._of_one = most if of_one is None else of_one
        self._spare = spare
        self._taken: Counter[Hashable] = Counter()
        self._changed = threading.Condition()

    def take(self, caller: Hashable, *, patience_s: float = 0.0, of_one: int | None = None) -> bool:
        """
        A place for `caller`, after at most `patience_s` seconds; False where there is none.

        Args:
            of_one: how many this caller may have, where callers differ.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(caller, of_one), timeout=patience_s):
                return False
            self._taken[caller] += 1
            return True

    def give_back(self, caller: Hashable) -> None:
        """The end of what `take` began; from any thread."""
        with self._changed:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]
            self._changed.notify_all()

    def taken_by(self, caller: Hashable) -> int:
        """How many places `caller` has."""
        with self._changed:
            return self._taken[caller]

    def _is_free(self, caller: Hashable, of_one: int | None) -> bool:
        mine, left = self._taken[caller], self._most - self._taken.total()
        is_for_all = left > self._spare or mine < max(1, self._spare // 4)
        return left > 0 and mine < (of_one or self._of_one) and is_for_all
