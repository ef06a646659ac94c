"""Windows as the address says them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from dashboards.web.windows import Choice, Kind, recorded_day, resolve
from plant.clock import DAY, HOUR, Window, iso, parse_iso
from plant.shifts import ShiftCalendar
from tests.dashboards.factory import config

ZONE = ZoneInfo("Europe/Stockholm")
SHIFTS = ShiftCalendar(config().shifts, "Europe/Stockholm")
NO_SHIFTS = ShiftCalendar((), "Europe/Stockholm")
NOW = parse_iso("2026-05-03T10:30:00Z")  # 12:30 in Stockholm


@pytest.mark.parametrize(
    "choice",
    [Choice(), Choice(Kind.DAYS_7, explicit=True), Choice(Kind.SHIFT, explicit=True),
     Choice(Kind.OWN, "2018-05-09T15:00", "2018-05-09T16:00", True)],
)  # fmt: skip
def test_an_address_restores_its_window(choice: Choice) -> None:
    assert Choice.of(choice.query()) == choice


def test_nonsense_is_the_default() -> None:
    assert Choice.of({"window": "yesterday"}) == Choice()


def _times(choice: Choice, calendar: ShiftCalendar = SHIFTS) -> tuple[str, str, bool]:
    shown = resolve(choice, NOW, calendar, ZONE)
    assert shown is not None
    return iso(shown.window.start_ns)[:16], iso(shown.window.end_ns)[:16], shown.live


def test_each_window() -> None:
    assert _times(Choice()) == ("2026-05-03T04:00", "2026-05-03T12:00", True)
    assert _times(Choice(), NO_SHIFTS) == ("2026-05-02T22:00", "2026-05-03T22:00", True)
    assert _times(Choice(Kind.TODAY)) == ("2026-05-02T22:00", "2026-05-03T22:00", True)
    assert _times(Choice(Kind.DAYS_7)) == ("2026-04-26T10:30", "2026-05-03T10:30", True)
    assert _times(Choice(Kind.DAYS_30))[0] == "2026-04-03T10:30"
    own = Choice(Kind.OWN, "2018-05-09T15:00", "2018-05-09T16:00", True)
    assert _times(own) == ("2018-05-09T13:00", "2018-05-09T14:00", False)


def test_today_is_25_hours_long_when_the_clock_goes_back() -> None:
    shown = resolve(Choice(Kind.TODAY), parse_iso("2026-10-25T12:00:00Z"), SHIFTS, ZONE)
    assert shown is not None
    assert shown.window.length_ns == 25 * HOUR


@pytest.mark.parametrize(
    ("start", "end"), [("", ""), ("nonsense", "2018-05-09T16:00"), ("2018-05-09T16:00", "2018-05-09T15:00"),
                       ("2018-05-09T16:00", "2018-05-09T16:00")],
)  # fmt: skip
def test_an_own_window_that_cannot_be_shown(start: str, end: str) -> None:
    assert resolve(Choice(Kind.OWN, start, end, True), NOW, SHIFTS, ZONE) is None


def test_what_is_shown_of_a_recording() -> None:
    start = parse_iso("2018-05-09T13:20:00Z")
    assert recorded_day(Window(start, start + HOUR), ZONE) == Window(start, start + HOUR)
    long = recorded_day(Window(start, start + 30 * DAY), ZONE)
    assert (iso(long.start_ns)[:16], iso(long.end_ns)[:16]) == ("2018-06-07T22:00", "2018-06-08T22:00")


def test_an_own_choice_covers_its_window_in_whole_minutes() -> None:
    start = parse_iso("2018-05-09T13:20:39.178Z")
    shown = resolve(Choice.own(Window(start, start + HOUR), ZONE), NOW, SHIFTS, ZONE)
    assert shown is not None
    assert shown.window.overlap(Window(start, start + HOUR)) == Window(start, start + HOUR)
