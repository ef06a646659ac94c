"""An electric injection moulding machine that publishes one MQTT message per shot and a small state message.

0.9–1.1 kWh per kg of material. The material's viscosity wanders and moves injection pressure, dosing time and cushion
together; after a stop the first shots are cold. A reject's values show why it is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plant.clock import SECOND
from plant.states import State
from simulators.machines.base import BreakEnd, Group, Value, no_breaks
from simulators.machines.production import Memory, Production, ProductionMachine, Stop, lag
from simulators.truth import Entry

STATE_TEXT: Mapping[State, str] = {
    State.OFF: "OFF",
    State.IDLE: "READY",
    State.RUNNING: "PRODUCTION",
    State.STOPPED: "STOPPED",
    State.SETUP: "MOULD_CHANGE",
    State.FAULT: "ALARM",
}
_STANDBY_KW = {State.OFF: 0.0, State.IDLE: 3.2, State.STOPPED: 3.0, State.SETUP: 2.4, State.FAULT: 1.8}
_SHOT = (
    "shot_number",
    "good",
    "cycle_time",
    "injection_time",
    "dosing_time",
    "injection_pressure",
    "switchover_pressure",
    "holding_pressure",
    "cushion",
    "melt_temperature",
    "mould_temperature",
    "barrel_temperature_1",
    "barrel_temperature_2",
    "barrel_temperature_3",
    "clamp_force",
    "energy_per_shot",
)
_REJECTS: Mapping[str, tuple[float, float]] = {  # cushion mm, injection pressure bar: what gives it away
    "short shot": (-2.4, -160.0),
    "flash": (0.8, 130.0),
    "sink marks": (-0.9, -60.0),
    "cold start": (1.6, 190.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionMouldingParams(Production):
    cycle_s: float = 75.0
    cycle_spread: float = 0.006
    scrap_rate: float = 0.018
    scrap_after_stop: float = 0.75
    first_parts: int = 4
    order_parts: float = 420.0
    setup_median_s: float = 4_200.0
    rest_chance: float = 0.01
    shot_kg: float = 0.236
    kwh_per_kg: float = 1.0
    melt_c: float = 232.0
    mould_c: float = 46.0
    stops: tuple[Stop, ...] = (
        Stop("part stuck in mould", State.STOPPED, 3_600, 150, 0.6),
        Stop("waiting for packaging", State.IDLE, 10_000, 420, 0.5),
        Stop("hopper empty", State.IDLE, 26_000, 700, 0.4),
        Stop("heater band", State.FAULT, 170_000, 3_000),
        Stop("ejector not in position", State.FAULT, 70_000, 900),
    )


@dataclass(slots=True)
class InjectionMouldingMemory(Memory):
    viscosity: float = 0.0  # deviation from the material's nominal, about ±1
    melt_c: float = 232.0
    mould_c: float = 40.0
    shot_reason: str = ""
    shot_cycle_s: float = 0.0
    shot_kwh: float = 0.0


class InjectionMoulding(ProductionMachine[InjectionMouldingParams, InjectionMouldingMemory]):
    kind: ClassVar[str] = "injection-moulding"
    shares = (1.0,)
    groups = (
        Group("state", ("state", "shots_total", "shots_reject"), every_s=5, on_state=True, on_part=True),
        Group("shot", _SHOT, on_part=True),
    )

    def __init__(
        self,
        machine_id: str,
        params: InjectionMouldingParams,
        rng: np.random.Generator,
        start_ns: int,
        record: Callable[[Entry], None],
        break_end: BreakEnd = no_breaks,
    ) -> None:
        memory = InjectionMouldingMemory(melt_c=params.melt_c, mould_c=params.mould_c - 4)
        super().__init__(machine_id, params, memory, rng, start_ns, record, break_end)

    def measure(self) -> Mapping[str, Value]:
        memory, params = self.memory, self.params
        noise = self._noise.standard_normal(13).tolist()
        cushion, pressure = _REJECTS.get(memory.shot_reason, (0.0, 0.0))
        injection = 1_180 + 70 * memory.viscosity - 3.2 * (memory.melt_c - params.melt_c) + pressure + 6 * noise[0]
        return {
            "state": STATE_TEXT[memory.state],
            "shots_total": memory.parts,
            "shots_reject": memory.scrap,
            "shot_number": memory.parts,
            "good": not memory.shot_reason,
            "cycle_time": memory.shot_cycle_s,
            "injection_time": 1.62 + 0.03 * memory.viscosity + 0.008 * noise[1],
            "dosing_time": 11.8 + 0.45 * memory.viscosity + 0.12 * noise[2],
            "injection_pressure": injection,
            "switchover_pressure": 0.82 * injection + 4 * noise[3],
            "holding_pressure": 620 + 2.5 * noise[4],
            "cushion": max(5.6 - 0.35 * memory.viscosity + cushion + 0.08 * noise[5], 0.0),
            "melt_temperature": memory.melt_c + 0.4 * noise[6],
            "mould_temperature": memory.mould_c + 0.2 * noise[7],
            "barrel_temperature_1": 205 + 0.5 * noise[8],
            "barrel_temperature_2": 220 + 0.5 * noise[9],
            "barrel_temperature_3": 230 + 0.5 * noise[10],
            "clamp_force": 1_500 + 5 * noise[11],
            "energy_per_shot": memory.shot_kwh * (1 + 0.004 * noise[12]),
        }

    def _power_kw(self) -> float:
        if self._cutting:
            hours = self.params.cycle_s / 3600
            return self.params.shot_kg * self.params.kwh_per_kg * (1 + 0.04 * self.memory.viscosity) / hours
        return _STANDBY_KW[self.memory.state]

    def _flow(self, seconds: float, power_kw: float) -> None:
        memory, params = self.memory, self.params
        heating = memory.state not in (State.OFF, State.SETUP) and memory.cause != "heater band"
        cycling = memory.state is State.RUNNING
        memory.melt_c = lag(memory.melt_c, params.melt_c if heating else 150.0, seconds, 1_800 if not heating else 500)
        memory.mould_c = lag(memory.mould_c, params.mould_c if cycling else params.mould_c - 14, seconds, 480)

    def _on_part(self, reason: str) -> None:
        memory = self.memory
        memory.viscosity = 0.985 * memory.viscosity + 0.12 * float(self._dice.standard_normal())
        memory.shot_reason = reason
        memory.shot_cycle_s = (memory.now_ns - memory.cycle_start_ns) / SECOND
        memory.shot_kwh = self._power_kw() * memory.shot_cycle_s / 3600

    def _reject_reason(self, *, fragile: bool) -> str:
        if fragile:
            return "cold start"
        return ("short shot", "flash", "sink marks")[int(self._dice.integers(3))]
