"""Parts from counter readings: wraps, resets, repeats and steps back never make or lose a part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plant.clock import SECOND, Window


@dataclass(frozen=True, slots=True)
class Increments:
    """Parts seen at each reading, columns (n,): `amount` float64 parts made in `(since_ns, time_ns]`, int64."""

    since_ns: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    amount: NDArray[np.float64]

    @property
    def total(self) -> float:
        return float(self.amount.sum())

    def within(self, windows: list[Window] | tuple[Window, ...]) -> Increments:
        """Those whose reading falls in one of the disjoint, ascending half-open windows."""
        starts = np.array([w.start_ns for w in windows], dtype=np.int64)
        ends = np.array([w.end_ns for w in windows], dtype=np.int64)
        row = np.searchsorted(starts, self.time_ns, side="right") - 1
        inside = (row >= 0) & (self.time_ns < ends[row]) if len(windows) else np.zeros(len(self.time_ns), dtype=bool)
        return Increments(self.since_ns[inside], self.time_ns[inside], self.amount[inside])


_HEADROOM = 10
"""How many times faster than its ideal cycle a machine may seem to make parts before a reading is doubted."""


def increments(
    time_ns: NDArray[np.int64],
    value: NDArray[np.float64],
    wrap: float | None = None,
    ideal_cycle_s: float | None = None,
) -> Increments:
    """Parts between successive readings of a counter; time_ns (n,) ascending, value (n,) without NaN.

    The first reading only sets the base. A rise counts. A fall is one of three things:
    - a wrap, when `wrap` is given and the way round is shorter than half of it: the parts on that way count;
    - a reset, when the value is below half of the base: it counts from zero;
    - else a step back: a late reading (the next one is at the base again) or a correction (it goes on from there).
    With `ideal_cycle_s`, more parts than ten times the ideal rate allows are doubted: a spike, a glitch to zero and a
    counter that somebody set make no parts. Doubted readings count nothing; the one after them settles what they were.

    >>> increments(np.arange(6), np.array([5., 7., 7., 6., 8., 1.])).amount.tolist()
    [2.0, 0.0, 0.0, 1.0, 1.0]
    >>> increments(np.arange(2), np.array([65534., 2.]), wrap=65536).amount.tolist()
    [4.0]
    >>> increments(np.arange(3), np.array([1000., 0., 1001.]), ideal_cycle_s=60).amount.tolist()
    [0.0, 1.0]
    """
    if len(value) < 2:
        return Increments(time_ns[:0], time_ns[:0], np.empty(0))
    amount = np.zeros(len(value))
    counter = _Counter(float(value[0]), int(time_ns[0]), wrap, ideal_cycle_s)
    # Most readings repeat the one before: only changes are looked at one by one.
    for i in (np.flatnonzero(np.diff(value)) + 1).tolist():
        counter.seen_until(int(time_ns[i - 1]), float(value[i - 1]))
        made, taken_back = counter.read(float(value[i]), int(time_ns[i]))
        if taken_back:
            amount[counter.reset_row : i] = 0.0
        if counter.was_reset:
            counter.reset_row = i
        amount[i] = made
    return Increments(time_ns[:-1], time_ns[1:], amount[1:])


class _Counter:
    """Follows one counter from change to change."""

    def __init__(self, base: float, time_ns: int, wrap: float | None, ideal_cycle_s: float | None) -> None:
        self._base, self._base_ns = base, time_ns  # the last reading that was believed
        self._doubted: float | None = None
        self._doubted_ns = 0
        self._before_reset: tuple[float, int] | None = None
        self._wrap, self._ideal_cycle_s = wrap, ideal_cycle_s
        self.was_reset = False
        self.reset_row = 0

    def seen_until(self, time_ns: int, value: float) -> None:
        """The value was still the same at this time."""
        if value == self._base:
            self._base_ns = time_ns
        if value == self._doubted:
            self._doubted_ns = time_ns

    def read(self, value: float, time_ns: int) -> tuple[float, bool]:
        """Parts made up to this reading, and whether what was counted since the last reset was a glitch."""
        self.was_reset = False
        if (made := self._from(self._base, self._base_ns, value, time_ns)) is not None:
            if not self.was_reset:
                self._before_reset = None  # it went on from there: the reset was one
            return self._believe(value, time_ns, made), False
        if self._before_reset is not None:
            base, base_ns = self._before_reset
            if value >= base and self._plausible(value - base, base_ns, time_ns):
                self._before_reset = None
                return self._believe(value, time_ns, value - base), True
        if self._doubted is not None and value >= self._doubted:
            made = value - self._doubted
            if self._plausible(made, self._doubted_ns, time_ns):
                return self._believe(value, time_ns, made), False
        self._doubted, self._doubted_ns = value, time_ns
        return 0.0, False

    def _from(self, base: float, base_ns: int, value: float, time_ns: int) -> float | None:
        """Parts if the counter went on from a base to the value: up, round or from zero; None when it cannot have."""
        if value >= base:
            return value - base if self._plausible(value - base, base_ns, time_ns) else None
        if self._wrap is not None and value - base + self._wrap < self._wrap / 2:
            made = value - base + self._wrap
            if self._plausible(made, base_ns, time_ns):
                return made
        if value < base / 2 and self._plausible(value, base_ns, time_ns):
            self._before_reset, self.was_reset = (base, base_ns), True
            return value
        return None

    def _believe(self, value: float, time_ns: int, made: float) -> float:
        self._base, self._base_ns, self._doubted = value, time_ns, None
        return made

    def _plausible(self, made: float, since_ns: int, time_ns: int) -> bool:
        if self._ideal_cycle_s is None:
            return True
        return made <= 1 + _HEADROOM * (time_ns - since_ns) / SECOND / self._ideal_cycle_s
