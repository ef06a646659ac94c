"""What is drawn: gaps as gaps, round axes, every state in the ribbon."""

from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.web.i18n import language
from dashboards.web.views import charts
from plant.clock import DAY, HOUR, MINUTE, SECOND, Window, parse_iso
from plant.historian.base import Series, Trend
from plant.points import Quality
from plant.states import CODE, STATES, State, timeline
from plant.tags import Tag

ZONE = ZoneInfo("Europe/Stockholm")
T = language("sv", "Europe/Stockholm")
NAN = np.nan


def trend(mean: list[float], bucket_s: int = 10, count: int = 1) -> Trend:
    column = np.array(mean)
    start = bucket_s * SECOND * np.arange(len(mean), dtype=np.int64)
    n = np.where(np.isnan(column), 0, count)
    return Trend(Window(0, bucket_s * SECOND * len(mean)), bucket_s * SECOND, start, column, column - 1, column + 1, n)


def drawn(rows: list[charts.Row]) -> list[float | None]:
    return [row[1] for row in rows]


def test_empty_buckets_join_while_a_value_holds_and_break_after() -> None:
    one_missing = trend([1, NAN, 2, NAN, NAN, NAN, 3])
    assert drawn(charts.rows(one_missing, 25 * SECOND)) == [1, 2, None, 3]
    assert drawn(charts.rows(one_missing, None)) == [1, 2, 3]


def test_a_value_that_holds_is_broken_by_a_bad_point() -> None:
    held = trend([1, NAN, NAN, 2, NAN, 3])
    assert drawn(charts.rows(held, None, [(5 * SECOND, 35 * SECOND)])) == [1, None, 2, 3]


def test_the_last_value_before_a_break_is_drawn() -> None:
    end = 600_001_000_000
    series = Series(
        SECOND * np.array([0, 300, 600, 0]) + np.array([0, 0, 0, end]),
        np.array([1, 2, 3, NAN]),
        np.array([Quality.GOOD] * 3 + [Quality.BAD_END_OF_RECORDING], dtype=np.uint8),
    )
    held = trend([1] + 29 * [NAN] + [2] + 29 * [NAN] + [3])
    assert charts.rows(held, None, charts.breaks(series)) == [
        [5_000, 1, 0, 2], [305_000, 2, 1, 2], [605_000, 3, 2, 2], [610_000, None, None, None]
    ]  # fmt: skip


def test_points_between_gaps_stand_alone() -> None:
    around = [(5 * SECOND, 15 * SECOND), (15 * SECOND, 25 * SECOND), (16 * SECOND, 17 * SECOND)]
    found = charts.rows(trend([1, 2, 3, 4]), None, around)
    assert drawn(charts.rows(trend([NAN]), None)) == []
    assert drawn(found) == [1, None, 2, None, 3, 4]
    assert [row[1] for row in found if row[4:]] == [1, 2]


@pytest.mark.parametrize("limits", [{"low": 0, "high": 80}, {"low": -20, "high": 100}])
def test_absurd_values_leave_the_axis_readable(limits: dict[str, float]) -> None:
    tag = Tag(machine="m", name="t", source="s", unit="°C", **limits)
    absurd = trend([50.0, 1_145_979_424.0])
    y = charts.value_scale(absurd, tag)
    assert (y.low <= limits["low"], limits["high"] <= y.high <= 150) == (True, True)
    assert charts.far_outside(absurd, tag) == (1_145_979_425.0,)
    assert charts.far_outside(trend([-300.0, 50.0]), tag) == (-301.0,)
    assert charts.far_outside(trend([50.0, 81.0]), tag) == ()
    lines = charts.value_chart(tag, [], charts.Scale(-40, 120, 40), absurd.window, T)["series"][-1]["markLine"]["data"]
    assert len({line["label"]["position"] for line in lines}) == 2


def test_a_bucket_is_its_middle_mean_low_and_spread() -> None:
    assert charts.rows(trend([5.0]), None) == [[5_000, 5.0, 4.0, 2.0, 1]]


