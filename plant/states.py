"""Machine states as intervals that tile a window exactly: no overlap, no hole, to the nanosecond.

Time without data is UNKNOWN: it is neither uptime nor downtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from plant.clock import Window

Int64s = NDArray[np.int64]
Codes = NDArray[np.int8]


class State(StrEnum):
    """What a machine does, for machines without PackML."""

    RUNNING = "running"
    IDLE = "idle"
    STOPPED = "stopped"
    SETUP = "setup"
    FAULT = "fault"
    OFF = "off"
    UNKNOWN = "unknown"  # no data: neither uptime nor downtime


STATES: tuple[State, ...] = tuple(State)
CODE: Mapping[State, int] = {state: code for code, state in enumerate(STATES)}
"""States as small integers in columns: `STATES[CODE[state]] is state`."""


def number_key(number: float) -> str:
    """How a state map names a number.

    >>> number_key(1.0), number_key(True), number_key(4294967295.0), number_key(1.5)
    ('1', '1', '4294967295', '1.5')
    """
    return f"{number:.0f}" if float(number).is_integer() else f"{number:g}"


@dataclass(frozen=True, slots=True)
class Interval:
    """A machine was in one state for `[start_ns, end_ns)`."""

    start_ns: int
    end_ns: int
    state: State

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Timeline:
    """The states of one machine over a window, as columns (n,): start_ns, end_ns int64 and code int8.

    The intervals touch and cover the window exactly; neighbours differ in state.
    """

    window: Window
    start_ns: Int64s
    end_ns: Int64s
    code: Codes

    def __len__(self) -> int:
        return len(self.code)

    def __iter__(self) -> Iterator[Interval]:
        for start, end, code in zip(self.start_ns.tolist(), self.end_ns.tolist(), self.code.tolist(), strict=True):
            yield Interval(start, end, STATES[code])

    def durations_ns(self, within: Sequence[Window] | None = None) -> dict[State, int]:
        """Nanoseconds in each state, of the whole window or of the given disjoint parts of it."""
        totals = np.zeros(len(STATES), dtype=np.int64)
        for part in (self.window,) if within is None else within:
            first = int(np.searchsorted(self.end_ns, part.start_ns, side="right"))
            last = int(np.searchsorted(self.start_ns, part.end_ns, side="left"))
            lengths = np.minimum(self.end_ns[first:last], part.end_ns) - np.maximum(
                self.start_ns[first:last], part.start_ns
            )
            np.add.at(totals, self.code[first:last], np.maximum(lengths, 0))
        return {state: int(totals[code]) for code, state in enumerate(STATES)}

    def in_state_before(self, state: State, moments: Int64s) -> Int64s:
        """(n,) nanoseconds spent in the state from the window's start to each moment (inside the window)."""
        length = np.where(self.code == CODE[state], self.end_ns - self.start_ns, 0)
        done = np.concatenate(([0], np.cumsum(length)))
        row = np.clip(np.searchsorted(self.start_ns, moments, side="right") - 1, 0, max(len(self) - 1, 0))
        inside = np.where(self.code[row] == CODE[state], moments - self.start_ns[row], 0)
        return np.asarray(done[row] + inside, dtype=np.int64)


def timeline(time_ns: Int64s, code: Codes, window: Window, stale_after_ns: int | None = None) -> Timeline:
    """Tile the window with the states that hold from each time to the next.

    time_ns (n,) ascending, code (n,) as in CODE. A state holds until the next one, at most `stale_after_ns`;
    what is left, and the time before the first one, is UNKNOWN.

    >>> t = timeline(np.array([10, 40]), np.array([0, 1], dtype=np.int8), Window(0, 100), stale_after_ns=25)
    >>> [(i.start_ns, i.end_ns, i.state.value) for i in t]  # doctest: +NORMALIZE_WHITESPACE
    [(0, 10, 'unknown'), (10, 35, 'running'), (35, 40, 'unknown'), (40, 65, 'idle'), (65, 100, 'unknown')]
    """
    keep = time_ns < window.end_ns
    time_ns, code = time_ns[keep].astype(np.int64), code[keep]
    following = np.append(time_ns[1:], window.end_ns)
    end = following if stale_after_ns is None else np.minimum(following, time_ns + stale_after_ns)

    # Each point opens its own state and, at its end, UNKNOWN; where nothing is missing the second has no length.
    edges = np.empty(2 * len(time_ns) + 1, dtype=np.int64)
    edges[0] = window.start_ns
    edges[1::2], edges[2::2] = time_ns, end
    codes = np.full(len(edges), CODE[State.UNKNOWN], dtype=np.int8)
    codes[1::2] = code
    start = np.clip(edges, window.start_ns, window.end_ns)
    stop = np.append(start[1:], window.end_ns)

    some = stop > start
    start, codes = start[some], codes[some]
    changed = np.append(True, codes[1:] != codes[:-1])
    start, codes = start[changed], codes[changed]
    return Timeline(window, start, np.append(start[1:], window.end_ns), codes)


def codes_by_map(values: Iterable[str | None], states: Mapping[str, State]) -> Codes:
    """State codes of texts; a text that the map does not hold, and None, are UNKNOWN."""
    known = {text: CODE[state] for text, state in states.items()}
    return np.array(
        [known.get(v, CODE[State.UNKNOWN]) if v is not None else CODE[State.UNKNOWN] for v in values], np.int8
    )


def codes_by_threshold(
    value: NDArray[np.float64], running_above: float, running_below: float, idle_above: float | None = None
) -> Codes:
    """State codes of a number such as a motor current, with hysteresis; NaN is UNKNOWN.

    At or above `running_above` the machine runs until the value falls below `running_below`. When it does not
    run it is idle, or off below `idle_above`.

    >>> [STATES[c].value for c in codes_by_threshold(np.array([1., 5., 9., 5., 3.]), 8, 4, 2)]
    ['off', 'idle', 'running', 'running', 'idle']
    """
    known = ~np.isnan(value)
    decided = known & ((value >= running_above) | (value < running_below))
    # In the band between the limits the latest decision holds: carry its row forward.
    row = np.maximum.accumulate(np.where(decided, np.arange(len(value)), -1)) if len(value) else np.empty(0, np.int64)
    running = (row >= 0) & (value[row] >= running_above)
    code = np.where(running, CODE[State.RUNNING], CODE[State.IDLE])
    if idle_above is not None:
        code = np.where(~running & (value < idle_above), CODE[State.OFF], code)
    return np.where(known, code, CODE[State.UNKNOWN]).astype(np.int8)
