"""When to poll and when to try again (pure): fixed-rate schedule without drift, back-off with jitter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import floor
from random import Random


class Schedule:
    """Several fixed rates, one after the other. A turn that is missed is counted and left out, never made up.

    >>> schedule = Schedule([1.0], start=10.0)
    >>> schedule.next()
    (0, 10.0)
    >>> schedule.done(0, now=10.4), schedule.next()
    (0, (0, 11.0))
    >>> schedule.done(0, now=13.2), schedule.next()
    (2, (0, 14.0))
    """

    def __init__(self, intervals_s: Sequence[float] = (), start: float = 0.0) -> None:
        self._intervals: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._keys = count()
        for interval_s in intervals_s:
            self.add(interval_s, start)

    def add(self, interval_s: float, due: float) -> int:
        """A rate more, with its first turn; gives its key. Of equal turns the one added last comes first."""
        key = next(self._keys)
        self._intervals[key], self._due[key] = interval_s, due
        return key

    def remove(self, key: int) -> None:
        """No further turns of this one."""
        del self._intervals[key], self._due[key]

    def due(self, key: int) -> float:
        """When its next turn is."""
        return self._due[key]

    def next(self) -> tuple[int, float]:
        """Which one is due first, and when."""
        key = min(self._due, key=lambda key: (self._due[key], -key))
        return key, self._due[key]

    def done(self, key: int, now: float) -> int:
        """Moves on to the first turn after `now`; gives how many turns were missed."""
        interval = self._intervals[key]
        turns = max(1, floor((now - self._due[key]) / interval) + 1)
        self._due[key] += turns * interval
        return turns - 1

    def postpone(self, key: int, until: float) -> None:
        """Leaves out, uncounted, its turns before that time (there was no reason to take them)."""
        if self._due[key] < until:
            self.done(key, until)

    def skip(self, now: float) -> None:
        """Leaves out, uncounted, every turn before `now` (there was no connection)."""
        for key in self._due:
            self.postpone(key, now)


class Backoff:
    """Waits that double from `first_s` to `cap_s`, each shortened by up to half so that many do not come at once."""

    def __init__(self, first_s: float = 0.1, cap_s: float = 10.0, random: Random | None = None) -> None:
        self._first, self._cap = first_s, cap_s
        self._random = random or Random()
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait before the next try."""
        full = min(self._cap, self._first * 2.0 ** min(self._tries, 20))
        self._tries += 1
        return full * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It works again."""
        self._tries = 0
