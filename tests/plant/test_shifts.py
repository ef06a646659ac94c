"""Shifts in local time: nights, breaks, and the days on which the clocks change."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.clock import DAY, HOUR, MINUTE, Window, from_ns, parse_iso, to_ns
from plant.config import ShiftConfig
from plant.shifts import ShiftCalendar, merge, subtract

STOCKHOLM = ZoneInfo("Europe/Stockholm")
ALL = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def shift(name: str, start: str, end: str, *breaks: tuple[str, int], days: list[str] | None = None) -> ShiftConfig:
    pauses = [{"start": at, "minutes": minutes} for at, minutes in breaks]
    return ShiftConfig.model_validate({"name": name, "days": days or ALL, "start": start, "end": end, "breaks": pauses})


def calendar(*shifts: ShiftConfig) -> ShiftCalendar:
    return ShiftCalendar(shifts, "Europe/Stockholm")


def local_day(text: str) -> Window:
    day = date.fromisoformat(text)
    midnight = [datetime(d.year, d.month, d.day, tzinfo=STOCKHOLM) for d in (day, day + timedelta(days=1))]
    return Window(to_ns(midnight[0]), to_ns(midnight[1]))


def hours(windows: tuple[Window, ...]) -> float:
    return sum(window.length_ns for window in windows) / HOUR


class TestChangeOfClocks:
    @pytest.mark.parametrize(("day", "length"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
    def test_a_calendar_day(self, day: str, length: int) -> None:
        (found,) = calendar().shifts(local_day(day))
        assert found.window == local_day(day)
        assert found.window.length_ns == length * HOUR
        assert hours(calendar().planned(local_day(day))) == length

    @pytest.mark.parametrize(("night", "length"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-01", 8)])
    def test_a_night_shift(self, night: str, length: int) -> None:
        found = calendar(shift("Night", "22:00", "06:00")).shift_at(parse_iso(f"{night}T23:00:00+02:00"))
        assert found is not None
        assert found.day == date.fromisoformat(night)
        assert found.window.length_ns == length * HOUR

    @pytest.mark.parametrize(("day", "length"), [("2026-03-29", 23), ("2026-10-25", 25)])
    def test_three_shifts_fill_the_day_without_overlap(self, day: str, length: int) -> None:
        three = calendar(shift("A", "06:00", "14:00"), shift("B", "14:00", "22:00"), shift("C", "22:00", "06:00"))
        assert hours(three.planned(local_day(day))) == length
        found = three.shifts(local_day(day))
        assert [s.name for s in found] == ["C", "A", "B", "C"]
        for one, other in itertools.pairwise(found):
            assert one.window.end_ns == other.window.start_ns

    def test_a_shift_that_starts_in_the_hour_that_is_missing(self) -> None:
        """On 29 March 02:00–03:00 does not exist; the calendar must still answer."""
        short = calendar(shift("Short", "02:00", "03:00"), shift("Odd", "02:30", "03:15"))
        assert hours(short.planned(local_day("2026-03-29"))) <= 0.5
        assert hours(short.planned(local_day("2026-03-30"))) == 1.25

    def test_a_break_keeps_its_length_in_the_night_of_the_change(self) -> None:
        found = calendar(shift("Night", "22:00", "06:00", ("02:30", 30))).shift_at(
            parse_iso("2026-10-24T23:00:00+02:00")
        )
        assert found is not None
        assert hours(found.planned) == 8.5


class TestShifts:
    def test_a_break_after_midnight_belongs_to_the_night(self) -> None:
        found = calendar(shift("Night", "22:00", "06:00", ("01:00", 45))).shift_at(
            parse_iso("2026-06-02T01:10:00+02:00")
        )
        assert found is not None
        assert found.breaks == (Window(parse_iso("2026-06-02T01:00+02:00"), parse_iso("2026-06-02T01:45+02:00")),)
        assert hours(found.planned) == 7.25

    def test_days_are_those_on_which_a_shift_starts(self) -> None:
        fridays = calendar(shift("Night", "22:00", "06:00", days=["fri"]))
        assert fridays.shift_at(parse_iso("2026-06-06T05:59:59+02:00")) is not None
        assert fridays.shift_at(parse_iso("2026-06-06T06:00:00+02:00")) is None
        assert fridays.shift_at(parse_iso("2026-06-05T05:00:00+02:00")) is None

    def test_latest(self) -> None:
        mondays = calendar(shift("Day", "06:00", "14:00", days=["mon"]))
        for moment in ("2026-06-01T10:00+02:00", "2026-06-01T14:00+02:00", "2026-06-08T05:59+02:00"):
            found = mondays.latest(parse_iso(moment))
            assert found is not None
            assert found.day == date(2026, 6, 1)

    def test_overlapping_shifts_are_not_counted_twice(self) -> None:
        both = calendar(shift("A", "06:00", "14:00"), shift("B", "12:00", "20:00"))
        assert hours(both.planned(local_day("2026-06-01"))) == 14
        late = both.shift_at(parse_iso("2026-06-01T13:00+02:00"))
        assert late is not None
        assert late.name == "B"

    @given(st.integers(to_ns(datetime(2025, 1, 1, tzinfo=UTC)), to_ns(datetime(2027, 1, 1, tzinfo=UTC))), st.data())
    def test_planned_time_is_the_sum_of_its_parts(self, start: int, data: st.DataObject) -> None:
        plan = calendar(
            shift("A", "06:00", "14:30", ("09:00", 15), ("12:00", 30)),
            shift("N", "21:00", "05:00", ("00:30", 30), days=["mon", "wed", "fri"]),
        )
        window = Window(start, start + data.draw(st.integers(1, 10 * DAY)))
        cut = data.draw(st.integers(window.start_ns, window.end_ns))
        halves = [Window(a, b) for a, b in ((window.start_ns, cut), (cut, window.end_ns)) if b > a]
        planned = plan.planned(window)
        for one, other in itertools.pairwise(planned):
            assert one.end_ns < other.start_ns
        assert sum(w.length_ns for w in planned) == sum(w.length_ns for half in halves for w in plan.planned(half))

    @given(st.integers(to_ns(datetime(2025, 1, 1, tzinfo=UTC)), to_ns(datetime(2027, 1, 1, tzinfo=UTC))))
    def test_day_start_is_local_midnight(self, moment: int) -> None:
        start = calendar().day_start(moment)
        local = from_ns(start).astimezone(STOCKHOLM)
        assert (local.hour, local.minute) == (0, 0)
        assert 0 <= moment - start < 25 * HOUR


spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda s: Window(s[0], s[0] + s[1])), max_size=8)


def covered(windows: tuple[Window, ...] | list[Window]) -> set[int]:
    return {moment for window in windows for moment in range(window.start_ns, window.end_ns)}


@given(spans, spans)
def test_merge_and_subtract_are_those_of_sets(some: list[Window], holes: list[Window]) -> None:
    merged = merge(some)
    assert covered(merged) == covered(some)
    assert all(a.end_ns < b.start_ns for a, b in itertools.pairwise(merged))
    rest = subtract(merged, holes)
    assert covered(rest) == covered(some) - covered(holes)
    assert sum(w.length_ns for w in rest) == len(covered(rest))


def test_a_break_that_covers_the_shift_leaves_nothing() -> None:
    assert subtract([Window(0, MINUTE)], [Window(0, HOUR)]) == ()
