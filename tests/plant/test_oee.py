"""OEE: published answers, exact sums, and what happens without data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.clock import SECOND, Window, parse_iso
from plant.counters import increments
from plant.oee import Production, availability, evaluate, performance, quality
from plant.states import CODE, STATES, State, timeline

EXAMPLES = Path(__file__).parents[3] / "shared/data/oee_examples.json"
needs_examples = pytest.mark.skipif(not EXAMPLES.exists(), reason=f"the published examples are absent: {EXAMPLES}")


def example(name: str) -> dict[str, Any]:
    return next(item for item in json.loads(EXAMPLES.read_text()) if item["id"] == name)


def line(rows: list[tuple[int, State]], window: Window):
    time_ns = np.array([t for t, _ in rows], dtype=np.int64)
    return timeline(time_ns, np.array([CODE[s] for _, s in rows], dtype=np.int8), window)


def counter(rows: list[tuple[int, float]]):
    return increments(np.array([t for t, _ in rows], dtype=np.int64), np.array([v for _, v in rows], dtype=float))


@needs_examples
@pytest.mark.parametrize("name", ["vorne-19271", "vorne-700"])
def test_vorne(name: str) -> None:
    """A shift with breaks, one stop, counters that are read at the end: through the whole engine."""
    case = example(name)
    minute = 60 * SECOND
    shift = Window(0, case["shift_min"] * minute)
    planned = (Window(case["breaks_min"] * minute, shift.end_ns),)
    stop_ns = planned[0].start_ns + case["stop_min"] * minute
    states = line([(0, State.STOPPED), (stop_ns, State.RUNNING)], shift)
    made = counter([(stop_ns, 0), (shift.end_ns - 1, case["total"])])
    scrapped = counter([(stop_ns, 0), (shift.end_ns - 1, case["reject"])])
    figures = evaluate(states, planned, Production(made, scrapped, 60 / case["ideal_ppm"]))
    expect = case["expect"]
    assert figures.availability == pytest.approx(expect["A"], abs=5e-5)
    assert figures.performance == pytest.approx(expect["P"], abs=5e-5)
    assert figures.quality == pytest.approx(expect["Q"], abs=5e-5)
    assert figures.oee == pytest.approx(expect["OEE"], abs=5e-5)
    assert (figures.produced, figures.scrap, figures.good) == (
        case["total"], case["reject"], case["total"] - case["reject"],
    )  # fmt: skip


@needs_examples
def test_performance_is_never_clamped() -> None:
    """The published 0.864 comes from P cut down to 1 and a rate taken for a cycle; the right answer is 0.144."""
    case = example("calculateoee-npm-NEGATIVE")
    a = availability(case["run_s"], case["planned_s"])
    p = performance(60 / case["ppm"], case["total"], case["run_s"])
    q = quality(case["good"], case["total"])
    assert a is not None
    assert p is not None
    assert q is not None
    assert a * p * q == pytest.approx(case["correct"])
    assert performance(10, 100, 500) == 2.0


@needs_examples
def test_flux() -> None:
    """Flux plans 8 h around a window of 4 h; the rest of the plan is a stop here."""
    case = example("flux-apq")
    start, end = (parse_iso(moment) for moment in case["window"])
    window = Window(start, start + case["planned_s"] * SECOND)
    rows = [(parse_iso(at), State(state)) for at, state, _, _ in case["events"]]
    states = line([*rows, (end, State.STOPPED)], window)
    made = counter([(parse_iso(at), total) for at, _, total, _ in case["events"]])
    scrapped = counter([(parse_iso(at), bad) for at, _, _, bad in case["events"]])
    figures = evaluate(states, (window,), Production(made, scrapped, case["ideal_cycle_s"]))
    assert figures.run_ns == case["expect"]["run_s"] * SECOND
    assert figures.availability == pytest.approx(case["expect"]["A"])
    assert figures.performance == pytest.approx(case["expect"]["P"])
    assert figures.quality == pytest.approx(case["expect"]["Q"])
    assert figures.oee == pytest.approx(case["expect"]["OEE"])


raw_states = st.lists(st.tuples(st.integers(0, 999), st.sampled_from(STATES)), max_size=12).map(
    lambda rows: sorted(rows, key=lambda row: row[0])
)
raw_plan = st.lists(st.integers(0, 1000), max_size=6, unique=True).map(
    lambda edges: tuple(Window(a, b) for a, b in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)
raw_parts = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 5), st.integers(0, 5)), max_size=15)


@given(raw_states, raw_plan, raw_parts)
def test_elements_sum_and_factors_multiply(
    rows: list[tuple[int, State]], plan: tuple[Window, ...], parts: list[tuple[int, int, int]]
) -> None:
    window = Window(0, 1000)
    times = sorted({t for t, _, _ in parts})
    good = np.cumsum([parts[i][1] for i in range(len(times))])
    bad = np.cumsum([parts[i][2] for i in range(len(times))])
    made = counter([(t, float(g + b)) for t, g, b in zip(times, good, bad, strict=True)])
    scrapped = counter([(t, float(b)) for t, b in zip(times, bad, strict=True)])
    figures = evaluate(line(rows, window), plan, Production(made, scrapped, 1e-9))
    assert figures.planned_ns + figures.unplanned_ns == 1000
    assert figures.run_ns + figures.down_ns + figures.states_ns[State.UNKNOWN] == figures.planned_ns
    assert figures.planned_ns == sum(w.length_ns for w in plan)
    assert figures.produced is not None
    assert figures.unplanned_parts is not None
    assert figures.produced + figures.unplanned_parts == made.total
    factors = (figures.availability, figures.performance, figures.quality)
    if None not in factors:
        assert figures.oee == pytest.approx(np.prod(np.array(factors, dtype=float)))
    for share in (figures.availability, figures.quality, figures.coverage):
        assert share is None or 0 <= share <= 1


class TestWithoutData:
    WINDOW = Window(0, 100 * SECOND)

    def test_unknown_time_is_no_downtime(self) -> None:
        figures = evaluate(line([(50 * SECOND, State.RUNNING)], self.WINDOW), (self.WINDOW,), None)
        assert (figures.availability, figures.coverage, figures.down_ns) == (1.0, 0.5, 0)
        assert figures.oee is None

    def test_nothing_planned(self) -> None:
        figures = evaluate(line([(0, State.RUNNING)], self.WINDOW), (), None)
        assert (figures.availability, figures.coverage) == (None, None)
        assert figures.unplanned_run_ns == self.WINDOW.length_ns

    def test_a_gap_neither_lifts_nor_lowers_performance(self) -> None:
        """1 part/s all the time, 40 s of them unseen; the counter says 40 afterwards."""
        states = line([(0, State.RUNNING), (30 * SECOND, State.UNKNOWN), (70 * SECOND, State.RUNNING)], self.WINDOW)
        seen = [*range(31), *range(70, 100)]
        made = counter([(t * SECOND, float(t)) for t in seen])
        figures = evaluate(states, (self.WINDOW,), Production(made, None, 1.0))
        assert figures.produced == 99
        assert figures.performance == pytest.approx(59 / 60)

    def test_stopped_all_the_time_is_zero_not_none(self) -> None:
        figures = evaluate(line([(0, State.STOPPED)], self.WINDOW), (self.WINDOW,), Production(counter([]), None, 1.0))
        assert (figures.availability, figures.performance, figures.oee) == (0.0, None, 0.0)

    def test_without_scrap_counting_quality_is_not_told(self) -> None:
        made = counter([(t * SECOND, float(t)) for t in range(100)])
        figures = evaluate(line([(0, State.RUNNING)], self.WINDOW), (self.WINDOW,), Production(made, None, 1.0))
        assert (figures.quality, figures.quality_counted) == (None, False)
        assert figures.oee == pytest.approx(0.99)
