"""The tags of one device: what was last read of each, what of that is news, and what people are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.blocks import Block
from gateway.decode import BlockDecoder, Decoded
from gateway.report import Reporter
from gateway.sources.modbus.replies import Failure
from plant.connections import Fault, TagStatus
from plant.points import Point, PointBatch, Quality, Value
from plant.tags import Tag


class Signals:
    """Columns with one row per tag, in the order of the tags. Blocks come and go; what was read stays."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        n = len(tags)
        self._tags = tuple(tags)
        self._row = {tag.id: i for i, tag in enumerate(tags)}
        self._reporter = Reporter(tags)
        self._time_ns = np.zeros(n, dtype=np.int64)
        self._good_ns = np.zeros(n, dtype=np.int64)
        self._value = np.full(n, np.nan)
        self._quality = np.zeros(n, dtype=np.uint8)
        self._text: list[str | None] = [None] * n
        self._raw: list[_Raw | None] = [None] * n
        self._failures: list[tuple[Failure, str] | None] = [None] * n

    def rows(self, block: Block) -> NDArray[np.intp]:
        return np.array([self._row[tag.id] for tag in block.tags], dtype=np.intp)

    def good(self, reading: Reading, cells: Sequence[int] | Sequence[bool], time_ns: int) -> PointBatch:
        """What was read; gives the points that are news."""
        raw = _Raw(reading, cells)
        for i, row in enumerate(reading.rows):
            self._raw[row], self._failures[row] = raw, None
            raw.at[int(row)] = i
        return self._points(reading, reading.decoder(cells), time_ns)

    def failed(self, reading: Reading, failure: Failure, detail: str, time_ns: int) -> PointBatch:
        """The block could not be read; gives the points that are news."""
        for row in reading.rows:
            self._failures[row] = failure, detail
        n = len(reading.rows)
        return self._points(reading, Decoded(np.full(n, np.nan), np.full(n, failure.quality, dtype=np.uint8)), time_ns)

    @property
    def failure(self) -> tuple[Failure, str] | None:
        """The first tag's that cannot be read."""
        return next((failure for failure in self._failures if failure is not None), None)

    def status(self) -> tuple[TagStatus, ...]:
        return tuple(self._status(row) for row in range(len(self._tags)))

    def _points(self, reading: Reading, decoded: Decoded, time_ns: int) -> PointBatch:
        rows, value, quality = reading.rows, decoded.value, decoded.quality
        self._time_ns[rows], self._value[rows], self._quality[rows] = time_ns, value, quality
        self._good_ns[rows[quality >= Quality.UNCERTAIN]] = time_ns
        if reading.has_texts:
            for i, row in enumerate(rows):
                self._text[row] = decoded.text[i] if decoded.text is not None else None
        news = self._reporter.news(rows, time_ns, value, quality, decoded.text)
        times = np.full(len(rows), time_ns, dtype=np.int64)
        batch = PointBatch(reading.ids, reading.index, times, value, quality, decoded.text)
        return batch if news.all() else batch.take(news)

    def _status(self, row: int) -> TagStatus:
        tag, raw = self._tags[row], self._raw[row]
        point = self._point(row)
        return TagStatus(
            tag.id, point, int(self._good_ns[row]) or None, raw.of(row) if raw else "", *self._fault(row, point)
        )

    def _point(self, row: int) -> Point | None:
        if not self._time_ns[row]:
            return None
        number = float(self._value[row])
        value: Value = self._text[row] if self._text[row] is not None else None if np.isnan(number) else number
        return Point(self._tags[row].id, int(self._time_ns[row]), value, Quality(int(self._quality[row])))

    def _fault(self, row: int, point: Point | None) -> tuple[Fault, str]:
        if point is None:
            return Fault.NO_DATA, ""
        if (failure := self._failures[row]) is not None:
            return failure[0].fault, failure[1]
        if point.quality is Quality.BAD_DECODE:
            return Fault.DECODE, f"the registers do not hold a {self._tags[row].type.value}"
        return Fault.NONE, ""


class Reading:
    """A block that is read, with what does not change from one read to the next."""

    def __init__(self, block: Block, rows: NDArray[np.intp]) -> None:
        self.block, self.rows = block, rows
        self.decoder = BlockDecoder(block)
        self.ids = tuple(tag.id for tag in block.tags)
        self.index = np.arange(len(rows), dtype=np.int32)
        self.has_texts = any(tag.type.is_text for tag in block.tags)


class _Raw:
    """A reply, kept as it came until somebody looks at it."""

    def __init__(self, reading: Reading, cells: Sequence[int] | Sequence[bool]) -> None:
        self._reading, self._cells = reading, cells
        self.at: dict[int, int] = {}

    def of(self, row: int) -> str:
        return self._reading.decoder.raw(self._cells)[self.at[row]]
