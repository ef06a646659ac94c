"""Parts from counter readings: wraps, resets, repeats and steps back never make or lose a part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plant.clock import Window


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


def increments(time_ns: NDArray[np.int64], value: NDArray[np.float64], wrap: float | None = None) -> Increments:
    """Parts between successive readings of a counter; time_ns (n,) ascending, value (n,) without NaN.

    The first reading only sets the base. A fall is one of three things:
    - a wrap, when `wrap` is given and the way round is shorter than half of it: the parts on that way count;
    - a reset, when the value falls below half of the highest since the last reset: it counts from zero;
    - else a step back (a correction or a late value): no production, and nothing counts until the old height is passed.

    >>> r = increments(np.arange(8), np.array([5., 7., 7., 6., 8., 1., 65534., 2.]), wrap=65536)
    >>> r.amount.tolist()[:5]
    [2.0, 0.0, 0.0, 1.0, 1.0]
    >>> increments(np.arange(2), np.array([65534., 2.]), wrap=65536).amount.tolist()
    [4.0]
    """
    n = len(value)
    if n < 2:
        return Increments(time_ns[:0], time_ns[:0], np.empty(0))
    amount = np.zeros(n)
    epoch_start, base = 0, float(value[0])  # an epoch runs between two wraps or resets
    falls = np.flatnonzero(np.diff(value) < 0) + 1
    for i in falls.tolist():
        height = max(base, float(value[epoch_start:i].max()))
        now = float(value[i])
        if wrap is not None and now - height + wrap < wrap / 2:
            first = now - height + wrap
        elif now < height / 2:
            first = now
        else:
            continue
        _count_up(value, amount, epoch_start, i)
        epoch_start, base = i, now
        amount[i] = first
    _count_up(value, amount, epoch_start, n)
    return Increments(time_ns[:-1], time_ns[1:], amount[1:])


def _count_up(value: NDArray[np.float64], amount: NDArray[np.float64], start: int, end: int) -> None:
    """Fill in the parts of one epoch: growth of the highest value so far."""
    height = np.maximum.accumulate(value[start:end])
    amount[start + 1 : end] = np.diff(height)
