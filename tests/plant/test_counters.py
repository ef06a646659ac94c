"""Counters against a machine whose parts are known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.clock import SECOND, Window
from plant.counters import Increments, increments


def count(values: list[float], wrap: float | None = None) -> list[float]:
    return increments(np.arange(len(values), dtype=np.int64), np.array(values, dtype=float), wrap).amount.tolist()


@dataclass
class Machine:
    """A counter that is read after every event; `made` are the parts since the first reading."""

    start: int
    wrap: int | None = None
    made: int = 0
    high: int = 0
    readings: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.value = self.high = self.start
        self.readings.append(self.value)

    def step(self, event: str, amount: int) -> None:
        match event:
            case "parts":
                self.made += amount
                self.value += amount
                if self.wrap is not None and self.value >= self.wrap:
                    self.value -= self.wrap
                    self.high = self.value
                self.high = max(self.high, self.value)
            case "reset" if self.wrap is None and self.high > 2 * amount:
                self.made += amount  # made since the reset
                self.value = self.high = amount
            case "late" if self.high >= 10:  # an old reading in between: the counter itself does not move
                self.readings.append(self.high - 1 - amount % 3)
            case "twice":
                self.readings.append(self.value)
        self.readings.append(self.value)


events = st.lists(
    st.tuples(st.sampled_from(["parts", "parts", "reset", "late", "twice"]), st.integers(0, 5)), max_size=40
)


@given(st.integers(0, 1000), events)
def test_resets_repeats_and_late_readings_make_and_lose_nothing(start: int, happened: list[tuple[str, int]]) -> None:
    machine = Machine(start)
    for event, amount in happened:
        machine.step(event, amount)
    amounts = count(machine.readings)
    assert sum(amounts) == machine.made
    assert all(amount >= 0 for amount in amounts)


@given(st.integers(0, 255), st.lists(st.tuples(st.sampled_from(["parts", "twice"]), st.integers(0, 100)), max_size=60))
def test_wraps_make_and_lose_nothing(start: int, happened: list[tuple[str, int]]) -> None:
    machine = Machine(start, wrap=256)
    for event, amount in happened:
        machine.step(event, amount)
    assert sum(count(machine.readings, 256)) == machine.made


@given(st.lists(st.integers(0, 10**9), max_size=30))
def test_only_falling_makes_nothing_but_what_is_left_after_a_reset(values: list[int]) -> None:
    falling = sorted({float(value) for value in values}, reverse=True)
    assert all(amount >= 0 for amount in count(falling))
    if falling and falling[-1] >= falling[0] / 2:
        assert sum(count(falling)) == 0


@pytest.mark.parametrize(
    ("values", "wrap", "amounts"),
    [
        ([], None, []),
        ([7.0], None, []),
        ([7.0, 7.0, 8.0], None, [0, 1]),
        ([100.0, 99.0, 100.0, 101.0], None, [0, 0, 1]),
        ([100.0, 3.0, 5.0], None, [3, 2]),
        ([100.0, 0.0, 0.0, 1.0], None, [0, 0, 1]),
        ([65_535.0, 0.0, 1.0], 65_536, [1, 1]),
        ([4_294_967_290.0, 4.0], 2**32, [10]),
        ([30_000.0, 0.0], 65_536, [0]),  # the way round is longer than half: a reset
    ],
)
def test_examples(values: list[float], wrap: float | None, amounts: list[float]) -> None:
    assert count(values, wrap) == amounts


@pytest.mark.parametrize(
    ("values", "wrap", "amounts"),
    [
        ([1000, 0, 1001, 1002], None, [0, 1, 1]),  # a glitch to zero
        ([1000, 0, 0, 1, 2], None, [0, 0, 1, 1]),  # a reset
        ([100, 60, 101], None, [0, 1]),  # a late reading
        ([100, 60, 61, 62], None, [0, 1, 1]),  # somebody set it back
        ([100, 5000, 101], None, [0, 1]),  # a spike
        ([100, 5000, 5001, 5002], None, [0, 1, 1]),  # somebody set it forward
        ([65_535, 1, 65_535, 2], 65_536, [2, 0, 1]),  # a late reading across a wrap
        ([40_000, 0, 1], 65_536, [0, 1]),  # a reset that the way round would make a wrap of 25 536 parts
        ([1, 0, 1], None, [0, 1]),  # too low to tell: a reset
    ],
)
def test_more_parts_than_the_machine_can_make_are_doubted(
    values: list[float], wrap: float | None, amounts: list[float]
) -> None:
    time_ns = np.arange(len(values), dtype=np.int64) * SECOND
    assert increments(time_ns, np.array(values, dtype=float), wrap, ideal_cycle_s=5).amount.tolist() == amounts


def test_an_hour_without_readings_may_hold_an_hours_parts() -> None:
    made = increments(np.array([0, 3600 * SECOND]), np.array([100.0, 700.0]), ideal_cycle_s=5)
    assert made.total == 600


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True))
def test_within_disjoint_windows_adds_up(edges: list[int]) -> None:
    made = increments(np.arange(61, dtype=np.int64), np.arange(61, dtype=float))
    cuts = sorted({0, 61, *edges})
    windows = [Window(a, b) for a, b in itertools.pairwise(cuts)]
    assert sum(made.within([window]).total for window in windows) == made.total == 60
    assert made.within(windows).total == 60
    assert made.within([]).total == 0


def test_each_amount_knows_its_stretch() -> None:
    made = increments(np.array([10, 20, 35]), np.array([1.0, 2.0, 4.0]))
    assert isinstance(made, Increments)
    assert (made.since_ns.tolist(), made.time_ns.tolist(), made.amount.tolist()) == ([10, 20], [20, 35], [1, 2])
