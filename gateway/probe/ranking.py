"""Which reading of which registers gives the expected value (pure).

Candidates are ordered by fit, then by how they lived while they were watched, then by plausibility: the bits that
would have to agree by chance (a long number that fits says more than a short one, a scale of 0.001 less than 1), less
a cost for what is rare in the field. A register of zeros is no evidence for an integer: 235 and 0, 235 are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gateway.blocks import width
from gateway.probe.expected import Expected
from gateway.probe.readings import HALVES, Readings, new_tag
from plant.tags import ByteOrder, DataType, Table, Tag

_EXPONENTS = (0, -1, -2, -3, 1, -4, 2, 3)
SCALES = tuple(float(f"1e{n}") for n in _EXPONENTS)
"""The scales that are tried, the usual ones first."""

_NEAR = 0.02  # a display and a register are not read in the same moment: what is this near is shown, ranked lower
_SCALE_BITS = dict(zip(SCALES, (0, 1, 2, 3, 4, 5, 5, 5), strict=True))
_ORDER_BITS = {ByteOrder.ABCD: 0, ByteOrder.CDAB: 1, ByteOrder.DCBA: 2, ByteOrder.BADC: 3}
_TYPE_BITS = {
    DataType.UINT16: 0, DataType.INT16: 0, DataType.FLOAT32: 0, DataType.UINT32: 1, DataType.INT32: 1,
    DataType.FLOAT64: 2, DataType.UINT64: 3, DataType.INT64: 3, DataType.BCD16: 4, DataType.BCD32: 4,
    DataType.UINT8: 4, DataType.INT8: 4, DataType.FLOAT16: 5,
}  # fmt: skip
_MANTISSA = {DataType.FLOAT16: 10, DataType.FLOAT32: 23, DataType.FLOAT64: 52}
_SCALED_FLOAT_BITS = 4


class Life(IntEnum):
    """How a reading behaved while it was watched; the more like a signal of a machine, the smaller."""

    NOT_WATCHED = 0
    LIVING = 1  # changes, in small steps
    COUNTING = 2  # only ever grows
    STEADY = 3  # did not change
    JUMPING = 4  # changes by more than a signal would: other bytes than those of one number


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read the expected value. `misfit`: 0 within the tolerance, else how far off, relative."""

    tag: Tag
    value: float
    misfit: float
    bits: float
    life: Life

    @property
    def key(self) -> tuple[bool, float, Life, float]:
        return self.life is Life.JUMPING, self.misfit, self.life, -self.bits


def rank(readings: Readings, samples: Sequence[Sequence[int]], expected: Expected) -> list[Candidate]:
    """Every reading that gives about the expected value, best first.

    `samples`: the window's registers, one row per time it was read (n, count); the first row is the one that the
    expected value was read beside, the others tell how the readings live.
    """
    values = np.array([readings(registers) for registers in samples])
    with np.errstate(all="ignore"):
        # As a decimal divisor where the scale is below 1: 235 / 10 is 23.5, 235 × 0.1 is not.
        scaled = np.stack([_times(values, scale) for scale in SCALES], axis=-1)  # (n, tags, scales)
        error = np.abs(scaled[0] - expected.value)
    tolerance = expected.tolerance * (1 + 1e-9) + 1e-12 * abs(expected.value)
    near = error <= max(tolerance, _NEAR * abs(expected.value))
    found = [
        _candidate(readings, samples[0], scaled[:, row, column], (row, column), expected, tolerance)
        for row, column in zip(*np.nonzero(near), strict=True)
    ]
    return sorted(found, key=lambda candidate: candidate.key)


def find_text(table: Table, start: int, registers: Sequence[int], text: str) -> list[Tag]:
    """String tags that begin with the text, in both orders of the two characters of a register."""
    found = []
    wanted = text.encode()
    for order, form in ((ByteOrder.ABCD, "big"), (ByteOrder.BADC, "little")):
        data = b"".join(register.to_bytes(2, "big" if form == "big" else "little") for register in registers)
        at = data.find(wanted)
        while wanted and at >= 0:
            if at % 2 == 0:
                length = min(math.ceil(len(wanted) / 2), 125)
                found.append(new_tag(table, start + at // 2, DataType.STRING, order=order, length=length))
            at = data.find(wanted, at + 1)
    return found


def _times(values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    return values * scale if scale >= 1 else values / round(1 / scale)


def _candidate(
    readings: Readings,
    registers: Sequence[int],
    series: NDArray[np.float64],
    place: tuple[int, int],
    expected: Expected,
    tolerance: float,
) -> Candidate:
    tag, scale = readings.tags[place[0]], SCALES[place[1]]
    at = tag.modbus_address[1] - readings.start
    value = float(series[0])
    error = abs(value - expected.value)
    misfit = 0.0 if error <= tolerance else error / abs(expected.value)
    bits = _evidence(tag, registers[at : at + width(tag)], scale, expected) - _cost(tag, scale)
    return Candidate(tag.model_copy(update={"scale": scale}), value, misfit, bits, life(series, expected))


def _evidence(tag: Tag, registers: Sequence[int], scale: float, expected: Expected) -> float:
    """Bits of the registers that chance would have had to get right."""
    raw, tolerance = abs(expected.value) / scale, expected.tolerance / scale
    if (mantissa := _MANTISSA.get(tag.type)) is not None:
        spacing = 2.0 ** (math.floor(math.log2(raw)) - mantissa) if raw else 0.0
        bits = 16 * len(registers) if any(registers) else 0
        codes = 1 + 2 * tolerance / spacing if spacing else 1.0
    else:
        bits = 16 * sum(register not in (0, 0xFFFF) for register in registers) // (2 if tag.type in HALVES else 1)
        codes = 1 + 2 * tolerance
    return max(0.0, bits - math.log2(codes))


def _cost(tag: Tag, scale: float) -> float:
    scaled_float = _SCALED_FLOAT_BITS if scale != 1 and tag.type in _MANTISSA else 0
    return _TYPE_BITS[tag.type] + _ORDER_BITS[tag.order] + _SCALE_BITS[scale] + scaled_float


def life(series: NDArray[np.float64], expected: Expected) -> Life:
    """How the values (n,) behave, in units of what is expected: a step of half of it is no step of a machine.

    >>> [life(np.array(x), Expected(20, 0.5)).name for x in ([20, 20.2, 20.1], [20, 21, 22], [20, 20], [20, 5e6])]
    ['LIVING', 'COUNTING', 'STEADY', 'JUMPING']
    """
    if len(series) < 2:
        return Life.NOT_WATCHED
    steps = np.diff(series)
    if not np.all(np.isfinite(steps)) or np.max(np.abs(steps)) > max(
        0.5 * abs(expected.value), 10 * expected.tolerance
    ):
        return Life.JUMPING
    if not np.any(steps):
        return Life.STEADY
    return Life.COUNTING if np.all(steps >= 0) and np.any(steps >= 1) else Life.LIVING
