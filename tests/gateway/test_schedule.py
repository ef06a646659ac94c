from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.schedule import Backoff, Schedule


@given(st.lists(st.floats(0, 0.9), min_size=1, max_size=50))
def test_no_drift_however_late_each_turn_ends(delays: list[float]) -> None:
    schedule = Schedule([1.0], start=100.0)
    for i, delay in enumerate(delays):
        assert schedule.next() == (0, 100.0 + i)
        assert schedule.done(0, now=100.0 + i + delay) == 0


def test_missed_turns_are_counted_and_not_made_up() -> None:
    schedule = Schedule([1.0], start=0.0)
    assert schedule.done(0, now=3.5) == 3
    assert schedule.next() == (0, 4.0)


def test_different_intervals_interleave() -> None:
    schedule = Schedule([1.0, 2.5], start=0.0)
    turns = []
    for _ in range(9):
        index, due = schedule.next()
        turns.append((index, due))
        schedule.done(index, now=due)
    assert [t for i, t in turns if i == 0] == [0, 1, 2, 3, 4, 5]
    assert [t for i, t in turns if i == 1] == [0, 2.5, 5]


def test_turns_without_a_connection_are_left_out() -> None:
    schedule = Schedule([1.0, 7.0], start=0.0)
    schedule.skip(now=9.5)
    assert schedule.next() == (0, 10.0)


def test_backoff_is_quick_at_first_jittered_and_capped() -> None:
    backoff = Backoff(first_s=0.1, cap_s=10, random=Random(1))
    waits = [backoff.next() for _ in range(30)]
    assert waits[0] <= 0.1
    assert sum(waits[:3]) < 1
    assert all(5 <= wait <= 10 for wait in waits[8:])
    assert len(set(waits[8:])) > 10
    backoff.reset()
    assert backoff.next() <= 0.1
