"""A historian in memory: the port and nothing more, so that the pages' tests need no file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np

from plant.clock import Window
from plant.historian.base import HistorianHealth, Series, Trend
from plant.points import Point, PointBatch, Quality


class MemoryWatch:
    def __init__(self, owner: MemoryHistorian) -> None:
        self.missed = 0
        self._owner = owner
        self._waiting: list[PointBatch] = []

    def put(self, batch: PointBatch) -> None:
        self._waiting.append(batch)

    def take(self) -> PointBatch:
        waiting, self._waiting = self._waiting, []
        return PointBatch.concat(waiting) if waiting else PointBatch.empty()

    def close(self) -> None:
        self._owner.watches.remove(self)


class MemoryHistorian:
    """Keeps each tag's points as a dictionary by time."""

    def __init__(self) -> None:
        self._points: dict[str, dict[int, Point]] = {}
        self._columns: dict[str, Series] = {}
        self._lock = threading.Lock()
        self.watches: list[MemoryWatch] = []

    def write(self, batch: PointBatch) -> None:
        with self._lock:
            for point in batch:
                self._points.setdefault(point.tag, {})[point.time_ns] = point
                self._columns.pop(point.tag, None)
            for watch in self.watches:
                watch.put(batch)

    def last(self, tags: Iterable[str]) -> dict[str, Point]:
        with self._lock:
            return {tag: self._points[tag][max(self._points[tag])] for tag in tags if self._points.get(tag)}

    def last_good(self, tags: Iterable[str]) -> dict[str, Point]:
        with self._lock:
            good = {
                tag: [time for time, p in self._points.get(tag, {}).items() if p.quality >= Quality.UNCERTAIN]
                for tag in tags
            }
            return {tag: self._points[tag][max(times)] for tag, times in good.items() if times}

    def range(self, tag: str, window: Window, *, with_previous: bool = False) -> Series:
        series = self._series(tag)
        first = int(np.searchsorted(series.time_ns, window.start_ns))
        last = int(np.searchsorted(series.time_ns, window.end_ns))
        rows = slice(max(first - 1, 0) if with_previous else first, last)
        text = None if series.text is None else series.text[rows]
        return Series(series.time_ns[rows], series.value[rows], series.quality[rows], text)

    def aggregate(self, tags: Sequence[str], window: Window, buckets: int) -> dict[str, Trend]:
        return {tag: self._aggregate(tag, window, buckets) for tag in tags}

    def span(self, tags: Iterable[str]) -> dict[str, Window]:
        with self._lock:
            return {t: Window(min(self._points[t]), max(self._points[t]) + 1) for t in tags if self._points.get(t)}

    def watch(self, tags: Iterable[str] | None = None) -> MemoryWatch:
        assert tags is None, "the pages watch everything, once"
        self.watches.append(MemoryWatch(self))
        return self.watches[-1]

    def health(self) -> HistorianHealth:
        return HistorianHealth(ok=True, name="memory", rows=sum(map(len, self._points.values())), bytes=0)

    def close(self) -> None:
        self._points.clear()

    def _series(self, tag: str) -> Series:
        with self._lock:
            if tag not in self._columns:
                points = [point for _, point in sorted(self._points.get(tag, {}).items())]
                batch = PointBatch.of(points)
                self._columns[tag] = Series(batch.time_ns, batch.value, batch.quality, batch.text)
            return self._columns[tag]

    def _aggregate(self, tag: str, window: Window, buckets: int) -> Trend:
        series = self.range(tag, window)
        bucket_ns = -(-window.length_ns // buckets)
        n = -(-window.length_ns // bucket_ns)
        usable = (series.quality >= Quality.UNCERTAIN) & ~np.isnan(series.value)
        value, row = series.value[usable], (series.time_ns[usable] - window.start_ns) // bucket_ns
        count = np.bincount(row, minlength=n)
        total = np.bincount(row, weights=value, minlength=n)
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, row, value)
        np.maximum.at(high, row, value)
        empty = count == 0
        return Trend(
            window,
            bucket_ns,
            window.start_ns + bucket_ns * np.arange(n, dtype=np.int64),
            np.divide(total, count, out=np.full(n, np.nan), where=~empty),
            np.where(empty, np.nan, low),
            np.where(empty, np.nan, high),
            count.astype(np.int64),
        )
