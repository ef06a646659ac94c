"""A vertical machining centre with a Modbus TCP server in its control.

Standby 0.5–3 kW, cutting 3–15 kW; tool wear raises spindle load and power by up to a quarter until the tool is changed;
coolant and spindle follow the power with thermal lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plant.clock import HOUR, SECOND
from plant.states import State
from simulators.machines.base import BreakEnd, Group, Value, no_breaks
from simulators.machines.production import Memory, Production, ProductionMachine, Stop, lag
from simulators.truth import Entry

STATE_CODE: Mapping[State, int] = {
    State.OFF: 0,
    State.IDLE: 1,
    State.RUNNING: 2,
    State.STOPPED: 3,
    State.SETUP: 4,
    State.FAULT: 5,
}
_ALARMS = {"spindle overload": 1012, "tool breakage": 2037, "hydraulic pressure low": 3105}
_PROGRAMS = (("O1001_HOUSING", 1.0), ("O1002_FLANGE", 1.03), ("O1003_BRACKET", 1.06), ("O1042_COVER", 1.02))
_STANDBY_KW = {State.OFF: 0.0, State.IDLE: 1.9, State.STOPPED: 1.6, State.SETUP: 2.4, State.FAULT: 0.9}


@dataclass(frozen=True, slots=True)
class _Cut:
    """One operation of the cycle: share of its time, speed 1/min, feed mm/min, spindle load %, power kW, axes %."""

    share: float
    speed: float
    feed: float
    load: float
    power_kw: float
    x: float
    z: float
    tool: int


_CUTS = (
    _Cut(0.06, 0, 12_000, 2, 3.1, 35, 42, 1),  # rapid positioning, tool into the spindle
    _Cut(0.34, 4_200, 1_850, 62, 11.4, 28, 22, 1),  # roughing
    _Cut(0.22, 6_500, 900, 34, 7.2, 18, 38, 4),  # drilling
    _Cut(0.30, 9_000, 2_400, 27, 6.1, 24, 16, 7),  # finishing
    _Cut(0.08, 800, 8_000, 6, 3.6, 31, 30, 7),  # chip wash, table out
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CncMillParams(Production):
    cycle_s: float = 158.0
    handling_s: float = 17.0
    scrap_rate: float = 0.016
    scrap_after_stop: float = 0.3
    order_parts: float = 75.0
    setup_median_s: float = 1_500.0
    tool_life_s: float = 6_000.0  # of cutting, until wear has raised the load by a quarter
    stops: tuple[Stop, ...] = (
        Stop("tool change", State.STOPPED, 4_300, 200, 0.3),
        Stop("chip jam", State.STOPPED, 2_600, 75, 0.6),
        Stop("waiting for material", State.IDLE, 11_000, 540, 0.5),
        Stop("spindle overload", State.FAULT, 90_000, 1_200),
        Stop("tool breakage", State.FAULT, 100_000, 1_800),
        Stop("hydraulic pressure low", State.FAULT, 260_000, 3_600),
    )


@dataclass(slots=True)
class CncMillMemory(Memory):
    wear: float = 0.1  # 0: new tool, 1: worn
    coolant_c: float = 24.0
    spindle_c: float = 30.0
    program: str = ""
    slowness: float = 1.0  # of the program, against the fastest


class CncMill(ProductionMachine[CncMillParams, CncMillMemory]):
    kind: ClassVar[str] = "cnc-mill"
    shares = tuple(cut.share for cut in _CUTS)
    groups = (
        Group(
            "status",
            (
                "state",
                "alarm_code",
                "program",
                "tool",
                "cycle_active",
                "door_open",
                "parts_total",
                "parts_scrap",
                "energy",
            ),
            every_s=10,
            on_state=True,
            on_part=True,
        ),
        Group(
            "process",
            (
                "spindle_speed",
                "spindle_load",
                "spindle_temperature",
                "feed_rate",
                "axis_load_x",
                "axis_load_z",
                "coolant_temperature",
                "vibration",
                "power",
            ),
            every_s=10,
        ),
    )

    def __init__(
        self,
        machine_id: str,
        params: CncMillParams,
        rng: np.random.Generator,
        start_ns: int,
        record: Callable[[Entry], None],
        break_end: BreakEnd = no_breaks,
    ) -> None:
        super().__init__(machine_id, params, CncMillMemory(), rng, start_ns, record, break_end)

    def measure(self) -> Mapping[str, Value]:
        memory, noise = self.memory, self._noise.standard_normal(9).tolist()
        cut = _CUTS[memory.segment] if self._cutting else None
        worn = self._worn
        wobble = 1 + 0.03 * noise[0]
        return {
            "state": STATE_CODE[memory.state],
            "alarm_code": _ALARMS.get(memory.cause, 9_999) if memory.state is State.FAULT else 0,
            "program": memory.program,
            "tool": cut.tool if cut else _CUTS[0].tool,
            "cycle_active": cut is not None,
            "door_open": memory.cause in ("loading", "chip jam", "tool change", "changeover"),
            "parts_total": memory.parts,
            "parts_scrap": memory.scrap,
            "energy": memory.energy_kwh,
            "spindle_speed": max(cut.speed + 4 * noise[1], 0.0) if cut and cut.speed else 0.0,
            "spindle_load": max(cut.load * worn * wobble, 0.0) if cut else 0.0,
            "spindle_temperature": memory.spindle_c + 0.1 * noise[2],
            "feed_rate": cut.feed * (1 + 0.004 * noise[3]) if cut else 0.0,
            "axis_load_x": max(cut.x + 2 * noise[4], 0.0) if cut else 3.0 + 0.2 * abs(noise[4]),
            "axis_load_z": max(cut.z + 2 * noise[5], 0.0) if cut else 9.0 + 0.2 * abs(noise[5]),
            "coolant_temperature": memory.coolant_c + 0.1 * noise[6],
            "vibration": max(0.12 + (0.011 * cut.load * worn if cut else 0.0) + 0.03 * noise[7], 0.02),
            "power": max(self._power_kw() * (1 + 0.012 * noise[8]), 0.0),
        }

    @property
    def _worn(self) -> float:
        return 1 + 0.25 * self.memory.wear

    def _power_kw(self) -> float:
        if self._cutting:
            cut = _CUTS[self.memory.segment]
            return cut.power_kw * self._worn if cut.load > 10 else cut.power_kw
        return _STANDBY_KW[self.memory.state]

    def _flow(self, seconds: float, power_kw: float) -> None:
        memory = self.memory
        local_hour = (memory.now_ns % (24 * HOUR)) / HOUR
        hall_c = 20.5 + 1.5 * math.sin((local_hour - 8) / 24 * 2 * math.pi)
        memory.coolant_c = lag(memory.coolant_c, hall_c + 1.15 * power_kw, seconds, 1_500)
        memory.spindle_c = lag(memory.spindle_c, hall_c + 2.3 * power_kw, seconds, 700)

    def _order_cycle_s(self) -> float:
        return self.params.cycle_s * self.memory.slowness

    def _on_new_order(self) -> None:
        name, slowness = _PROGRAMS[int(self._dice.integers(len(_PROGRAMS)))]
        self.memory.program, self.memory.slowness = name, slowness

    def _on_part(self, reason: str) -> None:
        memory = self.memory
        memory.wear = min(memory.wear + (memory.now_ns - memory.cycle_start_ns) / SECOND / self.params.tool_life_s, 1.0)

    def _on_stop_over(self, stop: Stop) -> None:
        if stop.cause in ("tool change", "tool breakage"):
            self.memory.wear = 0.0

    def _reject_reason(self, *, fragile: bool) -> str:
        reasons = ("setting part",) if fragile else ("dimension out of tolerance", "surface finish", "burr")
        return reasons[int(self._dice.integers(len(reasons)))]
