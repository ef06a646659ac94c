"""A point is one value of one tag at one time, with its quality; a batch is many, as columns.

The hot path (source → outbox → historian) moves `PointBatch` objects only: no per-sample object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Level(IntEnum):
    """How far a value can be trusted: the two high bits of the quality byte, as in OPC DA."""

    BAD = 0
    UNCERTAIN = 1
    GOOD = 3


class Quality(IntEnum):
    """Quality byte: level × 64 + reason. A comparison works: `q >= Quality.GOOD`, `q < Quality.UNCERTAIN`.

    >>> Quality(0x81 - 0x40).level.name, Quality.BAD_TIMEOUT.level.name
    ('UNCERTAIN', 'BAD')
    """

    GOOD = 192

    UNCERTAIN = 64
    UNCERTAIN_OUT_OF_RANGE = 65  # outside the tag's valid range; the value is as read
    UNCERTAIN_PRECISION = 66  # an integer beyond 2^53 was rounded to fit a float
    UNCERTAIN_SOURCE_TIME = 67  # the time in the message could not be used: arrival time instead
    UNCERTAIN_BY_SOURCE = 68  # the device itself says so

    BAD = 0
    BAD_TIMEOUT = 1
    BAD_NOT_CONNECTED = 2
    BAD_WRONG_REPLY = 3  # unit, function, length or transaction id do not match the request
    BAD_DECODE = 4  # the reply does not fit the tag's type or path
    BAD_NOT_AVAILABLE = 5  # the device says that it has no value (MTConnect UNAVAILABLE, NaN, null)
    BAD_STALE = 6
    BAD_END_OF_RECORDING = 7  # after this moment the recorded log says nothing
    BAD_BY_SOURCE = 8
    BAD_MODBUS_ILLEGAL_FUNCTION = 33  # 32 + the Modbus exception code
    BAD_MODBUS_ILLEGAL_ADDRESS = 34
    BAD_MODBUS_ILLEGAL_VALUE = 35
    BAD_MODBUS_DEVICE_FAILURE = 36
    BAD_MODBUS_ACKNOWLEDGE = 37
    BAD_MODBUS_DEVICE_BUSY = 38
    BAD_MODBUS_MEMORY_PARITY = 40
    BAD_MODBUS_GATEWAY_PATH = 42
    BAD_MODBUS_GATEWAY_TARGET = 43

    @property
    def level(self) -> Level:
        return Level(self.value >> 6)

    @classmethod
    def of_modbus_exception(cls, code: int) -> Quality:
        """The quality for a Modbus exception code; plain BAD for codes the standard does not define."""
        if not 0 < code < 32:  # beyond stand the UNCERTAIN and GOOD qualities
            return cls.BAD
        try:
            return cls(32 + code)
        except ValueError:
            return cls.BAD


Value = float | str | None
"""A number, a text, or None where there is none (a BAD point has no value)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value at the edges (API, pages); never used on the hot path. `time_ns` is the time of the read."""

    tag: str
    time_ns: int
    value: Value
    quality: Quality


@dataclass(frozen=True, slots=True)
class PointBatch:
    """n points as columns. Rows keep the order in which they were read.

    tags      distinct tag ids
    tag       (n,) int32, index into `tags`
    time_ns   (n,) int64, UTC ns, the source's own time or the time of the read
    value     (n,) float64, NaN where the point has no number
    quality   (n,) uint8, see Quality
    text      (n,) texts, None where the point is a number; the whole column is None without texts
    """

    tags: tuple[str, ...]
    tag: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    text: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.tag)
        lengths = {len(self.time_ns), len(self.value), len(self.quality)}
        if lengths != {n} or (self.text is not None and len(self.text) != n):
            raise ValueError("the columns of a PointBatch differ in length")

    def __len__(self) -> int:
        return len(self.tag)

    def __iter__(self) -> Iterator[Point]:
        """Points one by one, for edges and tests."""
        for i in range(len(self)):
            yield Point(self.tags[self.tag[i]], int(self.time_ns[i]), self._value(i), Quality(int(self.quality[i])))

    def _value(self, i: int) -> Value:
        if self.text is not None and self.text[i] is not None:
            return self.text[i]
        number = float(self.value[i])
        return None if number != number else number

    @classmethod
    def empty(cls) -> PointBatch:
        return cls.of(())

    @classmethod
    def of(cls, points: Iterable[Point]) -> PointBatch:
        """A batch of single points, in their order (for edges, slow sources and tests)."""
        rows = list(points)
        index = {tag: i for i, tag in enumerate(dict.fromkeys(point.tag for point in rows))}
        texts = tuple(point.value if isinstance(point.value, str) else None for point in rows)
        numbers = [point.value if isinstance(point.value, (int, float)) else np.nan for point in rows]
        return cls(
            tags=tuple(index),
            tag=np.array([index[point.tag] for point in rows], dtype=np.int32),
            time_ns=np.array([point.time_ns for point in rows], dtype=np.int64),
            value=np.array(numbers, dtype=np.float64),
            quality=np.array([point.quality for point in rows], dtype=np.uint8),
            text=texts if any(text is not None for text in texts) else None,
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> PointBatch:
        """The rows of a mask or index, in that order; `tags` stays as it is."""
        text = None
        if self.text is not None:
            chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
            text = tuple(self.text[i] for i in chosen)
        return PointBatch(self.tags, self.tag[rows], self.time_ns[rows], self.value[rows], self.quality[rows], text)

    @classmethod
    def concat(cls, batches: Sequence[PointBatch]) -> PointBatch:
        """All rows of all batches, in order, with one common list of tags."""
        if len(batches) == 1:
            return batches[0]
        index: dict[str, int] = {}
        columns = []
        for batch in batches:
            to_common = np.array([index.setdefault(tag, len(index)) for tag in batch.tags], dtype=np.int32)
            columns.append(to_common[batch.tag] if len(batch) else np.empty(0, dtype=np.int32))
        text: tuple[str | None, ...] | None = None
        if any(batch.text is not None for batch in batches):
            text = tuple(item for batch in batches for item in (batch.text or (None,) * len(batch)))
        none = [np.empty(0)]
        return cls(
            tags=tuple(index),
            tag=np.concatenate(columns or none).astype(np.int32, copy=False),
            time_ns=np.concatenate([b.time_ns for b in batches] or none).astype(np.int64, copy=False),
            value=np.concatenate([b.value for b in batches] or none),
            quality=np.concatenate([b.quality for b in batches] or none).astype(np.uint8, copy=False),
            text=text,
        )
