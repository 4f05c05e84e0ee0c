"""The list of mutants: `make mutants` runs them; here is only what can be told without a server."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.__main__ import AREAS, run
from tests.mutants.bench import Verdict
from tests.mutants.mutant import Mutant

EVERY = [(area, mutant) for area, mutants in AREAS.items() for mutant in mutants]


class FakeBench:
    """Tests are green without a mutant, and say of each what they are told."""

    said = "what pytest said"

    def __init__(self, *verdicts: Verdict, green: bool = True) -> None:
        self._verdicts = list(verdicts)
        self._green = green

    def passes(self, tests: list[str]) -> bool:
        return self._green

    def verdict(self, mutant: Mutant) -> Verdict:
        return self._verdicts.pop(0)

    def stop(self) -> None:
        """Nothing runs."""


def test_every_mutant_has_a_name_of_its_own_and_is_one() -> None:
    names = Counter((area, mutant.what) for area, mutant in EVERY)

    assert len(EVERY) >= 40
    assert [name for name, times in names.items() if times > 1] == []
    assert [mutant.what for _, mutant in EVERY if mutant.old == mutant.new or not mutant.tests] == []


@pytest.mark.parametrize(
    ("text", "told"), [("a = 1\n", ""), ("a = 2\n", "0 times"), ("a = 1\na = 1\n", "2 times"), (None, "is gone")]
)
def test_mutant_whose_line_has_changed_is_stale(text: str | None, told: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "it.py").write_text(text)
    (tmp_path / "test_it.py").touch()

    fault = Mutant("it", "it.py", "a = 1", "a = 3", "test_it.py::test_it").fault(tmp_path)

    assert told in fault
    assert bool(fault) == bool(told)


@pytest.mark.parametrize(
    ("bench", "status"),
    [
        (FakeBench(Verdict.KILLED, Verdict.KILLED), 0),
        (FakeBench(Verdict.KILLED, Verdict.SURVIVED), 1),
        (FakeBench(Verdict.UNPROVEN, Verdict.SURVIVED), 2),
        (FakeBench(green=False), 2),
    ],
)
def test_status_says_whether_all_were_killed(bench: FakeBench, status: int) -> None:
    assert run(EVERY[:2], [bench], is_verbose=False) == status
