"""A batch as the embedded historian stores it: rows with series ids, sorted, each (series, time) once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plant.points import Point, PointBatch, Quality, Value

Column = NDArray[Any]
_QUALITY = {int(quality): quality for quality in Quality}  # a look-up costs a tenth of the enumeration's own


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns (n,), sorted by series and time; `at` is the row's place in the batch it came from."""

    at: NDArray[np.intp]
    series: NDArray[np.int32]
    ts: NDArray[np.int64]
    v: NDArray[np.float64]
    q: NDArray[np.uint8]
    text: NDArray[np.object_] | None

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, batch: PointBatch, ids: NDArray[np.int32]) -> Rows:
        """`ids` is the series of each of the batch's tags. Of a point written twice the later row stays."""
        series = ids[batch.tag]
        order = np.lexsort((batch.time_ns, series))  # stable: rows of one point keep their order
        text = None
        if batch.text is not None:
            text = np.array([_storable(item) for item in batch.text], dtype=object)
        everything = cls(np.arange(len(batch)), series, batch.time_ns, batch.value, batch.quality, text)
        rows = everything.pick(order)
        twice = (rows.series[1:] == rows.series[:-1]) & (rows.ts[1:] == rows.ts[:-1])
        return rows.where(np.append(~twice, True)) if twice.any() else rows

    def where(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows of a mask."""
        return self if mask.all() else self.pick(np.flatnonzero(mask))

    def pick(self, index: NDArray[np.intp]) -> Rows:
        """The rows of an index, in that order."""
        text = None if self.text is None else self.text[index]
        return Rows(self.at[index], self.series[index], self.ts[index], self.v[index], self.q[index], text)

    @property
    def is_text(self) -> NDArray[np.bool_]:
        """Which rows are texts (table `event`); the others go to `sample`."""
        if self.text is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.array([item is not None for item in self.text], dtype=np.bool_)

    def samples(self) -> dict[str, Column]:
        """The columns of the table `sample`, of rows without text; DuckDB stores NaN as NULL."""
        return {"series": self.series, "ts": self.ts, "v": self.v, "q": self.q}

    def events(self) -> dict[str, Column]:
        """The columns of the table `event`, of rows with text."""
        assert self.text is not None
        return {"series": self.series, "ts": self.ts, "text": self.text, "q": self.q}

    def ends(self) -> NDArray[np.intp]:
        """The newest row of each series."""
        return np.flatnonzero(np.append(self.series[1:] != self.series[:-1], True)) if len(self) else self.at

    def starts(self) -> NDArray[np.intp]:
        """The oldest row of each series, in the order of `ends`."""
        return np.append(0, self.ends()[:-1] + 1).astype(np.intp) if len(self) else self.at

    def points(self, index: NDArray[np.intp], tags: Iterable[str]) -> list[Point]:
        """The rows of an index as points of these tags."""
        part = self.pick(index)
        texts: list[str | None] = [None] * len(part) if part.text is None else part.text.tolist()
        columns = zip(tags, part.ts.tolist(), part.v.tolist(), texts, part.q.tolist(), strict=True)
        return [Point(tag, ts, _value(v, text), _QUALITY.get(q) or Quality(q)) for tag, ts, v, text, q in columns]


def _value(number: float, text: str | None) -> Value:
    return text if text is not None else number if number == number else None


def _storable(text: str | None) -> str | None:
    # A lone surrogate (half a character, from a broken JSON escape) has no UTF-8: it must not block the rest.
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
