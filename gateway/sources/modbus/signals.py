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
        self._readings: list[Reading | None] = [None] * n
        self._failures: dict[int, tuple[Failure, str]] = {}

    def reading(self, block: Block) -> Reading:
        """The block, ready to be read; from now on its tags are read with it."""
        rows = [self._row[tag.id] for tag in block.tags]
        reading = Reading(block, np.array(rows, dtype=np.intp))
        for row in rows:
            self._readings[row] = reading
        return reading

    def good(self, reading: Reading, cells: Sequence[int] | Sequence[bool], time_ns: int) -> PointBatch:
        """What was read; gives the points that are news."""
        reading.cells = cells
        if self._failures:
            for row in reading.rows.tolist():
                self._failures.pop(row, None)
        return self._points(reading, reading.decoder(cells), time_ns)

    def failed(self, reading: Reading, failure: Failure, detail: str, time_ns: int) -> PointBatch:
        """The block could not be read; gives the points that are news."""
        self._failures |= dict.fromkeys(reading.rows.tolist(), (failure, detail))
        n = len(reading.rows)
        return self._points(reading, Decoded(np.full(n, np.nan), np.full(n, failure.quality, dtype=np.uint8)), time_ns)

    @property
    def failure(self) -> tuple[Failure, str] | None:
        """The first tag's that cannot be read."""
        return self._failures[min(self._failures)] if self._failures else None

    def status(self) -> tuple[TagStatus, ...]:
        raw: dict[int, str] = {}
        for reading in {id(reading): reading for reading in self._readings if reading is not None}.values():
            raw.update(reading.raw())
        return tuple(self._status(row, raw.get(row, "")) for row in range(len(self._tags)))

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

    def _status(self, row: int, raw: str) -> TagStatus:
        tag = self._tags[row]
        point = self._point(row)
        return TagStatus(
            tag.id,
            point,
            int(self._good_ns[row]) or None,
            raw,
            *self._fault(row, point),
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
        if (failure := self._failures.get(row)) is not None:
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
        self.cells: Sequence[int] | Sequence[bool] | None = None  # the last reply, kept as it came

    def raw(self) -> dict[int, str]:
        """What last came for each tag, as text, by row. For people, not fast."""
        if self.cells is None:
            return {}
        return dict(zip(self.rows.tolist(), self.decoder.raw(self.cells), strict=True))