def test_breaks_are_the_points_around_bad_ones() -> None:
    quality = np.array([Quality.GOOD, Quality.BAD_TIMEOUT, Quality.UNCERTAIN], dtype=np.uint8)
    assert charts.breaks(Series(np.array([1, 2, 3]), np.array([1.0, NAN, 2.0]), quality)) == [(1, 3)]


def test_how_long_a_value_holds() -> None:
    assert charts.hold_of(trend([1.0]), 5) == 5 * SECOND
    assert charts.hold_of(trend([1.0]), None) is None
    assert charts.needs_breaks(trend([1.0]), None)
    dense = trend([1.0] * 10, count=10_000)
    assert charts.hold_of(dense, None) == 30 * SECOND
    assert not charts.needs_breaks(dense, 30 * SECOND)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_scale_holds_its_data_in_few_steps(low: float, span: float) -> None:
    found = charts.scale(low, low + span)
    assert found.low <= low + 1e-6
    assert found.high >= low + span - 1e-6
    assert 1 <= round((found.high - found.low) / found.step) <= 8


@pytest.mark.parametrize(("low", "high", "expected"), [(3.2, 71, (0, 80)), (58, 62, (57, 63)), (-7, -1, (-8, 0))])
def test_scales_people_would_choose(low: float, high: float, expected: tuple[float, float]) -> None:
    found = charts.scale(low, high)
    assert (found.low, found.high) == expected


def test_a_limit_is_drawn_only_where_it_is_near() -> None:
    data = trend([50.0, 60.0])
    near = Tag(machine="m", name="t", source="s", high=63, unit="°C")
    far = Tag(machine="m", name="t", source="s", high=1000, unit="°C")
    assert charts.value_scale(data, near).high >= 63
    assert charts.value_scale(data, far).high < 100
    options = charts.value_chart(near, charts.rows(data, None), charts.value_scale(data, near), data.window, T)
    (line,) = options["series"][-1]["markLine"]["data"]
    assert (line["yAxis"], line["label"]["formatter"]) == (63, "Högsta giltiga 63 °C")


@pytest.mark.parametrize("hours", [1, 8, 24, 7 * 24, 30 * 24])
def test_ticks_are_round_and_not_crowded(hours: int) -> None:
    start = parse_iso("2026-05-03T04:07:31Z")
    marks = charts.ticks(Window(start, start + hours * HOUR), ZONE, T)
    assert 4 <= len(marks) <= 13
    assert all(label.endswith(("0", "5")) or "maj" in label or "juni" in label for _, label in marks)


@pytest.mark.parametrize("day", ["2026-03-28T23:00:00Z", "2026-10-24T22:00:00Z"])
def test_ticks_pass_the_change_of_the_clock(day: str) -> None:
    start = parse_iso(day)
    times = [time for time, _ in charts.ticks(Window(start, start + DAY), ZONE, T)]
    assert times == sorted(set(times))
    week = charts.ticks(Window(start - 3 * DAY, start + 4 * DAY), ZONE, T)
    assert len(week) in (7, 8)


def _states(codes: list[int], step_ns: int) -> charts.Timeline:
    n = len(codes)
    return timeline(step_ns * np.arange(n, dtype=np.int64), np.array(codes, dtype=np.int8), Window(0, n * step_ns))


def test_the_ribbon_ends_now() -> None:
    running = _states([CODE[State.RUNNING], CODE[State.IDLE]], HOUR)
    rows = charts.ribbon_rows(running, HOUR + MINUTE)
    assert rows == [[0, 3_600_000, CODE[State.RUNNING]], [3_600_000, 3_660_000, CODE[State.IDLE]]]
    assert charts.ribbon_rows(running, 0) == []


@given(st.lists(st.integers(0, len(STATES) - 1), min_size=1, max_size=4000))
def test_the_ribbon_has_no_hole_however_many_states(codes: list[int]) -> None:
    states = _states(codes, SECOND)
    rows = charts.ribbon_rows(states, states.window.end_ns)
    assert rows[0][0] == 0
    assert rows[-1][1] == len(codes) * 1000
    assert all(one[1] == following[0] for one, following in pairwise(rows))
    assert len(rows) <= charts.RIBBON_ROWS
