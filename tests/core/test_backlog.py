"""How long a job would take: what is in hand, what waits ahead, and whose time is whose."""

from __future__ import annotations

import pytest

from apps.core.work.backlog import InHand, expected_s
from apps.core.work.worker import SharedTime

FULL = [InHand(2.0, age_s=2.0), InHand(2.0, age_s=0.0)]
"""Two jobs of two seconds on one slot, which they share."""


def test_idle_service_takes_the_jobs_own_time() -> None:
    assert expected_s(2.0, in_hand=[], ahead_s=0, slots=1) == pytest.approx(4.0)


def test_backlog_is_worked_off_by_all_slots() -> None:
    one, two = (expected_s(2.0, in_hand=FULL * slots, ahead_s=40, slots=slots) for slots in (1, 2))

    assert one == pytest.approx(43 + 4)  # 40 s of work after a mean of 3 s in which the places become free
    assert two == pytest.approx(23 + 4)


def test_slow_job_takes_one_place_and_leaves_the_other() -> None:
    learning = InHand(60.0, age_s=1.0)

    assert expected_s(2.0, in_hand=[learning], ahead_s=0, slots=1) == pytest.approx(4.0)
    assert expected_s(2.0, in_hand=[learning], ahead_s=4, slots=1) == pytest.approx(8 + 4)
    assert expected_s(2.0, in_hand=[learning] * 2, ahead_s=0, slots=1) == pytest.approx(119 + 4)


def test_job_in_hand_counts_for_what_is_left_of_it() -> None:
    nearly_done = [InHand(60.0, age_s=118.0)] * 2

    assert expected_s(2.0, in_hand=nearly_done, ahead_s=0, slots=1) == pytest.approx(2 + 4)


def test_jobs_of_dead_workers_are_done_again() -> None:
    dead = [InHand(2.0, age_s=1000.0)] * 4

    assert expected_s(2.0, in_hand=[*FULL, *dead], ahead_s=0, slots=1) == pytest.approx((2 * 8 + 6) / 2 + 4)


def test_jobs_that_share_a_slot_took_half_of_the_time_each() -> None:
    now = [0.0]
    shared = SharedTime(1, clock=lambda: now[0])
    shared.now_shared_by(1)
    slow = shared.read()
    now[0] = 10.0
    shared.now_shared_by(2)
    quick = shared.read()
    now[0] = 14.0
    quick_s = shared.read() - quick
    shared.now_shared_by(1)
    now[0] = 44.0

    assert quick_s == pytest.approx(2.0)
    assert shared.read() - slow == pytest.approx(10 + 2 + 30)


def test_jobs_with_a_slot_each_took_all_of_the_time() -> None:
    now = [0.0]
    shared = SharedTime(4, clock=lambda: now[0])
    shared.now_shared_by(3)
    now[0] = 5.0

    assert shared.read() == pytest.approx(5.0)
