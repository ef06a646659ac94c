"""OEE of one machine over a window, with the time elements of ISO 22400-2:2014 and the coverage of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plant.clock import SECOND, Window
from plant.counters import Increments
from plant.states import State, Timeline


@dataclass(frozen=True, slots=True)
class Production:
    """What a machine's counters tell: every part, and the scrapped ones (None where nobody counts scrap)."""

    produced: Increments
    scrap: Increments | None
    ideal_cycle_s: float


@dataclass(frozen=True, slots=True)
class Oee:
    """The figures of a window. Times in ns, parts in pieces, factors as fractions (None: cannot be told).

    `states_ns` splits the planned time by state, UNKNOWN included; with `unplanned_ns` it sums to the window.
    Parts are those of the planned time; `unplanned_parts` were made outside it and are shown apart.
    Without scrap counting `quality` is None and `oee` is availability × performance: `quality_counted` tells.
    """

    window: Window
    states_ns: dict[State, int]
    unplanned_ns: int
    unplanned_run_ns: int
    ideal_cycle_s: float | None
    produced: int | None
    scrap: int | None
    unplanned_parts: int | None
    availability: float | None
    performance: float | None
    quality: float | None
    oee: float | None
    quality_counted: bool

    @property
    def planned_ns(self) -> int:
        """Planned busy time (PBT)."""
        return sum(self.states_ns.values())

    @property
    def run_ns(self) -> int:
        """Actual production time (APT)."""
        return self.states_ns[State.RUNNING]

    @property
    def known_ns(self) -> int:
        return self.planned_ns - self.states_ns[State.UNKNOWN]

    @property
    def down_ns(self) -> int:
        """Planned, known, and not running."""
        return self.known_ns - self.run_ns

    @property
    def good(self) -> int | None:
        return None if self.produced is None or self.scrap is None else self.produced - self.scrap

    @property
    def coverage(self) -> float | None:
        """Share of the planned time about which there is data; None where nothing was planned."""
        return self.known_ns / self.planned_ns if self.planned_ns else None


def availability(run_s: float, planned_s: float) -> float | None:
    """APT / PBT (ISO 22400-2:2014). None without planned time.

    >>> round(availability((480 - 60 - 47) * 60, (480 - 60) * 60), 4)
    0.8881
    """
    return run_s / planned_s if planned_s > 0 else None


def performance(ideal_cycle_s: float, produced: float, run_s: float) -> float | None:
    """Effectiveness: planned run time per item × produced quantity / APT (ISO 22400-2:2014).

    Over 1 when the machine beats its ideal cycle: a sign that the ideal is wrong, shown and never clamped.

    >>> round(performance(60 / 60, 19271, 373 * 60), 4)
    0.8611
    """
    return ideal_cycle_s * produced / run_s if run_s > 0 else None


def quality(good: float, produced: float) -> float | None:
    """Good / produced (ISO 22400-2:2014). None without parts.

    >>> round(quality(19271 - 423, 19271), 3)
    0.978
    """
    return good / produced if produced > 0 else None


def evaluate(timeline: Timeline, planned: tuple[Window, ...], production: Production | None) -> Oee:
    """All figures of the timeline's window; `planned` are its disjoint planned parts, ascending.

    Availability is told over the time that is known. Parts counted over a stretch of which part is unknown
    enter performance in the proportion that is known, so that a gap in the data never lifts or lowers it.
    """
    window = timeline.window
    states_ns = timeline.durations_ns(planned)
    planned_ns = sum(states_ns.values())
    run_s = states_ns[State.RUNNING] / SECOND
    a = availability(run_s, (planned_ns - states_ns[State.UNKNOWN]) / SECOND)
    p = q = None
    produced = scrap = unplanned_parts = None
    if production is not None:
        made = production.produced.within(planned)
        produced = round(made.total)
        unplanned_parts = round(production.produced.total) - produced
        p = performance(production.ideal_cycle_s, _in_known_time(made, timeline), run_s)
        if production.scrap is not None:
            scrap = round(production.scrap.within(planned).total)
            q = quality(produced - scrap, produced)
    counted = production is not None and production.scrap is not None
    return Oee(
        window=window,
        states_ns=states_ns,
        unplanned_ns=window.length_ns - planned_ns,
        unplanned_run_ns=timeline.durations_ns()[State.RUNNING] - states_ns[State.RUNNING],
        ideal_cycle_s=None if production is None else production.ideal_cycle_s,
        produced=produced,
        scrap=scrap,
        unplanned_parts=unplanned_parts,
        availability=a,
        performance=p,
        quality=q,
        oee=None if production is None else _product(a, p, q if counted else 1.0),
        quality_counted=counted,
    )


def _product(*factors: float | None) -> float | None:
    """A · P · Q; a factor of 0 makes it 0 even where a later one cannot be told."""
    if any(factor == 0 for factor in factors):
        return 0.0
    result = 1.0
    for factor in factors:
        if factor is None:
            return None
        result *= factor
    return result


def _in_known_time(made: Increments, timeline: Timeline) -> float:
    """Parts, each reading weighted with the share of its stretch (within the window) whose state is known."""
    if not len(made.amount):
        return 0.0
    since = np.maximum(made.since_ns, timeline.window.start_ns)
    unknown = timeline.in_state_before(State.UNKNOWN, made.time_ns) - timeline.in_state_before(State.UNKNOWN, since)
    length = np.maximum(made.time_ns - since, 1)
    return float((made.amount * (1 - unknown / length)).sum())
