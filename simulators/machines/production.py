"""What machines that make parts have in common: cycles, stops, changeovers, breaks, energy, the ledger.

Two generators, one for what happens and one for measuring noise: how often somebody looks never changes the truth.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Generic, TypeVar

import numpy as np

from plant.clock import HOUR, MINUTE, SECOND
from plant.states import State
from simulators.machines.base import BreakEnd, Group, Snapshot, Value, no_breaks
from simulators.truth import EnergyUsed, Entry, PartMade, StateChange

_MILLISECOND = SECOND // 1000
_QUARTER = 15 * MINUTE
_HANDLING = "handling"
_CYCLE = "cycle"
_STOP = "stop"


@dataclass(frozen=True, slots=True)
class Stop:
    """A way in which production stops: mean running time between two, and how long it lasts (log-normal)."""

    cause: str
    state: State
    every_s: float
    median_s: float
    spread: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """How a machine makes parts. Times in seconds of the machine's own clock."""

    cycle_s: float
    cycle_spread: float = 0.02  # relative standard deviation
    handling_s: float = 0.0  # loading between two cycles; 0: the machine feeds itself
    scrap_rate: float = 0.015
    scrap_after_stop: float = 0.1  # probability for each of the first parts after a long stop
    first_parts: int = 1  # how many parts that concerns
    order_parts: float = 100.0  # mean parts of an order
    setup_median_s: float = 1500.0
    rest_chance: float = 0.3  # per part made in a break: the machine waits for its operator until the break's end
    stops: tuple[Stop, ...] = ()


@dataclass(slots=True)
class Memory:
    """What a machine remembers: everything but its parameters and generators. Plain values, ready for JSON."""

    now_ns: int = 0
    state: State = State.UNKNOWN
    cause: str = ""
    phase: str = ""
    phase_end_ns: int = 0
    segment: int = 0  # of the cycle
    cycle_s: float = 0.0  # planned length of the present cycle
    cycle_start_ns: int = 0
    stop: int = -1  # index of the stop that ends or follows the present cycle
    stop_segment: int = -1  # a fault breaks the cycle off at the end of this segment
    state_changes: int = 0
    parts: int = 0
    scrap: int = 0
    order: int = 0
    order_left: int = 0
    fragile_parts: int = 0  # still to come after a long stop
    stopped_since_ns: int = 0
    energy_kwh: float = 0.0
    ledger_ns: int = 0  # up to where the energy is in the ledger
    ledger_kwh: float = 0.0


P = TypeVar("P", bound=Production)
M = TypeVar("M", bound=Memory)


