"""The historian port: what the system asks of any store of points. One screen, no storage text.

Adapters: `duckdb.py` (embedded); InfluxDB follows. Every adapter passes tests/plant/historian/contract.py.
All methods are synchronous and safe to call from several threads: call them off the event loop.
All times are UTC nanoseconds, all windows half-open `[start, end)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plant.clock import Window
from plant.points import Point, PointBatch


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one tag in time order: time_ns (n,) int64; value (n,) float64, NaN without a number;
    quality (n,) uint8; text (n,) or None where the tag carries no texts."""

    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    text: tuple[str | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Trend:
    """One tag cut into equal buckets, all columns (buckets,): start_ns int64; mean, minimum, maximum float64
    (NaN in a bucket without a good or uncertain number: a gap is a gap); count int64 of those numbers."""

    window: Window
    bucket_ns: int
    start_ns: NDArray[np.int64]
    mean: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HistorianHealth:
    """`rows` and `bytes` on disk are what the store says of itself; `message` is empty when all is well."""

    ok: bool
    name: str
    rows: int
    bytes: int
    message: str = ""


class Watch(Protocol):
    """A mailbox of new points. Bounded: when nobody takes, the oldest go and `missed` counts them."""

    missed: int

    def take(self) -> PointBatch:
        """Everything new since the last call, in order of arrival; never waits."""

    def close(self) -> None:
        """End the subscription."""


class Historian(Protocol):
    """A store of points. Writing the same point (tag and time) twice leaves one: the later write wins."""

    def write(self, batch: PointBatch) -> None:
        """Store all points or none. Any order, late ones too. Raises HistorianError when it cannot now."""

    def last(self, tags: Iterable[str]) -> dict[str, Point]:
        """The newest point of each tag, whatever its quality; tags without points are left out."""

    def last_good(self, tags: Iterable[str]) -> dict[str, Point]:
        """The newest point of each tag that is not BAD; tags without one are left out."""

    def range(self, tag: str, window: Window, *, with_previous: bool = False) -> Series:
        """All points of a tag in the window; with_previous: also the newest one before it, as first row."""

    def aggregate(self, tags: Sequence[str], window: Window, buckets: int) -> dict[str, Trend]:
        """Each tag's numbers in so many equal buckets, without BAD points. The last bucket may be cut short."""

    def span(self, tags: Iterable[str]) -> dict[str, Window]:
        """From the first point to just after the last of each tag; tags without points are left out."""

    def watch(self, tags: Iterable[str] | None = None) -> Watch:
        """Points written from now on, of these tags or of all."""

    def health(self) -> HistorianHealth:
        """Cheap self-report; never raises."""

    def close(self) -> None:
        """Finish what is being written and let go of the store. Safe to call twice."""
