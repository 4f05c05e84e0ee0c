"""Places that many callers share: nobody has all of them."""

from __future__ import annotations

import threading

from apps.core.places import Places


def taken(places: Places, caller: str, times: int) -> int:
    return sum(places.take(caller) for _ in range(times))


def test_one_caller_never_has_the_last_places() -> None:
    places = Places(80, spare=16)

    assert taken(places, "greedy", 100) == 64
    assert [taken(places, f"late {n}", 5) for n in range(4)] == [4, 4, 4, 4]
    assert not places.take("later")


def test_place_that_is_given_back_is_there_for_others() -> None:
    places = Places(2, of_one=1)

    assert places.take("a")
    assert not places.take("a")
    assert places.take("b")
    places.give_back("a")
    assert places.take("c")


def test_patience_ends_with_a_place_or_without() -> None:
    places = Places(9, of_one=1)
    places.take("a")

    assert not places.take("a", patience_s=0.01)
    threading.Timer(0.05, places.give_back, ["a"]).start()
    assert places.take("a", patience_s=10)


def test_service_with_one_thread_serves_two() -> None:
    places = Places(2, spare=1)

    assert taken(places, "a", 2) == 1
    assert places.take("b")
