"""What the embedded historian knows by heart: of each series its id, first point, last and last good point.

Stored in the table `series`, which is complete for points below the watermark; what came later is read from the
points themselves at open. So opening costs the same however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from plant.points import Point, Quality, Value

_LOAD = "SELECT * FROM series ORDER BY id"
_LOAD_RECENT = """
WITH recent AS (
    SELECT series, ts, v, NULL::VARCHAR AS text, q FROM sample WHERE ts >= $watermark
    UNION ALL SELECT series, ts, NULL, text, q FROM event WHERE ts >= $watermark
)
SELECT series,
       max(ts), arg_max({'v': v, 'text': text, 'q': q}, ts),
       max(ts) FILTER (q >= 64), arg_max({'v': v, 'text': text, 'q': q}, ts) FILTER (q >= 64)
FROM recent GROUP BY series
"""
_PUT = """
MERGE INTO series USING (
    SELECT unnest($id::INTEGER[]) AS id, unnest($tag::VARCHAR[]) AS tag, unnest($first_ts::BIGINT[]) AS first_ts,
           unnest($last_ts::BIGINT[]) AS last_ts, unnest($last_v::DOUBLE[]) AS last_v,
           unnest($last_text::VARCHAR[]) AS last_text, unnest($last_q::UTINYINT[]) AS last_q,
           unnest($good_ts::BIGINT[]) AS good_ts, unnest($good_v::DOUBLE[]) AS good_v,
           unnest($good_text::VARCHAR[]) AS good_text, unnest($good_q::UTINYINT[]) AS good_q
) AS new ON series.id = new.id
WHEN MATCHED THEN UPDATE
WHEN NOT MATCHED THEN INSERT
"""
_NEWEST_GOOD = """
SELECT ts, v, text, q FROM (
    (SELECT ts, v, NULL::VARCHAR AS text, q FROM sample WHERE series = $series AND q >= 64 ORDER BY ts DESC LIMIT 1)
    UNION ALL
    (SELECT ts, NULL, text, q FROM event WHERE series = $series AND q >= 64 ORDER BY ts DESC LIMIT 1)
) ORDER BY ts DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Latest:
    """One series as it stands after the last commit."""

    id: int
    tag: str
    first_ns: int
    last: Point
    good: Point | None


@dataclass(frozen=True, slots=True)
class Known:
    """All of it as of one commit; never changed, the next commit makes a new one."""

    latest: dict[int, Latest]  # by series id: 0, 1, 2 …
    ids: dict[str, int]  # series id by tag
    newest_ns: NDArray[np.int64]  # time of the last point, by series id
    watermark_ns: int  # minutes before it are rolled up
    unsaved: frozenset[int]  # series whose row in the table `series` is behind
    rows: int  # points in the store

    def after(self, touched: dict[int, Latest], watermark_ns: int, unsaved: frozenset[int], rows: int) -> Known:
        """What is known when these series have changed."""
        grown = self.latest | touched
        newest_ns = np.concatenate([self.newest_ns, np.zeros(len(grown) - len(self.latest), dtype=np.int64)])
        for series, now in touched.items():
            newest_ns[series] = now.last.time_ns
        ids = self.ids
        if len(grown) > len(self.latest):
            ids = ids | {now.tag: series for series, now in touched.items()}
        return Known(grown, ids, newest_ns, watermark_ns, unsaved, rows)


def load(db: duckdb.DuckDBPyConnection) -> Known:
    """What the file says, in one snapshot of the caller's."""
    [(watermark_ns,)] = db.execute("SELECT watermark FROM meta").fetchall()
    [(rows,)] = db.execute("SELECT (SELECT count(*) FROM sample) + (SELECT count(*) FROM event)").fetchall()
    found = _load_series(db, watermark_ns)
    newest_ns = np.array([found[series].last.time_ns for series in range(len(found))], dtype=np.int64)
    ids = {item.tag: series for series, item in found.items()}
    return Known(found, ids, newest_ns, watermark_ns, frozenset(found), rows)


def _load_series(db: duckdb.DuckDBPyConnection, watermark_ns: int) -> dict[int, Latest]:
    found: dict[int, Latest] = {}
    for row in db.execute(_LOAD).fetchall():
        series, tag, first = row[:3]
        last = _point(tag, *row[3:7])
        found[series] = Latest(series, tag, first, last, None if row[7] is None else _point(tag, *row[7:11]))
    recent = db.execute(_LOAD_RECENT, {"watermark": watermark_ns}).fetchall()
    for series, last_ns, last_row, good_ns, good_row in recent:
        old = found[series]
        last = _point(old.tag, last_ns, **last_row)
        good = old.good if good_ns is None else _point(old.tag, good_ns, **good_row)
        found[series] = Latest(series, old.tag, old.first_ns, last, good)
    return found


def put(db: duckdb.DuckDBPyConnection, changed: Iterable[Latest]) -> None:
    """Store these series, inside the caller's transaction."""
    rows = list(changed)
    last = [_stored(item.last) for item in rows]
    good = [_stored(item.good) for item in rows]
    db.execute(
        _PUT,
        {
            "id": [item.id for item in rows],
            "tag": [item.tag for item in rows],
            "first_ts": [item.first_ns for item in rows],
            **{name: [row[i] for row in last] for i, name in enumerate(("last_ts", "last_v", "last_text", "last_q"))},
            **{name: [row[i] for row in good] for i, name in enumerate(("good_ts", "good_v", "good_text", "good_q"))},
        },
    )


def newest_good(db: duckdb.DuckDBPyConnection, series: int, tag: str) -> Point | None:
    """Looked up in the points: needed only where a correction made the last good point BAD."""
    row = db.execute(_NEWEST_GOOD, {"series": series}).fetchone()
    return None if row is None else _point(tag, *row)


def _point(tag: str, ts: int, v: float | None, text: str | None, q: int) -> Point:
    value: Value = text
    if text is None and v is not None and v == v:
        value = v
    return Point(tag, ts, value, Quality(q))


def _stored(point: Point | None) -> tuple[int | None, float | None, str | None, int | None]:
    if point is None:
        return None, None, None, None
    text = point.value if isinstance(point.value, str) else None
    number = float(point.value) if isinstance(point.value, (int, float)) else None
    return point.time_ns, number, text, int(point.quality)
