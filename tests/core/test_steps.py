"""The steps of a job are in one order, and what a client says that it has seen leads to a place in it."""

from __future__ import annotations

import itertools

import pytest

from apps.core.models import State
from apps.core.steps import Step, place_in

TRIED_TWICE = [
    Step(0, State.QUEUED, "queued", 0.0),
    Step(1, State.RUNNING, "decode", 0.0),
    Step(1, State.RUNNING, "infer", 0.2),
    Step(1, State.SETTLING, "settle", 0.95),
    Step(1, State.QUEUED, "queued", 0.0),
    Step(2, State.RUNNING, "decode", 0.0),
    Step(2, State.SUCCEEDED, "succeeded", 1.0),
]


def test_each_step_comes_after_the_one_before_and_never_the_other_way() -> None:
    for before, after in itertools.pairwise(TRIED_TWICE):
        assert after.comes_after(before)
        assert not before.comes_after(after)
        assert not after.comes_after(after)


def test_two_stages_of_one_progress_are_both_told() -> None:
    assert Step(1, State.RUNNING, "encode", 0.8).comes_after(Step(1, State.RUNNING, "compose", 0.8))


@pytest.mark.parametrize("step", TRIED_TWICE)
def test_step_is_the_same_after_its_way_through_redis_and_through_a_client(step: Step) -> None:
    assert Step.from_text(step.to_text()) == step
    assert place_in(step.id) == step.place


@pytest.mark.parametrize("text", ["", "x", "1-2", "1-2-3-4", "1--3", "-1-0-0", "1-0-٣", "1-0-" + "9" * 5000])
def test_what_is_no_id_of_a_step_leads_nowhere(text: str) -> None:
    assert place_in(text) is None
