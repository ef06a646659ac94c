"""Shifts in local time, as windows in UTC: night shifts, breaks, 23- and 25-hour days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from plant.clock import Window, from_ns, to_ns
from plant.config import ShiftConfig, Weekday

_WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift on one day. Without configured shifts a calendar day stands in, with an empty name."""

    name: str
    day: date  # on which it starts, local
    window: Window
    breaks: tuple[Window, ...] = ()

    @property
    def planned(self) -> tuple[Window, ...]:
        """The shift without its breaks, ascending."""
        return subtract((self.window,), self.breaks)


class ShiftCalendar:
    """Answers which shifts touch a window."""

    def __init__(self, shifts: Sequence[ShiftConfig], timezone: str) -> None:
        self._shifts = tuple(shifts)
        self._zone = ZoneInfo(timezone)

    def shifts(self, window: Window) -> tuple[Shift, ...]:
        """All shifts that overlap the window, whole (not cut), by start."""
        day = from_ns(window.start_ns).astimezone(self._zone).date() - timedelta(days=1)
        last = from_ns(window.end_ns).astimezone(self._zone).date()
        found: list[Shift] = []
        while day <= last:
            found += [shift for shift in self._on(day) if shift.window.overlap(window)]
            day += timedelta(days=1)
        return tuple(sorted(found, key=lambda shift: shift.window.start_ns))

    def shift_at(self, time_ns: int) -> Shift | None:
        """The shift that is on at a time; of two that overlap, the one that started later."""
        running = self.shifts(Window(time_ns, time_ns + 1))
        return running[-1] if running else None

    def latest(self, time_ns: int) -> Shift | None:
        """The shift that is on, else the one that ended last within eight days."""
        eight_days = 8 * 86_400 * 1_000_000_000
        return self.shift_at(time_ns) or next(reversed(self.shifts(Window(time_ns - eight_days, time_ns))), None)

    def planned(self, window: Window) -> tuple[Window, ...]:
        """Planned time in the window: all shifts less their breaks, disjoint and ascending."""
        spans = merge([span for shift in self.shifts(window) for span in shift.planned])
        return tuple(cut for span in spans if (cut := span.overlap(window)))

    def day_start(self, time_ns: int) -> int:
        """Local midnight at or before a time."""
        return self._moment(from_ns(time_ns).astimezone(self._zone).date(), time())

    def _on(self, day: date) -> list[Shift]:
        if not self._shifts:
            tomorrow = day + timedelta(days=1)
            return [Shift("", day, Window(self._moment(day, time()), self._moment(tomorrow, time())))]
        weekday = _WEEKDAYS[day.weekday()]
        on_day = [self._shift(config, day) for config in self._shifts if weekday in config.days]
        return [shift for shift in on_day if shift is not None]

    def _shift(self, config: ShiftConfig, day: date) -> Shift | None:
        """None where the whole shift falls into the hour that is missing when the clocks go forward."""
        start, end = time.fromisoformat(config.start), time.fromisoformat(config.end)
        end_day = day if end > start else day + timedelta(days=1)
        breaks = []
        for pause in config.breaks:
            at = time.fromisoformat(pause.start)
            begin = self._moment(day if at >= start else day + timedelta(days=1), at)
            breaks.append(Window(begin, begin + pause.minutes * 60 * 1_000_000_000))
        start_ns, end_ns = self._moment(day, start), self._moment(end_day, end)
        return Shift(config.name, day, Window(start_ns, end_ns), tuple(breaks)) if end_ns > start_ns else None

    def _moment(self, day: date, at: time) -> int:
        return to_ns(datetime.combine(day, at, tzinfo=self._zone))


def merge(windows: Sequence[Window]) -> tuple[Window, ...]:
    """The union of windows as disjoint, ascending windows.

    >>> [(w.start_ns, w.end_ns) for w in merge([Window(5, 9), Window(0, 3), Window(3, 6)])]
    [(0, 9)]
    """
    merged: list[Window] = []
    for window in sorted(windows, key=lambda w: w.start_ns):
        if merged and window.start_ns <= merged[-1].end_ns:
            merged[-1] = Window(merged[-1].start_ns, max(merged[-1].end_ns, window.end_ns))
        else:
            merged.append(window)
    return tuple(merged)


def subtract(windows: Sequence[Window], holes: Sequence[Window]) -> tuple[Window, ...]:
    """Disjoint windows less the holes.

    >>> [(w.start_ns, w.end_ns) for w in subtract([Window(0, 10)], [Window(2, 4), Window(8, 12)])]
    [(0, 2), (4, 8)]
    """
    rest = list(windows)
    for hole in holes:
        cut: list[Window] = []
        for window in rest:
            if window.overlap(hole) is None:
                cut.append(window)
                continue
            if window.start_ns < hole.start_ns:
                cut.append(Window(window.start_ns, hole.start_ns))
            if hole.end_ns < window.end_ns:
                cut.append(Window(hole.end_ns, window.end_ns))
        rest = cut
    return tuple(rest)
