"""Time as the system keeps it: UTC nanoseconds since 1970 as `int`, aware datetimes at the edges."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from plant.errors import UserInputError

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
AHEAD_NS = 10 * SECOND
"""How far a device's clock may be ahead of ours. Clocks that somebody sets drift by seconds; a value from further ahead
would be the newest of its tag, and hide every later one, until its time comes."""
_FRACTION = re.compile(r"^(?P<whole>[^.,]*\d)[.,](?P<fraction>\d{1,9})\d*(?P<offset>Z|z|[+-]\d\d:?\d\d)?$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Clock = Callable[[], int]
"""Gives the time now, UTC nanoseconds. Injected wherever time matters, so that tests advance it."""


def system_clock() -> int:
    """The computer's clock, UTC nanoseconds."""
    return time.time_ns()


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time `[start_ns, end_ns)`, UTC nanoseconds, never empty.

    >>> Window(0, 90 * SECOND).seconds
    90.0
    """

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise UserInputError(
                f"The window ends ({iso(self.end_ns)}) before or when it starts ({iso(self.start_ns)}).",
                next_step="Give an end that is later than the start.",
            )

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns

    @property
    def seconds(self) -> float:
        return self.length_ns / SECOND

    def overlap(self, other: Window) -> Window | None:
        """What both windows share, or None."""
        start, end = max(self.start_ns, other.start_ns), min(self.end_ns, other.end_ns)
        return Window(start, end) if end > start else None


def to_ns(moment: datetime) -> int:
    """Exact nanoseconds of an aware datetime (no float on the way).

    >>> to_ns(datetime(2018, 5, 9, 13, 20, 39, 178000, tzinfo=UTC))
    1525872039178000000
    """
    if moment.tzinfo is None:
        raise UserInputError(
            f"The time {moment.isoformat()} has no offset.",
            next_step="Write it with an offset, such as 2026-05-03T14:05:00+02:00 or …Z.",
        )
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1_000


def from_ns(time_ns: int) -> datetime:
    """An aware UTC datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=time_ns // 1_000)


def iso(time_ns: int) -> str:
    """ISO 8601 in UTC with milliseconds.

    >>> iso(1525872039178000000)
    '2018-05-09T13:20:39.178Z'
    """
    return from_ns(time_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_exact(time_ns: int) -> str:
    """ISO 8601 in UTC with nanoseconds: comes back through `parse_iso` unchanged.

    >>> iso_exact(1525872039178000001), parse_iso(iso_exact(1525872039178000001))
    ('2018-05-09T13:20:39.178000001Z', 1525872039178000001)
    """
    return f"{from_ns(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns % SECOND:09d}Z"


def parse_iso(text: str) -> int:
    """Nanoseconds of an ISO 8601 text with offset, exact to nine digits; else UserInputError that shows the right form.

    >>> parse_iso("2018-05-09T15:20:39.178+02:00"), parse_iso("2018-05-09T13:20:39.123456789Z")
    (1525872039178000000, 1525872039123456789)
    """
    whole, fraction_ns = text.strip(), 0
    if found := _FRACTION.match(whole):  # datetime would cut it to microseconds
        whole = found["whole"] + (found["offset"] or "")
        fraction_ns = int(found["fraction"].ljust(9, "0"))
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise UserInputError(
            f"“{text}” is not a time.",
            next_step="Write ISO 8601 with an offset, such as 2026-05-03T14:05:00+02:00 or …Z.",
        ) from None
    return to_ns(moment) + fraction_ns
