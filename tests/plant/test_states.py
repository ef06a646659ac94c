"""Timelines tile their window to the nanosecond, whatever the data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.clock import Window
from plant.states import CODE, STATES, State, Timeline, codes_by_map, codes_by_threshold, timeline

points = st.lists(st.tuples(st.integers(-50, 250), st.sampled_from(range(len(STATES)))), max_size=20)
stale = st.one_of(st.none(), st.integers(1, 80))
windows = st.tuples(st.integers(0, 198), st.integers(1, 100)).map(lambda w: Window(w[0], w[0] + w[1]))


def line(raw: list[tuple[int, int]], window: Window, stale_ns: int | None = None) -> Timeline:
    rows = sorted(raw, key=lambda row: row[0])
    time_ns = np.array([t for t, _ in rows], dtype=np.int64)
    return timeline(time_ns, np.array([c for _, c in rows], dtype=np.int8), window, stale_ns)


def state_at(raw: list[tuple[int, int]], moment: int, stale_ns: int | None) -> State:
    """The reference: one nanosecond at a time."""
    held = [row for row in sorted(raw, key=lambda row: row[0]) if row[0] <= moment]
    if not held or (stale_ns is not None and moment >= held[-1][0] + stale_ns):
        return State.UNKNOWN
    return STATES[held[-1][1]]


@given(points, windows, stale)
def test_it_tiles_the_window_and_says_what_holds(
    raw: list[tuple[int, int]], window: Window, stale_ns: int | None
) -> None:
    intervals = list(line(raw, window, stale_ns))
    assert intervals[0].start_ns == window.start_ns
    assert intervals[-1].end_ns == window.end_ns
    for one, other in itertools.pairwise(intervals):
        assert one.end_ns == other.start_ns
        assert one.state is not other.state
    for interval in intervals:
        assert interval.end_ns > interval.start_ns
        for moment in range(interval.start_ns, interval.end_ns):
            assert state_at(raw, moment, stale_ns) is interval.state


@given(points, windows, stale, st.lists(st.integers(0, 300), max_size=4))
def test_splitting_never_changes_totals(
    raw: list[tuple[int, int]], window: Window, stale_ns: int | None, cuts: list[int]
) -> None:
    whole = line(raw, window, stale_ns).durations_ns()
    assert sum(whole.values()) == window.length_ns
    edges = sorted({window.start_ns, window.end_ns, *(c for c in cuts if window.start_ns < c < window.end_ns)})
    parts = [Window(a, b) for a, b in itertools.pairwise(edges)]
    split = [line(raw, part, stale_ns).durations_ns() for part in parts]
    assert {state: sum(part[state] for part in split) for state in State} == whole
    assert line(raw, window, stale_ns).durations_ns(parts) == whole


@given(points, windows, stale, st.sampled_from(State), st.lists(st.floats(0, 0.999), min_size=1, max_size=5))
def test_time_in_a_state_before_a_moment(
    raw: list[tuple[int, int]], window: Window, stale_ns: int | None, state: State, shares: list[float]
) -> None:
    found = line(raw, window, stale_ns)
    moments = np.array([window.start_ns + int(share * window.length_ns) for share in shares], dtype=np.int64)
    expected = [sum(state_at(raw, t, stale_ns) is state for t in range(window.start_ns, m)) for m in moments.tolist()]
    assert found.in_state_before(state, moments).tolist() == expected


def test_without_points_all_is_unknown() -> None:
    assert [(i.state, i.seconds) for i in line([], Window(0, 10**9))] == [(State.UNKNOWN, 1.0)]


def test_durations_outside_the_window_count_nothing() -> None:
    assert sum(line([(0, 0)], Window(0, 10)).durations_ns([Window(20, 30)]).values()) == 0


def test_map() -> None:
    codes = codes_by_map(["ACTIVE", None, "other"], {"ACTIVE": State.RUNNING})
    assert [STATES[c] for c in codes] == [State.RUNNING, State.UNKNOWN, State.UNKNOWN]


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(-5, 15)), max_size=20), st.booleans())
def test_threshold_against_a_plain_loop(values: list[float], off: bool) -> None:  # noqa: FBT001
    expected, running = [], False
    for value in values:
        if value != value:
            expected.append(State.UNKNOWN)
            continue
        running = value >= 8 or (running and value >= 4)
        expected.append(State.RUNNING if running else State.OFF if off and value < 2 else State.IDLE)
    codes = codes_by_threshold(np.array(values, dtype=float), 8, 4, 2 if off else None)
    assert [STATES[c] for c in codes] == expected


@pytest.mark.parametrize("state", State)
def test_codes_go_both_ways(state: State) -> None:
    assert STATES[CODE[state]] is state
