"""What a mutant is, and whether it still fits the file that it was written for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """
    One fault that somebody could make, or an attacker would wish for.

    Args:
        what: the fault, in a few words that are unique in the list.
        file: where, from the checkout's root.
        old: what stands there, exactly once in the file.
        new: what stands there instead.
        tests: pytest's ids, separated by blanks; at least one of them must fail.
    """

    what: str
    file: str
    old: str
    new: str
    tests: str

    @property
    def is_migration(self) -> bool:
        """Whether it takes a new database to see it."""
        return "/migrations/" in self.file

    def fault(self, root: Path) -> str:
        """Why it no longer fits; "" while it does."""
        path = root / self.file
        if not path.is_file():
            return f"{self.file} is gone"
        if (times := path.read_text().count(self.old)) != 1:
            return f"{self.file} holds its old text {times} times"
        missing = [test for test in self.tests.split() if not (root / test.partition("::")[0]).is_file()]
        return f"{missing[0]} is gone" if missing else ""

    def applied_to(self, text: str) -> str:
        """The file's text with the fault."""
        return text.replace(self.old, self.new)
