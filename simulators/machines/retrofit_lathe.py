"""A bar-fed automatic lathe of the 1980s without any network: a three-phase clamp meter and a photocell, no more.

Whoever watches sees currents and a count; that parts are rejected only the ledger knows. While it works the spindle
turns even between two parts, so that the current stays above 4.8 A; at rest pumps and fan draw about 2 A.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plant.states import State
from simulators.machines.base import BreakEnd, Group, Value, no_breaks
from simulators.machines.production import Memory, Production, ProductionMachine, Stop
from simulators.truth import Entry

_CUTS = ((0.52, 9.6), (0.16, 7.4), (0.20, 11.2), (0.12, 5.7))  # share of the cycle, A: turn, groove, thread, cut off
_STANDBY_A = {State.OFF: 0.0, State.IDLE: 2.1, State.STOPPED: 2.0, State.SETUP: 2.3, State.FAULT: 1.4}
_KW_PER_A = 0.4 * 3**0.5 * 0.78  # 400 V, power factor of old motors


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrofitLatheParams(Production):
    cycle_s: float = 54.0
    cycle_spread: float = 0.03
    scrap_rate: float = 0.02
    scrap_after_stop: float = 0.3
    first_parts: int = 2
    order_parts: float = 210.0
    setup_median_s: float = 1_700.0
    rest_chance: float = 0.12
    stops: tuple[Stop, ...] = (
        Stop("bar change", State.IDLE, 1_500, 95, 0.25),
        Stop("chip nest", State.STOPPED, 2_700, 130, 0.6),
        Stop("insert change", State.STOPPED, 6_500, 280, 0.3),
        Stop("no orders", State.OFF, 60_000, 2_100, 0.4),
        Stop("motor protection", State.FAULT, 70_000, 1_500, 0.6),
    )


class RetrofitLathe(ProductionMachine[RetrofitLatheParams, Memory]):
    kind: ClassVar[str] = "retrofit-lathe"
    shares = tuple(share for share, _ in _CUTS)
    groups = (
        Group("clamp", ("current_l1", "current_l2", "current_l3"), every_s=1, on_state=True),
        Group("photocell", ("part_count",), every_s=10, on_part=True),
    )

    def __init__(
        self,
        machine_id: str,
        params: RetrofitLatheParams,
        rng: np.random.Generator,
        start_ns: int,
        record: Callable[[Entry], None],
        break_end: BreakEnd = no_breaks,
    ) -> None:
        super().__init__(machine_id, params, Memory(), rng, start_ns, record, break_end)

    def measure(self) -> Mapping[str, Value]:
        level, noise = self._current_a(), self._noise.standard_normal(3).tolist()
        size = 0.025 * level + 0.004
        return {
            "current_l1": max(level + size * noise[0], 0.0),
            "current_l2": max(0.97 * level + size * noise[1], 0.0),
            "current_l3": max(1.02 * level + size * noise[2], 0.0),
            "part_count": self.memory.parts,
        }

    def _current_a(self) -> float:
        return _CUTS[self.memory.segment][1] if self._cutting else _STANDBY_A[self.memory.state]

    def _power_kw(self) -> float:
        return self._current_a() * _KW_PER_A

    def _reject_reason(self, *, fragile: bool) -> str:
        return "setting part" if fragile else ("diameter", "thread", "surface")[int(self._dice.integers(3))]