class ProductionMachine(ABC, Generic[P, M]):
    """Runs orders of parts; a subclass adds power, physics and signals."""

    kind: ClassVar[str]
    groups: ClassVar[tuple[Group, ...]]
    shares: ClassVar[tuple[float, ...]]  # of each segment in the cycle, summing to 1
    params: P
    memory: M

    def __init__(
        self,
        machine_id: str,
        params: P,
        memory: M,
        rng: np.random.Generator,
        start_ns: int,
        record: Callable[[Entry], None],
        break_end: BreakEnd = no_breaks,
    ) -> None:
        self.id = machine_id
        self.params, self.memory = params, memory
        self._dice, self._noise = rng.spawn(2)
        self.record, self._break_end = record, break_end
        self._stop_rate = sum(1 / stop.every_s for stop in params.stops)
        whole_ms = start_ns // _MILLISECOND * _MILLISECOND  # every event falls on a whole millisecond
        memory.now_ns = memory.ledger_ns = memory.stopped_since_ns = whole_ms
        memory.order_left = self._order_size()
        self._on_new_order()
        self._begin_part()

    # The port

    @property
    def now_ns(self) -> int:
        return self.memory.now_ns

    @property
    def state(self) -> State:
        return self.memory.state

    @property
    def cause(self) -> str:
        return self.memory.cause

    def step(self, dt_s: float) -> None:
        self.advance(self.memory.now_ns + round(dt_s * SECOND))

    def advance(self, to_ns: int) -> None:
        memory = self.memory
        while memory.now_ns < to_ns:
            quarter_end = (memory.now_ns // _QUARTER + 1) * _QUARTER
            stop = min(to_ns, memory.phase_end_ns, quarter_end)
            seconds = (stop - memory.now_ns) / SECOND
            power = self._power_kw()
            memory.energy_kwh += power * seconds * SECOND / HOUR
            self._flow(seconds, power)
            memory.now_ns = stop
            if stop == quarter_end:
                self._book_energy()
            if stop == memory.phase_end_ns:
                self._phase_over()

    def next_event_ns(self) -> int:
        return self.memory.phase_end_ns

    def marks(self) -> tuple[int, int]:
        return self.memory.state_changes, self.memory.parts

    @abstractmethod
    def measure(self) -> Mapping[str, Value]: ...

    def pause_until(self, to_ns: int) -> None:
        memory, state, cause = self.memory, self.memory.state, self.memory.cause
        skipped = (to_ns - memory.now_ns) // _MILLISECOND * _MILLISECOND
        if skipped <= 0:
            return
        self._book_energy()
        self._turn(State.UNKNOWN, "not simulated")
        memory.now_ns = memory.ledger_ns = memory.now_ns + skipped
        memory.phase_end_ns += skipped
        memory.cycle_start_ns += skipped
        memory.stopped_since_ns += skipped
        self._turn(state, cause)

    def snapshot(self) -> Snapshot:
        return {
            "kind": self.kind,
            "memory": asdict(self.memory),
            "dice": self._dice.bit_generator.state,
            "noise": self._noise.bit_generator.state,
        }

    def restore(self, snapshot: Snapshot) -> None:
        known = {field.name for field in fields(self.memory)}
        if snapshot.get("kind") != self.kind or set(snapshot["memory"]) != known:
            raise ValueError(f"the snapshot is not of a {self.kind} of this version")
        self.memory = type(self.memory)(**snapshot["memory"])
        self.memory.state = State(self.memory.state)
        self._dice.bit_generator.state = snapshot["dice"]
        self._noise.bit_generator.state = snapshot["noise"]

    # What a subclass adds

    @abstractmethod
    def _power_kw(self) -> float:
        """Electric power in the present phase, constant until it ends."""

    def _flow(self, seconds: float, power_kw: float) -> None:
        """Let temperatures and other slow things follow; exact for any length."""

    def _on_new_order(self) -> None:
        """Choose program, mould or material."""

    def _on_part(self, reason: str) -> None:
        """A part is done; `reason` is empty for a good one."""

    def _on_stop_over(self, stop: Stop) -> None:
        """A stop is over: a tool was changed, a filter cleaned."""

    @abstractmethod
    def _reject_reason(self, *, fragile: bool) -> str:
        """Why the part that was just spoiled is a reject."""

    def _order_cycle_s(self) -> float:
        """Cycle time of the present order before chance."""
        return self.params.cycle_s

    # How production goes

    def _phase_over(self) -> None:
        memory = self.memory
        if memory.phase == _CYCLE:
            self._segment_over()
        elif memory.phase == _HANDLING:
            self._begin_cycle()
        else:
            if memory.phase == _STOP:
                self._on_stop_over(self.params.stops[memory.stop])
                memory.stop = -1
            if memory.now_ns - memory.stopped_since_ns > 5 * self.params.cycle_s * SECOND:
                memory.fragile_parts = self.params.first_parts
            self._begin_part()

    def _segment_over(self) -> None:
        memory = self.memory
        if memory.segment == memory.stop_segment:
            self._begin_stop()
        elif memory.segment + 1 < len(self.shares):
            memory.segment += 1
            self._last(memory.cycle_s * self.shares[memory.segment])
        else:
            self._finish_part()
            self._after_part()

    def _finish_part(self) -> None:
        memory, params = self.memory, self.params
        fragile = memory.fragile_parts > 0
        spoiled = self._dice.random() < (params.scrap_after_stop if fragile else params.scrap_rate)
        reason = self._reject_reason(fragile=fragile) if spoiled else ""
        memory.fragile_parts = max(memory.fragile_parts - 1, 0)
        memory.parts += 1
        memory.scrap += spoiled
        memory.order_left -= 1
        self._on_part(reason)
        self.record(PartMade(self.id, memory.now_ns, not spoiled, reason))

    def _after_part(self) -> None:
        memory = self.memory
        break_end = self._break_end(memory.now_ns)
        if memory.stop >= 0:
            self._begin_stop()
        elif memory.order_left <= 0:
            self._begin_setup()
        elif break_end is not None and self._dice.random() < self.params.rest_chance:
            self._enter("break", State.IDLE, "break", (break_end - memory.now_ns) / SECOND)
        else:
            self._begin_part()

    def _begin_part(self) -> None:
        if self.params.handling_s > 0:
            self._enter(_HANDLING, State.IDLE, "loading", self._log_normal(self.params.handling_s, 0.2))
        else:
            self._begin_cycle()

    def _begin_cycle(self) -> None:
        memory = self.memory
        spread = max(self._dice.normal(1.0, self.params.cycle_spread), 0.5)
        memory.cycle_s = self._order_cycle_s() * spread
        memory.cycle_start_ns = memory.now_ns
        memory.segment = 0
        self._draw_stop()
        self._enter(_CYCLE, State.RUNNING, "production", memory.cycle_s * self.shares[0])

    def _draw_stop(self) -> None:
        """Whether, how and where in the cycle that begins production stops; only a fault breaks a cycle off."""
        memory, stops = self.memory, self.params.stops
        memory.stop = memory.stop_segment = -1
        chance, which, where = self._dice.random(3)
        if chance >= -math.expm1(-self._stop_rate * memory.cycle_s):
            return
        weight = which * self._stop_rate
        for index, stop in enumerate(stops):
            weight -= 1 / stop.every_s
            if weight < 0 or index == len(stops) - 1:
                memory.stop = index
                if stop.state is State.FAULT:
                    memory.stop_segment = int(where * len(self.shares))
                return

    def _begin_stop(self) -> None:
        memory = self.memory
        stop = self.params.stops[memory.stop]
        seconds = self._log_normal(stop.median_s, stop.spread)
        break_end = self._break_end(memory.now_ns)
        if break_end is not None:  # nobody comes before the break is over
            seconds += (break_end - memory.now_ns) / SECOND
        self._enter(_STOP, stop.state, stop.cause, seconds)

    def _begin_setup(self) -> None:
        memory = self.memory
        memory.order += 1
        memory.order_left = self._order_size()
        self._enter("setup", State.SETUP, "changeover", self._log_normal(self.params.setup_median_s, 0.3))
        self._on_new_order()

    # Small print

    def _enter(self, phase: str, state: State, cause: str, seconds: float) -> None:
        memory = self.memory
        if memory.state is State.RUNNING and state is not State.RUNNING:
            memory.stopped_since_ns = memory.now_ns
        memory.phase = phase
        self._last(seconds)
        self._turn(state, cause)

    def _last(self, seconds: float) -> None:
        """The phase ends in so many seconds, to the millisecond."""
        self.memory.phase_end_ns = self.memory.now_ns + max(round(seconds * 1000), 1) * _MILLISECOND

    def _turn(self, state: State, cause: str) -> None:
        memory = self.memory
        if (state, cause) != (memory.state, memory.cause):
            memory.state, memory.cause = state, cause
            memory.state_changes += 1
            self.record(StateChange(self.id, memory.now_ns, state, cause))

    def _book_energy(self) -> None:
        memory = self.memory
        if memory.now_ns > memory.ledger_ns:
            used = round(memory.energy_kwh - memory.ledger_kwh, 9)
            self.record(EnergyUsed(self.id, memory.now_ns, memory.ledger_ns, used))
            memory.ledger_ns, memory.ledger_kwh = memory.now_ns, memory.energy_kwh

    def _order_size(self) -> int:
        return max(round(self._log_normal(self.params.order_parts, 0.3)), 1)

    def _log_normal(self, median: float, spread: float) -> float:
        return median * math.exp(spread * self._dice.standard_normal())

    @property
    def _cutting(self) -> bool:
        return self.memory.phase == _CYCLE


def lag(value: float, target: float, seconds: float, tau_s: float) -> float:
    """First-order lag: where `value` is after so many seconds on its way to `target`.

    >>> round(lag(20.0, 30.0, 60.0, 60.0), 2)
    26.32
    """
    return target + (value - target) * math.exp(-seconds / tau_s)
