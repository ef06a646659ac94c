"""How points and trends come out of the embedded historian."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from plant.clock import MINUTE, Window
from plant.historian.base import Series, Trend
from plant.historian.duckdb_latest import Latest
from plant.historian.duckdb_rows import Column

_SAMPLES = "SELECT ts, v, q FROM sample WHERE series = $series AND ts >= $start AND ts < $end"
_EVENTS = "SELECT ts, text, q FROM event WHERE series = $series AND ts >= $start AND ts < $end"
_BEFORE = """
SELECT max(ts) FROM (
    (SELECT ts FROM sample WHERE series = $series AND ts < $start ORDER BY ts DESC LIMIT 1)
    UNION ALL (SELECT ts FROM event WHERE series = $series AND ts < $start ORDER BY ts DESC LIMIT 1)
)
"""
_AGGREGATE = """
SELECT series, bucket, sum(n)::BIGINT AS n, sum(total) AS total, min(lowest) AS lowest, max(highest) AS highest FROM (
    SELECT series, (minute - $start) // $bucket_ns AS bucket, n, total, lowest, highest FROM rollup_1m
    WHERE series = ANY($series::INTEGER[]) AND minute >= $start AND minute < $cut
    UNION ALL
    SELECT series, (ts - $start) // $bucket_ns, 1, v, v, v FROM sample
    WHERE series = ANY($series::INTEGER[]) AND ts >= $cut AND ts < $end AND q >= 64 AND v IS NOT NULL
) GROUP BY series, bucket
"""


def points(db: duckdb.DuckDBPyConnection, series: Latest, window: Window, *, with_previous: bool) -> Series:
    """All points of a series in the window; with_previous: also the newest one before it, as first row."""
    start_ns = window.start_ns
    if with_previous and series.first_ns < start_ns:
        [(before_ns,)] = db.execute(_BEFORE, {"series": series.id, "start": start_ns}).fetchall()
        start_ns = start_ns if before_ns is None else before_ns
    bounds = {"series": series.id, "start": start_ns, "end": window.end_ns}
    samples = db.execute(_SAMPLES, bounds).fetchnumpy()
    events = db.execute(_EVENTS, bounds).fetchnumpy()
    texts = len(events["ts"])
    ts = np.concatenate([samples["ts"], events["ts"]])
    v = np.concatenate([_numbers(samples["v"]), np.full(texts, np.nan)])
    q = np.concatenate([samples["q"], events["q"]])
    text = np.concatenate([np.full(len(ts) - texts, None), events["text"]]) if texts else None
    order = np.argsort(ts, kind="stable")
    return Series(ts[order], v[order], q[order], None if text is None else tuple(text[order]))


def trends(
    db: duckdb.DuckDBPyConnection, series: Sequence[Latest], window: Window, buckets: int, watermark_ns: int
) -> dict[str, Trend]:
    """Each series in so many buckets of ceil(window / buckets) ns; exactly the figures of the raw points.

    Minutes come from the rollups where every bucket starts and ends on a full minute; else all is read raw.
    """
    bucket_ns = -(-window.length_ns // buckets)
    cut_ns = window.start_ns
    if bucket_ns % MINUTE == 0 and window.start_ns % MINUTE == 0:
        cut_ns = max(cut_ns, min(watermark_ns, window.end_ns // MINUTE * MINUTE))
    found = db.execute(
        _AGGREGATE,
        {
            "series": [item.id for item in series],
            "start": window.start_ns,
            "cut": cut_ns,
            "end": window.end_ns,
            "bucket_ns": bucket_ns,
        },
    ).fetchnumpy()
    return {
        item.tag: _filled(
            empty_trend(window, buckets), {name: column[found["series"] == item.id] for name, column in found.items()}
        )
        for item in series
    }


def empty_series() -> Series:
    """No points."""
    return Series(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.uint8))


def empty_trend(window: Window, buckets: int) -> Trend:
    """Gaps only."""
    bucket_ns = -(-window.length_ns // buckets)
    return Trend(
        window=window,
        bucket_ns=bucket_ns,
        start_ns=window.start_ns + np.arange(buckets, dtype=np.int64) * bucket_ns,
        mean=np.full(buckets, np.nan),
        minimum=np.full(buckets, np.nan),
        maximum=np.full(buckets, np.nan),
        count=np.zeros(buckets, dtype=np.int64),
    )


def _filled(trend: Trend, found: dict[str, Column]) -> Trend:
    bucket, n = found["bucket"].astype(np.int64), found["n"].astype(np.int64)
    lowest, highest = _numbers(found["lowest"]), _numbers(found["highest"])
    trend.count[bucket] = n
    trend.minimum[bucket] = lowest
    trend.maximum[bucket] = highest
    trend.mean[bucket] = np.clip(_numbers(found["total"]) / n, lowest, highest)  # a sum rounds, a mean stays inside
    return trend


def _numbers(column: Column) -> NDArray[np.float64]:
    """A DOUBLE column with NaN where the store has NULL."""
    filled = column.filled(np.nan) if isinstance(column, np.ma.MaskedArray) else column
    return filled.astype(np.float64, copy=False)
