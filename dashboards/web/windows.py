"""The window a page shows, as its URL says it: shift, today, 7 days, 30 days, or own with from and to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from plant.clock import DAY, HOUR, Window, from_ns, to_ns
from plant.shifts import Shift, ShiftCalendar


class Kind(StrEnum):
    SHIFT = "shift"
    TODAY = "today"
    DAYS_7 = "7d"
    DAYS_30 = "30d"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the URL asks for. `start`, `end`: local times of an own window, as written."""

    kind: Kind = Kind.SHIFT
    start: str = ""
    end: str = ""
    explicit: bool = False  # the reader chose it; a default may be replaced by what was recorded

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Choice:
        """From a URL's query; what it does not know is the default."""
        name = query.get("window", "")
        if name not in set(Kind):
            return cls()
        if name == Kind.OWN:
            return cls(Kind.OWN, query.get("from", ""), query.get("to", ""), explicit=True)
        return cls(Kind(name), explicit=True)

    @classmethod
    def own(cls, window: Window, zone: ZoneInfo) -> Choice:
        """The own window that shows at least all of a window, in whole minutes."""
        return cls(Kind.OWN, _write(window.start_ns, zone), _write(window.end_ns + 60_000_000_000 - 1, zone), True)

    def query(self) -> dict[str, str]:
        """Back to the URL; the default needs no words."""
        if not self.explicit:
            return {}
        if self.kind is Kind.OWN:
            return {"window": self.kind, "from": self.start, "to": self.end}
        return {"window": self.kind}


@dataclass(frozen=True, slots=True)
class Shown:
    """A resolved window. `shift` where it is one; `live` where it reaches the present."""

    choice: Choice
    window: Window
    shift: Shift | None
    live: bool

    @property
    def rolling(self) -> bool:
        """Whether the window moves on with time, rather than standing on the clock."""
        return self.choice.kind in (Kind.DAYS_7, Kind.DAYS_30) or (
            self.choice.kind is Kind.SHIFT and self.shift is None
        )


def resolve(choice: Choice, now_ns: int, calendar: ShiftCalendar, zone: ZoneInfo) -> Shown | None:
    """The window in time; None for an own window that cannot be read or ends before it starts."""
    shift = None
    match choice.kind:
        case Kind.SHIFT:
            shift = calendar.latest(now_ns)
            window = shift.window if shift else Window(now_ns - 8 * HOUR, now_ns)
        case Kind.TODAY:
            start = calendar.day_start(now_ns)
            window = Window(start, calendar.day_start(start + 26 * HOUR))
        case Kind.DAYS_7:
            window = Window(now_ns - 7 * DAY, now_ns)
        case Kind.DAYS_30:
            window = Window(now_ns - 30 * DAY, now_ns)
        case Kind.OWN:
            start_ns, end_ns = _read(choice.start, zone), _read(choice.end, zone)
            if start_ns is None or end_ns is None or end_ns <= start_ns:
                return None
            window = Window(start_ns, end_ns)
    return Shown(choice, window, shift, live=window.start_ns <= now_ns <= window.end_ns)


def recorded_day(recorded: Window, zone: ZoneInfo) -> Window:
    """What to show of a recording: all of it up to 36 hours, else its last local day."""
    if recorded.length_ns <= 36 * HOUR:
        return recorded
    last = from_ns(recorded.end_ns - 1).astimezone(zone)
    midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(to_ns(midnight), to_ns(midnight + timedelta(days=1)))


def _read(text: str, zone: ZoneInfo) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def _write(time_ns: int, zone: ZoneInfo) -> str:
    return from_ns(time_ns).astimezone(zone).strftime("%Y-%m-%dT%H:%M")
