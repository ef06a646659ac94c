"""What a device's answers mean for its source in plant.yaml (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from plant.config import ModbusTcpSource

_DEFAULT = ModbusTcpSource.model_validate({"type": "modbus-tcp", "host": "device"})
_POLLS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_TIMEOUTS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the probe saw of one unit. `longest`: most registers in one answer; `longest_tried`: most that were asked.

    `gap_refused`: a read across unused addresses was refused; None: there was none to try. Times in ms.
    """

    round_trips_ms: Sequence[float]
    longest: int | None
    longest_tried: int | None
    gap_refused: bool | None
    spans: int = 1

    @property
    def median_ms(self) -> float:
        return median(self.round_trips_ms)

    @property
    def p95_ms(self) -> float:
        """The 95 % point: nearest rank."""
        ordered = sorted(self.round_trips_ms)
        return ordered[math.ceil(0.95 * len(ordered)) - 1]


@dataclass(frozen=True, slots=True)
class Advice:
    """Settings of the source; where they are None the default does."""

    timeout_s: float
    poll_s: float
    max_registers: int | None
    max_gap: int | None
    reasons: tuple[str, ...]

    @property
    def fields(self) -> dict[str, float]:
        """As they stand in plant.yaml."""
        fields: dict[str, float] = {"poll_s": self.poll_s, "timeout_s": self.timeout_s}
        if self.max_registers is not None:
            fields["max_registers"] = self.max_registers
        if self.max_gap is not None:
            fields["max_gap"] = self.max_gap
        return fields


def advise(measured: Measured) -> Advice:
    """Time-out: five times the slowest usual answer. Interval: the polls take at most a fifth of the time.

    >>> advise(Measured([2.0] * 20, 125, 125, None)).fields
    {'poll_s': 1.0, 'timeout_s': 0.5}
    >>> advise(Measured([300.0] * 20, 16, 125, True, spans=4)).fields
    {'poll_s': 10.0, 'timeout_s': 2.0, 'max_registers': 16, 'max_gap': 0}
    """
    requests = max(measured.spans, 1)
    timeout_s = _at_least(5 * measured.p95_ms / 1e3, _TIMEOUTS)
    busy_s = requests * measured.median_ms / 1e3
    poll_s = max(_DEFAULT.poll_s, _at_least(5 * busy_s, _POLLS))
    took = f"{_ms(measured.median_ms)} (median), {_ms(measured.p95_ms)} (95 %)"
    reasons = [f"An answer takes {took}: timeout_s {timeout_s:g}, poll_s {poll_s:g}."]
    fastest = _at_least(5 * busy_s, _POLLS)
    if fastest < poll_s:
        reasons.append(f"It could be polled every {fastest:g} s; few signals of a machine are worth that.")
    limit, why = _limit(measured)
    reasons += why
    max_gap = 0 if measured.gap_refused else None
    if measured.gap_refused:
        reasons.append("It refuses a read that touches unused addresses: max_gap 0.")
    elif measured.gap_refused is False:
        reasons.append("It can be read across unused addresses.")
    return Advice(timeout_s, poll_s, limit, max_gap, tuple(reasons))


def _limit(measured: Measured) -> tuple[int | None, list[str]]:
    if not measured.longest or not measured.longest_tried:
        return None, []
    if measured.longest < measured.longest_tried:
        most = f"at most {measured.longest} registers at once ({measured.longest_tried} were refused)"
        return measured.longest, [f"It answers {most}: max_registers {measured.longest}."]
    enough = measured.longest >= _DEFAULT.max_registers
    return None, [
        f"It answers {measured.longest} registers at once, "
        + ("the most that Modbus allows." if enough else "all that it has in one piece.")
    ]


def _at_least(number: float, choices: Sequence[float]) -> float:
    return next((choice for choice in choices if choice >= number), choices[-1])


def _ms(number: float) -> str:
    return f"{number:.1f} ms" if number < 10 else f"{number:.0f} ms"
